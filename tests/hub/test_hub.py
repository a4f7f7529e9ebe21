"""Models on the hub, against a server of its protocol on this machine: fetched, kept, refused."""

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hub_server import Hub, serving

import quasistatic as qs
from quasistatic import cli
from quasistatic.hub import Repository
from quasistatic.recipes.locations import WEIGHTS

library = pytest.importorskip("huggingface_hub", reason="the hub extra is not installed")

PIPELINE = Path(__file__).parent.parent / "fixtures" / "diffusers"


def files_of(folder: Path) -> dict[str, bytes]:
    """The files of a folder by their relative paths."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.fixture
def hub(tmp_path, monkeypatch, float32):
    """A hub with the model digits of two revisions, and a pipeline of diffusers."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_tests")
    monkeypatch.chdir(tmp_path)
    made = Hub()
    made.commit("user/digits", files_of(WEIGHTS / "digits"))
    made.commit("google/pipeline", files_of(PIPELINE))
    with serving(made):
        monkeypatch.setenv("HF_ENDPOINT", made.url)
        yield made
    library.close_session()


def same(a: qs.Diffusion, b: qs.Diffusion) -> bool:
    own, others = a.state_dict(), b.state_dict()
    return own.keys() == others.keys() and all(torch.equal(own[k], others[k]) for k in own)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("user/model", Repository("user/model")),
        ("user/model@v1.0", Repository("user/model", "v1.0")),
        ("user/model@refs/pr/1", Repository("user/model", "refs/pr/1")),
        ("model", None),
        ("a/b/c", None),
        ("../model", None),
        ("/model", None),
        ("here/model", None),
    ],
)
def test_which_names_are_repositories(text, meant, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    assert Repository.parse(text) == meant


def test_a_model_is_fetched_once_and_kept(hub):
    model = qs.Diffusion.from_pretrained("user/digits")
    assert same(model, qs.load_pretrained("digits"))
    assert not model.training
    fetched = [each for each in hub.requests if each.startswith("GET") and "/resolve/" in each]
    assert len(fetched) == 3
    hub.requests.clear()
    assert same(qs.Diffusion.from_pretrained("user/digits"), model)
    assert not [each for each in hub.requests if "/resolve/" in each]


def test_a_revision_is_another_model(hub):
    first = hub.branches["user/digits", "main"]
    other = qs.load_pretrained("digits")
    with torch.no_grad():
        next(other.parameters()).add_(1)
    other.save("other")
    second = hub.commit("user/digits", files_of(Path("other")))
    assert same(qs.Diffusion.from_pretrained("user/digits"), other)
    for revision in (first, first[:40]):
        found = qs.Diffusion.from_pretrained("user/digits", revision=revision)
        assert same(found, qs.load_pretrained("digits"))
    assert same(qs.Diffusion.from_pretrained(f"user/digits@{second}"), other)
    with pytest.raises(FileNotFoundError, match="no revision v9"):
        qs.Diffusion.from_pretrained("user/digits@v9")


def test_without_a_network_the_cache_is_used_and_a_warning_says_so(hub, monkeypatch):
    from huggingface_hub import constants

    model = qs.Diffusion.from_pretrained("user/digits")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    library.close_session()
    with pytest.warns(UserWarning, match="taken from the cache"):
        found = qs.Diffusion.from_pretrained("user/digits")
    assert same(found, model)
    with (
        pytest.warns(UserWarning, match="cannot be reached"),
        pytest.raises(FileNotFoundError, match="does not hold user/another"),
    ):
        qs.Diffusion.from_pretrained("user/another")


def test_a_hub_that_does_not_answer_is_named(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with (
        pytest.warns(UserWarning, match="cannot be reached"),
        pytest.raises(FileNotFoundError, match="does not hold user/digits: connect"),
    ):
        qs.Diffusion.from_pretrained("user/digits")


def test_a_damaged_download_is_found_and_fetched_again(hub):
    hub.damaged.add("model.safetensors")
    with pytest.raises(ValueError, match=r"model.safetensors of user/digits came damaged"):
        qs.Diffusion.from_pretrained("user/digits")
    hub.damaged.clear()
    assert same(qs.Diffusion.from_pretrained("user/digits"), qs.load_pretrained("digits"))
    hub.damaged.add("config.json")
    hub.commit("user/copy", files_of(WEIGHTS / "digits") | {"config.json": b'{"a": 1}'})
    with pytest.raises(ValueError, match=r"config.json of user/copy came damaged"):
        qs.Diffusion.from_pretrained("user/copy")


def test_a_file_that_was_altered_in_the_cache_is_found(hub, tmp_path):
    qs.Diffusion.from_pretrained("user/digits")
    (kept,) = (tmp_path / "cache").rglob("snapshots/*/config.json")
    blob = kept.resolve()
    blob.write_bytes(blob.read_bytes()[:-1] + b" ")
    with pytest.raises(ValueError, match=r"config.json of user/digits came damaged"):
        qs.Diffusion.from_pretrained("user/digits")
    assert same(qs.Diffusion.from_pretrained("user/digits"), qs.load_pretrained("digits"))


def test_what_is_not_there_is_named(hub):
    with pytest.raises(FileNotFoundError, match="no repository user/nothing"):
        qs.Diffusion.from_pretrained("user/nothing")
    hub.gated.add("user/digits")
    with pytest.raises(PermissionError, match="asks for a consent"):
        qs.Diffusion.from_pretrained("user/digits")
    with pytest.raises(ValueError, match="saved by diffusers"):
        qs.Diffusion.from_pretrained("google/pipeline")


def test_a_pipeline_of_diffusers_is_read_and_nothing_else_of_it_fetched(hub):
    more = files_of(PIPELINE) | {"safety_checker/model.safetensors": b"large", "x.bin": b"pickle"}
    hub.commit("google/pipeline", more)
    model = qs.from_diffusers("google/pipeline")
    assert same(model, qs.from_diffusers(PIPELINE))
    fetched = [each for each in hub.requests if "/resolve/" in each]
    assert not [each for each in fetched if "safety_checker" in each or "bin" in each]


def test_of_a_pipeline_of_latents_the_autoencoder_is_fetched_too(hub):
    stored = PIPELINE.parent / "diffusers_latent"
    whole = files_of(stored) | {"feature_extractor/model.safetensors": b"large"}
    hub.commit("user/latent", whole)
    assert same(qs.from_diffusers("user/latent"), qs.from_diffusers(stored))
    assert not [each for each in hub.requests if "feature_extractor" in each]
    weights = "vqvae/diffusion_pytorch_model.safetensors"
    variant = whole | {weights.replace(".safetensors", ".fp16.safetensors"): whole[weights]}
    del variant[weights]
    hub.commit("user/variant", variant)
    assert same(qs.from_diffusers("user/variant"), qs.from_diffusers(stored))
    del variant[weights.replace(".safetensors", ".fp16.safetensors")]
    hub.commit("user/pickled", variant | {"vqvae/diffusion_pytorch_model.bin": b"pickle"})
    with pytest.raises(ValueError, match=r"`AutoencoderKL\.from_pretrained"):
        qs.from_diffusers("user/pickled")
    assert not [each for each in hub.requests if each.endswith(".bin")]


def test_of_a_pipeline_without_pixels_no_weights_are_fetched(hub):
    index = {
        "_class_name": "StableDiffusionPipeline",
        "text_encoder": ["t", "C"],
        "unet": ["d", "U"],
    }
    hub.commit(
        "user/text",
        {"model_index.json": json.dumps(index).encode(), "unet/model.safetensors": b"large"},
    )
    with pytest.raises(ValueError, match="from a text"):
        qs.from_diffusers("user/text")
    assert not [each for each in hub.requests if "safetensors" in each]


def test_pickles_on_the_hub_are_refused_and_not_fetched(hub):
    whole = files_of(PIPELINE)
    whole["unet/diffusion_pytorch_model.bin"] = b"pickle"
    del whole["unet/diffusion_pytorch_model.safetensors"]
    hub.commit("user/pickled", whole)
    with pytest.raises(ValueError, match="refs/pr/1"):
        qs.from_diffusers("user/pickled")
    assert not [each for each in hub.requests if each.endswith(".bin")]


def test_the_command_line_takes_a_repository(hub, say, tmp_path):
    x = qs.data.split(qs.data.digits()).test[:4].astype(np.uint8)
    np.save("x.npy", x)
    found = say("score", "user/digits", "--data", "x.npy")
    assert found == say("score", "digits", "--data", "x.npy")
    said = say("sample", "google/pipeline", "-n", 2, "--times", 5)
    assert said["samples"] == "pipeline-samples.npy"  # and nothing in the cache
    assert (tmp_path / "pipeline-samples.npy").is_file()


def test_the_command_line_names_what_it_tried(hub, capsys):
    with pytest.raises(SystemExit):
        cli.main(["score", "user/nothing", "--data", "x.npy"])
    said = capsys.readouterr().err
    assert "there is no folder user/nothing" in said
    assert "the hub has no repository user/nothing" in said


def test_a_path_below_a_folder_that_exists_is_not_asked_for(hub, capsys):
    Path("runs").mkdir()
    with pytest.raises(SystemExit):
        cli.main(["score", "runs/digist", "--data", "x.npy"])
    assert "there is no folder runs/digist" in capsys.readouterr().err
    assert not hub.requests


def test_without_the_library_it_says_what_to_install(monkeypatch, tmp_path):
    import sys

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'quasistatic\[hub\]'"):
        qs.Diffusion.from_pretrained("user/digits")
    with pytest.raises(FileNotFoundError, match="no pretrained model of that name; as a repo"):
        qs.open("user/digits")


def test_what_is_pushed_is_what_is_opened(hub):
    model = qs.load_pretrained("digits")
    x = qs.data.split(qs.data.digits()).test[:20]
    score = model.score(x, rng=0)
    url = model.push_to_hub(
        "me/digits",
        run=WEIGHTS / "digits",
        score=score,
        license="apache-2.0",
        command="quasistatic train digits",
    )
    assert url.startswith(f"{hub.url}/me/digits/commit/")
    assert same(qs.Diffusion.from_pretrained("me/digits"), model)
    files = hub.commits["me/digits", hub.branches["me/digits", "main"]]
    assert files["model.safetensors"] == (WEIGHTS / "digits" / "model.safetensors").read_bytes()
    card = files["README.md"].decode()
    run = json.loads((WEIGHTS / "digits" / "config.json").read_text())
    for expected in (
        "license: apache-2.0",
        "library_name: quasistatic",
        'from_pretrained("me/digits")',
        "quasistatic score me/digits --data x.npy",
        "quasistatic train digits",
        str(score).splitlines()[0],
        run["data"][0]["sha256"],
        "bits_per_dim",
    ):
        assert expected in card
    model.push_to_hub("me/digits@trial")
    assert ("me/digits", "trial") in hub.branches
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(qs.Diffusion.from_pretrained("me/digits@trial"), model)


def test_the_command_line_pushes_a_run(hub, say, refused):
    said = say(
        "push", "digits", "me/digits", "--license", "mit", "--rows", 20, "--trained-by", "by hand"
    )
    assert said["commit"].startswith(f"{hub.url}/me/digits/commit/")
    model = qs.load_pretrained("digits")
    assert same(qs.Diffusion.from_pretrained("me/digits"), model)
    test = qs.data.split(qs.data.digits(), valid=0.1, test=0.2).test[:20]
    score = model.score(test, rng=0)
    assert said["bits_per_dim"] == pytest.approx(float(score.bits_per_dim.mean()))
    card = hub.commits["me/digits", hub.branches["me/digits", "main"]]["README.md"].decode()
    for expected in ("license: mit", "Command: `by hand`", str(score).splitlines()[0], "## Score"):
        assert expected in card
    shutil.copytree(PIPELINE, "pipeline")
    say("push", "pipeline", "me/pipeline@first")
    assert ("me/pipeline", "first") in hub.branches
    assert "user/model, got 'digits'" in refused("push", "digits", "digits")
    assert "no pretrained model" in refused("push", "digist", "me/digits")
    hub.writable = False
    assert "log in by `hf auth login`" in refused("push", "digits", "me/more", "--rows", 0)


def test_a_model_of_a_table_is_not_pushed_unseen(hub, refused):
    rows = np.random.default_rng(0).normal(size=(40, 2))
    qs.DiffusionDensity(steps=0).fit(rows).save("table")
    assert "`hf upload me/table table`" in refused("push", "table", "me/table")
    assert not hub.requests


def test_who_may_not_write_is_told(hub):
    hub.writable = False
    with pytest.raises(PermissionError, match="log in"):
        qs.load_pretrained("digits").push_to_hub("me/digits")
    with pytest.raises(ValueError, match="user/model"):
        qs.load_pretrained("digits").push_to_hub("digits")


def test_saved_as_it_would_be_pushed(tmp_path, float32):
    model = qs.load_pretrained("digits")
    folder = model.save_pretrained(tmp_path / "out", license="mit")
    assert same(qs.Diffusion.from_pretrained(folder), model)
    card = (folder / "README.md").read_text()
    digest = card.split("SHA-256 `")[1].split("`")[0]
    from hashlib import sha256

    assert digest == sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert "license: mit" in card
    with torch.no_grad():
        next(model.parameters()).add_(1)
    with pytest.raises(ValueError, match="other weights than this model"):
        model.save_pretrained(tmp_path / "again", run=WEIGHTS / "digits")
    shutil.rmtree(folder)
