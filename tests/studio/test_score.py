"""Scores, p-values, the work from both ends and sizes are those of Python and the command line."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from studio_client import ask, asking, client_of, result, run_snippet, shipped
from test_complete import people, table
from test_sample import values


def upload(name: str, data: bytes) -> dict[str, str]:
    return {"name": name, "data": base64.b64encode(data).decode()}


def npy(x: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, x)
    return buffer.getvalue()


def png(x: np.ndarray, mode: str = "L") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(x).convert(mode).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def digit(ask):
    return values(result(ask("examples", source="test", count=1))["images"], 17)[0].astype(float)


def test_python_and_command_score_as_the_page(ask, digit, run_snippet, tmp_path):
    found = result(ask("score", values=digit.tolist(), evaluations=40, seed=3))
    np.save(tmp_path / "x.npy", digit[None])
    score = run_snippet(found["snippet"])["score"]
    assert found["mean"] == pytest.approx(score.bits_per_dim.item(), rel=1e-6)
    assert found["noise"][0] == pytest.approx(score.noise_per_dim.item(), rel=1e-6)
    written = (tmp_path / "scores.csv").read_text()
    assert f"{score.nats.item():.3f}"[:6] in written


def test_the_places_of_the_bits_add_up(ask, digit):
    found = result(ask("score", values=digit.tolist(), evaluations=200))
    places = found["places"]
    assert sum(places["by_time"]) / 64 == pytest.approx(found["mean"], rel=0.25)
    shares = np.frombuffer(base64.b64decode(places["by_value"]["data"]), np.uint8) / 255
    assert (shares * places["largest"]).sum() == pytest.approx(sum(places["by_time"]), rel=0.1)


def test_a_strange_picture_has_a_small_p_value(ask, digit, run_snippet, tmp_path):
    ordinary = result(ask("anomaly", values=digit.tolist(), ordinary=40))
    checks = (np.indices((8, 8)).sum(0) % 2 * 16.0).reshape(64)
    strange = result(ask("anomaly", values=checks.tolist(), ordinary=40))
    assert strange["p_value"] == pytest.approx(1 / 41)
    assert ordinary["p_value"] > strange["p_value"]
    np.save(tmp_path / "x.npy", checks[None])
    again = run_snippet(strange["snippet"])["found"]
    assert again.p_values.item() == pytest.approx(strange["p_value"])
    assert again.scores.item() == pytest.approx(strange["excess"], rel=1e-6)


def test_both_ends_are_those_of_the_sandwich(ask, run_snippet):
    found = result(ask("sandwich", n=6, paths=3, times=12, seed=1))
    again = run_snippet(found["snippet"])["found"]
    assert found["lower"] == pytest.approx(again.lower.mean().item(), rel=1e-9)
    assert found["upper"] == pytest.approx(again.upper.mean().item(), rel=1e-9)
    assert len(found["forward"]) == 18
    assert np.mean(found["forward"]) < np.mean(found["reverse"])


def test_a_picture_of_another_size_is_cut_and_says_so(ask):
    picture = np.zeros((40, 60), np.uint8)
    picture[10:30, 20:40] = 255
    found = result(ask("score", files=[upload("me.png", png(picture))], evaluations=8))
    assert "from 60 × 40 to 8 × 8" in found["note"]
    read = result(ask("read", files=[upload("me.png", png(picture, "RGB"))]))
    shown = values(read["images"], 17).reshape(8, 8)
    assert shown[4, 4] == 16
    assert shown[0, 0] == 0
    turned = result(ask("read", files=[upload("me.png", png(picture))], invert=True))
    assert values(turned["images"], 17).reshape(8, 8)[4, 4] == 0


def test_several_files_are_scored_at_once(ask):
    rows = np.random.default_rng(0).integers(0, 17, (3, 64)).astype(float)
    files = [upload("a.npy", npy(rows[:2])), upload("b.npy", npy(rows[2]))]
    found = result(ask("score", files=files, evaluations=8))
    assert found["names"] == ["a.npy 1", "a.npy 2", "b.npy"]
    assert len(found["bits_per_dim"]) == 3


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ([], "give 1 to 256 files"),
        ("x", "give 1 to 256 files"),
        ([{"name": "a.png"}], "both texts"),
        ([{"name": "a.png", "data": "§"}], "no base64"),
        ([upload("a.png", b"no picture")], "no picture that can be read"),
        ([upload("a.npy", b"no array")], "no NumPy array"),
        ([upload("a.npy", npy(np.zeros((2, 28, 28))))], "takes one of shape (64,)"),
        ([upload("a.npy", npy(np.full((1, 64), 99.0)))], "16"),
        ([upload("a.npy", npy(np.array(["x"])))], "a.npy"),
        ([upload("../../etc/passwd", b"root")], "passwd is no picture"),
        ([upload("a.npy", b"\x93NUMPY\x01\x00" + b"\xff" * 30)], "a.npy"),
    ],
)
def test_a_file_that_does_not_fit_says_what_would(ask, files, says):
    events = ask("score", files=files)
    assert events[-1]["event"] == "error"
    assert says in events[-1]["message"]


def test_a_huge_picture_is_refused_before_it_is_decoded(ask):
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(100)))
    events = ask("score", files=[upload("bomb.png", bomb + chunk(b"IEND", b""))])
    assert events[-1]["event"] == "error"
    assert "make it smaller" in events[-1]["message"] or "no picture" in events[-1]["message"]


def test_compressed_bytes_are_those_of_python_and_the_command(ask, run_snippet, tmp_path):
    found = result(ask("compress", count=6, times=4, layers=2))
    assert found["exact"]
    (tmp_path / "data.npy").write_bytes(base64.b64decode(found["file"]))
    names = run_snippet({**found["snippet"], "command": found["snippet"]["command"].split("\n")[0]})
    sizes = dict(found["sizes"])
    assert sizes["this model"] == len(names["stream"])
    assert sizes["this model"] == (tmp_path / "data.qs").stat().st_size
    assert sizes["plain"] == 6 * 64
    layers = found["layers"]
    assert [each["t"] for each in layers][-1] == 0
    assert layers[-1]["size"] == len(names["first"])
    shown = values(layers[-1]["images"], 17)
    np.testing.assert_array_equal(shown, np.load(tmp_path / "data.npy"))
    assert [each["size"] for each in layers] == sorted(each["size"] for each in layers)


def test_rows_of_a_file_are_scored_as_by_python_and_command(table, run_snippet, tmp_path):
    _, ask, _ = table
    rows = people(60, 3)
    odd = rows.head(1).with_columns(height=2.4, weight=40)
    rows = rows.vstack(odd.select(rows.columns).cast(rows.schema))
    text = rows.write_csv()
    found = result(ask("score", files=[upload("new.csv", text.encode())]))
    assert found["rows"] == 61
    assert found["listed"][0]["row"] == 61
    assert found["listed"][0]["why"]
    (tmp_path / "new.csv").write_text(text)
    snippet = found["snippet"]
    names = run_snippet({**snippet, "command": snippet["command"].split("\n")[0]})
    assert found["nats"] == pytest.approx(names["log_prob"].mean())
    assert found["listed"][0]["p_value"] == pytest.approx(names["p_value"][60])
    assert set(found["columns"]) == {"height", "weight", "town"}
    run_snippet({"python": "", "command": snippet["command"].split("\n")[1]})
    assert (tmp_path / "outliers.csv").is_file()


def test_a_table_is_compressed_as_by_the_command(table, run_snippet, tmp_path):
    _, ask, _ = table
    text = people(12, 5).write_csv()
    found = result(ask("compress", files=[upload("new.csv", text.encode())], times=4))
    (tmp_path / "new.csv").write_text(text)
    run_snippet({**found["snippet"], "python": ""})
    sizes = dict(found["sizes"])
    assert sizes["this model"] == (tmp_path / "rows.qs").stat().st_size + found["beside"]
    assert sizes["the file"] == len(text)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"a,b\n1,2\n", "there is no column"),
        (b"", "new.csv"),
        (b"height,weight,town\n1.7,70,Bern\n1.8,x,Bern\n", "weight"),
    ],
)
def test_a_table_that_does_not_fit_says_why(table, data, says):
    _, ask, _ = table
    events = ask("score", files=[upload("new.csv", data)])
    assert events[-1]["event"] == "error"
    assert says in events[-1]["message"]
