"""Commands on images in folders and arrays: what they read, fit, answer and write."""

import csv
import math

import numpy as np
import pytest
import torch
from PIL import Image

import quasistatic as qs
from quasistatic import cli
from quasistatic.data import Some, image_folder
from quasistatic.data.file_kinds import are_images
from quasistatic.data.folders import holed_folder
from quasistatic.data.pictures import read_images, write_images
from quasistatic.networks import DiT, Padded, UNet
from quasistatic.opened import network_fit
from quasistatic.recipes.image import megaflops, pictorial
from quasistatic.recipes.runs import open_run

pytestmark = pytest.mark.usefixtures("float32")

SIDES = (9, 7)


def slopes(n: int, seed: int = 0) -> np.ndarray:
    """Grey slopes of a random height: bytes (n, 9, 7), each the same along its rows."""
    rng = np.random.default_rng(seed)
    start, rise = rng.integers(40, 120, (n, 1, 1)), rng.integers(0, 12, (n, 1, 1))
    column = start + rise * np.arange(SIDES[0])[:, None] + rng.integers(0, 3, (n, *SIDES))
    return column.astype(np.uint8)


def save(folder, images, name="slope{:03}.png"):
    folder.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / name.format(number))
    return folder


@pytest.fixture(autouse=True)
def few_looks(monkeypatch):
    monkeypatch.setattr(network_fit, "LOOKS", 64)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A run, and the folder of images that it was fitted to."""
    folder = tmp_path_factory.mktemp("images")
    data, before = save(folder / "slopes", slopes(160)), torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(network_fit, "LOOKS", 64)
            cli.main(["fit", str(data), "-o", str(folder / "run"), "--steps", "25", "--json"])
    finally:
        torch.set_default_dtype(before)
    return folder / "run", data


def table(path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


# the model


@pytest.mark.parametrize(
    ("shape", "levels", "whole"),
    [
        ((1, 1), 256, (1, 1)),
        ((5, 7), 256, (5, 7)),
        ((1, 40), 2, (1, 40)),
        ((28, 28), 256, (28, 28)),
        ((27, 31), 256, (28, 32)),
        ((3, 33, 50), 256, (3, 40, 56)),
        ((100, 130), 2, (112, 144)),
    ],
)
def test_a_model_of_images_of_any_size(shape, levels, whole):
    """Each pixel gets a law, whatever the margin that the network sees besides; and the model is
    built again from its description."""
    torch.manual_seed(0)
    model = pictorial(shape, levels, steps=10, width=8)
    network = model.network
    assert (network.network.shape if isinstance(network, Padded) else network.shape) == whole
    x = torch.randint(levels, (2, *shape))
    score = model.score(x, rng=torch.Generator().manual_seed(0))
    again = qs.Diffusion.build(model.describe())
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.score(x, rng=torch.Generator().manual_seed(0)).nats, score.nats)
    assert score.bits_per_dim.min() > 0
    assert megaflops(model) > 0


def test_black_and_white_start_at_how_often_each_pixel_is_white():
    share = torch.rand(13, 18)
    model = pictorial((13, 18), 2, share=share, steps=10, width=8)
    with torch.no_grad():
        model.network.network.read_out.weight.zero_()
        output = model.output(model.blank(1), torch.ones(1))
    assert torch.allclose(output.softmax(-1)[0, ..., 1], share.clamp(1e-3, 1 - 1e-3), atol=1e-5)


def test_a_padded_network_is_the_network_with_a_margin_of_zeros():
    torch.manual_seed(0)
    network = UNet((3, 8, 12), 8, (1, 2), 1, outputs=2)
    x, time = torch.randn(2, 3, 7, 9), torch.rand(2)
    whole = torch.zeros(2, 3, 8, 12)
    whole[..., :7, :9] = x
    assert torch.equal(Padded((3, 7, 9), network)(x, time), network(whole, time)[..., :7, :9, :])
    for shape in ((3, 9, 9), (7, 9)):
        with pytest.raises(ValueError, match="cannot hold examples of shape"):
            Padded(shape, network)


# files


def test_arrays_of_bytes_are_images_with_the_colours_first_or_last(tmp_path):
    rng = np.random.default_rng(0)
    last = rng.integers(0, 256, (12, 5, 6, 3), np.uint8)
    np.save(tmp_path / "last.npy", last)
    images = read_images(tmp_path / "last.npy")
    assert np.array_equal(images.array, last.transpose(0, 3, 1, 2))
    assert str(images) == "12 images of 5 x 6 pixels, in colours, colours last in the file"
    np.savez_compressed(tmp_path / "first.npz", x=images.array)
    first = read_images(tmp_path / "first.npz")
    assert np.array_equal(first.array, images.array)
    assert first.sha256() == images.sha256()
    np.save(tmp_path / "grey.npy", last[..., :1])
    assert np.array_equal(read_images(tmp_path / "grey.npy").array, last[..., 0])
    np.save(tmp_path / "bits.npy", last[..., 0] > 100)
    bits = read_images(tmp_path / "bits.npy")
    assert bits.mode == "1"
    assert np.array_equal(bits.array, last[..., 0] > 100)


def test_an_array_stays_on_disk_until_a_step_takes_rows_of_it(tmp_path):
    x = slopes(40)
    np.save(tmp_path / "x.npy", x)
    array = read_images(tmp_path / "x.npy").array
    assert isinstance(array, np.memmap)
    rows = np.arange(1, 40, 3)
    some, copied = Some(array, rows), qs.data.Rows(x[rows])
    asked, rng = torch.tensor([4, 0, 7]), torch.Generator()
    assert torch.equal(some.batch(asked, rng), copied.batch(asked, rng))
    assert some.fingerprint() == copied.fingerprint()
    assert some.fingerprint() != Some(array, rows[::-1]).fingerprint()


def test_a_table_is_no_image(tmp_path, say):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(30, 2)))
    assert not are_images(tmp_path / "x.npy")
    assert "columns" in say("fit", tmp_path / "x.npy", "-o", tmp_path, "--dry-run")
    np.savez(tmp_path / "x.npz", np.zeros((2, 3)))
    np.savez(tmp_path / "y.npz", np.zeros((2, 3, 4)))
    (tmp_path / "z.npy").write_bytes(b"no array")
    found = [are_images(tmp_path / name) for name in ("x.npz", "y.npz", "z.npy", "none.npy")]
    assert found == [False, True, False, False]


@pytest.mark.parametrize("out", [["--out=run"], ["-o", "run"], ["--seed", "3", "--out", "run"]])
def test_options_may_stand_before_the_data(out, tmp_path, monkeypatch, say):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "photos", slopes(12))
    (tmp_path / "3").mkdir()  # the value of an option is no data
    told = say("fit", *out, "--dry-run", "photos")
    assert (told["run"], told["images"]) == ("run", 12)
    x = np.random.default_rng(0).normal(size=(30, 2))
    np.savetxt(tmp_path / "x.csv", x, delimiter=",", header="a,b", comments="")
    assert "columns" in say("fit", *out, "--dry-run", "x.csv")


def test_grey_without_a_grey_is_fitted_as_black_and_white(tmp_path, say, refused):
    x = slopes(12) > 90
    data = save(tmp_path / "bits", 255 * x.astype(np.uint8))
    images = read_images(data)
    assert images.mode == "L"
    assert np.array_equal(images.bits().array, x)
    assert read_images(save(tmp_path / "grey", slopes(12))).bits() is None
    assert say("fit", data, "-o", tmp_path / "run", "--steps", 2)["mode"] == "1"
    assert isinstance(qs.load(tmp_path / "run").space, qs.Binary)
    how = ["--times", 5, "--workers", 1]
    say("compress", tmp_path / "run", data, "-o", tmp_path / "x.qs", *how)
    say("decompress", tmp_path / "run", tmp_path / "x.qs", "-o", tmp_path / "back")
    with Image.open(tmp_path / "back" / "slope000.png") as first:
        assert first.mode == "1"
    assert np.array_equal(image_folder(tmp_path / "back"), x)
    said = refused("compress", tmp_path / "run", tmp_path / "grey", *how)  # it would not come back
    assert "whole numbers from 0 to 1" in said


def test_black_images_are_as_grey_as_the_run(fitted, say, tmp_path):
    """What a folder happens to hold does not change how it is read."""
    x = np.zeros((2, *SIDES), np.uint8)
    x[1, 3:] = 255
    data = save(tmp_path / "black", x)
    told = say("score", fitted[0], "--data", data, "--evaluations", 4)
    exact = qs.load(fitted[0]).score(x, 4, rng=torch.Generator().manual_seed(0)).nats
    assert told["nats"] == pytest.approx(exact.mean().item())


def test_files_that_differ_by_their_ending_alone_keep_apart(tmp_path):
    x = slopes(3)
    write_images(tmp_path / "out", x, names=("a.bmp", "a.png", "../b.png"))
    assert np.array_equal(image_folder(tmp_path / "out"), x)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("a.bmp.png", "a.png.png", "b.png.png"),
    ]


@pytest.mark.parametrize("mode", ["L", "RGB", "1"])
def test_what_is_transparent_is_missing(mode, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (3, *SIDES, 3), np.uint8)
    if mode != "RGB":
        x = x[..., :1].repeat(3, -1)
    if mode == "1":
        x = 255 * (x > 100).astype(np.uint8)
    opacity = rng.choice([0, 1, 128, 255], (3, *SIDES, 1)).astype(np.uint8)
    opacity[2] = 255
    save(tmp_path / "x", np.concatenate([x, opacity], -1))
    Image.fromarray(x[2]).save(tmp_path / "x" / "slope002.png")
    images, holes = holed_folder(tmp_path / "x", mode)
    expected = x.transpose(0, 3, 1, 2) if mode == "RGB" else x[..., 0] // (1 + 254 * (mode == "1"))
    assert np.array_equal(images, expected)
    assert np.array_equal(
        holes,
        np.broadcast_to((opacity == 0)[:, None, ..., 0], (3, 3, *SIDES))
        if mode == "RGB"
        else opacity[..., 0] == 0,
    )


# verbs


def test_a_dry_run_says_what_would_be_fitted_and_writes_nothing(fitted, say, tmp_path):
    made = say("fit", fitted[1], "-o", tmp_path / "run", "--dry-run", "--size", 12, "10")
    assert made["images"] == 160
    assert made["shape"] == [12, 10]
    assert made["mode"] == "L"
    assert sum(made["parts"]) == 160
    assert made["parts"][1:] == [32, 20]
    assert made["parameters"] > 10_000
    assert list(tmp_path.iterdir()) == []


def test_the_same_command_goes_on_with_the_run_that_it_began(fitted, say, refused, tmp_path):
    """It does not count again how many steps the minutes hold."""
    run, data = fitted
    before = (run / "model.safetensors").read_bytes()
    steps = open_run(run).metrics[-1]["step"]
    assert say("fit", data, "-o", run, "--minutes", 1)["steps"] == steps
    assert (run / "model.safetensors").read_bytes() == before
    other = save(tmp_path / "other", slopes(30, 1))
    said = refused("fit", other, "-o", run, "--json")
    assert "holds a run with another data and recipe" in said


def test_a_fit_learns(fitted, say):
    """The noise alone is log2(3) bits a pixel. The law is near it, and the network comes nearer."""
    records = open_run(fitted[0]).metrics
    bits = [record["valid_bits_per_dim"] for record in records]
    assert math.log2(3) < min(bits) < bits[0] < 1.5 * math.log2(3)


def test_a_network_that_does_not_beat_its_law_is_left_out(fitted, say, tmp_path):
    """The command reports both, once, and the model in the folder is the law."""
    run, data = tmp_path / "run", fitted[1]
    told = say("fit", data, "-o", run, "--steps", 1)
    assert told["network_kept"] is False
    assert told["law_bits_per_dim"] > math.log2(3)
    assert not open_run(run).model.network.corrects
    before = (run / "model.safetensors").read_bytes()
    assert say("fit", data, "-o", run, "--steps", 1) == told
    assert (run / "model.safetensors").read_bytes() == before


def test_a_transformer_may_correct_the_law(fitted, say, tmp_path):
    say("fit", fitted[1], "-o", tmp_path / "run", "--steps", 1, "--network", "dit")
    network = open_run(tmp_path / "run").model.network.network
    assert isinstance(network, DiT) or isinstance(network.network, DiT)


def test_minutes_are_counted_in_steps(say, fitted, tmp_path):
    told = say("fit", fitted[1], "-o", tmp_path / "run", "--minutes", 0.01)
    assert 1 <= told["steps"] < 25


def test_scores_come_with_the_names_of_the_files(fitted, say, tmp_path):
    run, data = fitted[0], save(tmp_path / "new", slopes(6, 2), "n{}.png")
    told = say("score", run, "--data", data, "--out", tmp_path / "s.csv", "--evaluations", 4)
    rows = table(tmp_path / "s.csv")
    assert [row["file"] for row in rows] == [f"n{i}.png" for i in range(6)]
    each = [float(row["log_prob"]) for row in rows]
    model, rng = qs.load(run), torch.Generator().manual_seed(0)
    exact = model.score(slopes(6, 2), 4, rng=rng).nats
    assert each == pytest.approx(exact.tolist())
    assert told["nats"] == pytest.approx(np.mean(each))


def test_without_data_the_images_held_back_are_scored_beside_their_files(fitted, say):
    told = say("score", fitted[0], "--evaluations", 2)
    assert told["examples"] == 20
    whole = open_run(fitted[0]).experiment.data
    assert len(whole.test) == 20
    assert told["others"]["PNG files"][0] > told["bits_per_dim"]


def test_draws_are_written_as_an_array_a_folder_and_a_sheet(fitted, say, tmp_path):
    for name in ("drawn.npy", "drawn", "drawn.png"):
        say("sample", fitted[0], "--n", 5, "--times", 10, "--out", tmp_path / name)
    drawn = np.load(tmp_path / "drawn.npy")
    assert drawn.shape == (5, *SIDES)
    assert np.array_equal(image_folder(tmp_path / "drawn"), drawn)
    with Image.open(tmp_path / "drawn.png") as sheet:
        pixels = np.asarray(sheet)
    height, width = SIDES
    assert np.array_equal(pixels[:height, width + 1 : 2 * width + 1], drawn[1])


@pytest.mark.parametrize("by", ["draw", "median"])
def test_what_is_transparent_is_filled_and_the_rest_is_bit_equal(by, fitted, say, tmp_path):
    x = slopes(3, 3)
    opacity = np.full_like(x, 255)
    opacity[:2, 5:] = 0
    data = save(tmp_path / "damaged", np.stack([np.where(opacity, x, 0), opacity], -1), "d{}.png")
    words = ["--by", by, "--draws", 4, "--times", 10, "--particles", 4]
    told = say("impute", fitted[0], data, "-o", tmp_path / "whole", *words)
    assert told["filled"] == (opacity == 0).sum()
    assert told["rows"] == 2
    whole = image_folder(tmp_path / "whole")
    assert sorted(p.name for p in (tmp_path / "whole").iterdir()) == [f"d{i}.png" for i in range(3)]
    assert np.array_equal(whole[opacity > 0], x[opacity > 0])
    assert (whole[opacity == 0] > 0).all()
    np.save(tmp_path / "holes.npy", np.where(opacity, x, np.nan))
    say("impute", fitted[0], tmp_path / "holes.npy", "-o", tmp_path / "whole.npy", *words)
    assert np.array_equal(np.load(tmp_path / "whole.npy"), whole)


def test_strange_images_are_found(fitted, say, tmp_path):
    """The same rows in another order are strange in their outline."""
    ordinary, rng = slopes(20, 4), np.random.default_rng(0)
    odd = rng.integers(0, 256, (4, *SIDES), np.uint8)
    data = save(tmp_path / "mixed", np.concatenate([ordinary, odd]))
    told = say("outliers", fitted[0], data, "--out", tmp_path / "found.csv")
    rows = table(tmp_path / "found.csv")
    assert [row["file"] for row in rows[:2]] == ["slope000.png", "slope001.png"]
    called = [int(row["outlier"]) for row in rows]
    assert called[20:] == [1] * 4
    assert told["found"] == sum(called) < 9
    levels = np.array([float(row["p_value"]) for row in rows]) * 21
    assert np.allclose(levels, levels.round())
    assert (np.array(called) == (levels / 21 <= 0.05)).all()
    first = (tmp_path / "found.csv").read_text()
    say("outliers", fitted[0], data, "--out", tmp_path / "found.csv")  # by what was kept
    assert (tmp_path / "found.csv").read_text() == first


@pytest.mark.parametrize("layers", [[], ["--layers", 4]])
def test_a_folder_is_compressed_and_comes_back_with_its_names(layers, fitted, say, tmp_path):
    x = slopes(4, 5)
    data = save(tmp_path / "some", x, "odd name {}.bmp")
    how = layers or ["--times", 5, "--workers", 1]
    say("compress", fitted[0], data, "-o", tmp_path / "some.qs", *how)
    say("decompress", fitted[0], tmp_path / "some.qs", "-o", tmp_path / "back")
    assert np.array_equal(image_folder(tmp_path / "back"), x)
    names = sorted(path.name for path in (tmp_path / "back").iterdir())
    assert names == [f"odd name {i}.png" for i in range(4)]
    (tmp_path / "some.qs.names.json").unlink()
    say("decompress", fitted[0], tmp_path / "some.qs", "-o", tmp_path / "numbered")
    assert np.array_equal(image_folder(tmp_path / "numbered"), x)


def test_one_image_file_is_compressed_and_comes_back_with_its_name(fitted, say, tmp_path):
    x = slopes(4, 5)
    file = save(tmp_path / "some", x, "odd name {}.bmp") / "odd name 2.bmp"
    say("compress", fitted[0], file, "-o", tmp_path / "one.qs", "--times", 5, "--workers", 1)
    say("decompress", fitted[0], tmp_path / "one.qs", "-o", tmp_path / "back")
    assert np.array_equal(image_folder(tmp_path / "back"), x[2:3])
    assert [path.name for path in (tmp_path / "back").iterdir()] == ["odd name 2.png"]


def test_a_run_knows_when_its_images_have_changed(say, refused, tmp_path):
    data = save(tmp_path / "slopes", slopes(12))
    say("fit", data, "-o", tmp_path / "run", "--steps", 2)
    assert len(open_run(tmp_path / "run").experiment.data.test) == 2
    Image.fromarray(255 - slopes(1)[0]).save(data / "slope003.png")
    assert "holds other images than those that the run" in refused("score", tmp_path / "run")


def test_mistakes_are_told(fitted, refused, tmp_path):
    run, data = fitted
    few = save(tmp_path / "few", slopes(4))
    assert "holds 4 images, and a model takes 10" in refused("fit", few)
    (tmp_path / "empty").mkdir()
    assert "holds no images" in refused("fit", tmp_path / "empty")
    np.save(tmp_path / "f.npy", np.zeros((20, 4, 4)))
    assert "holds float64, and images are bytes" in refused("fit", tmp_path / "f.npy")
    np.save(tmp_path / "c.npy", np.zeros((20, 5, 4, 4), np.uint8))
    assert "array of shape (20, 5, 4, 4), and images are" in refused("fit", tmp_path / "c.npy")
    np.save(tmp_path / "g.npy", np.zeros((20, 4, 4), np.uint8))
    assert "resize or convert it" in refused("fit", tmp_path / "g.npy", "--size", 8)
    assert "--minutes must be positive" in refused("fit", data, "--minutes", 0)
    small = save(tmp_path / "small", slopes(4)[:, :5])
    for verb in ("outliers", "compress"):
        said = refused(verb, run, small)
        assert "5 x 7 pixels, grey" in said
        assert "the run is of examples of shape (9, 7)" in said
    assert "the run is of examples of shape (9, 7)" in refused("impute", run, small)
    assert "(9, 7)" in refused("score", run, "--data", small)
    coloured = np.random.default_rng(0).integers(0, 256, (4, *SIDES, 3), np.uint8)
    coloured = save(tmp_path / "coloured", coloured)
    assert "would not come back as they are" in refused("impute", run, coloured)
    holed = save(tmp_path / "holed", np.stack([slopes(12)] * 2, -1))
    assert "has the mode 'LA'" in refused("fit", holed)
    assert "no ending that images are written by" in refused("impute", run, few, "-o", "x.gif")


def test_few_held_back_images_rank_and_say_what_level_they_allow(fitted, tmp_path):
    """They call nothing an outlier at a level that is too small for them, and that is no error."""
    model = qs.open(fitted[0])
    whole = model.outliers(fitted[1], out=tmp_path / "whole.csv")
    held = len(model.run.experiment.data.test)
    found = model.outliers(fitted[1], level=0.5 / (held + 1), out=tmp_path / "found.csv")
    assert found.facts["found"] == 0
    assert f"{held} held-back images call nothing" in found.shown[1]
    assert "--level" in found.shown[1]
    assert len(whole.shown) == 1
    p = [
        [row["p_value"] for row in csv.DictReader((tmp_path / name).open())]
        for name in ("whole.csv", "found.csv")
    ]
    assert p[0] == p[1]


def test_colours_that_come_last_are_named():
    with pytest.raises(ValueError, match=r"\(32, 24, 3\) has them last: pass \(3, 32, 24\)"):
        pictorial((32, 24, 3))
    assert pictorial((3, 8, 8), width=8).space.shape == (3, 8, 8)
