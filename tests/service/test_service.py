"""The service: equal answers in any batch, bounded queues, errors that name what is wrong."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
import pytest

starlette = pytest.importorskip("starlette", reason="the service extra is not installed")
httpx = pytest.importorskip("httpx", reason="the service extra is not installed")
pytest.importorskip("prometheus_client", reason="the service extra is not installed")

from starlette.testclient import TestClient  # noqa: E402

import quasistatic as qs  # noqa: E402
from quasistatic.scale import partition  # noqa: E402
from quasistatic.service import Limits, create_app  # noqa: E402
from quasistatic.service.batching import Batcher, Busy  # noqa: E402
from quasistatic.service.subjects import ARROW  # noqa: E402
from visit_rows import visits  # noqa: E402

pytestmark = pytest.mark.usefixtures("float32")


@pytest.fixture(scope="module")
def client(table_run):
    with TestClient(create_app(table_run, Limits(rows=500))) as made:
        yield made


@pytest.mark.parametrize(
    ("verb", "options"),
    [("score", {}), ("outliers", {"level": 0.2}), ("impute", {"intervals": 0.8})],
)
def test_json_and_arrow_have_the_answers_of_a_partition(client, table_run, verb, options):
    rows = visits(30, seed=1, holes=0.2)
    expected = partition(table_run, verb, **options)(rows)
    found = client.post(f"/{verb}", json={"rows": rows.to_dicts(), "options": options})
    assert found.status_code == 200, found.text
    assert pl.DataFrame(found.json()["rows"], schema=expected.schema).equals(expected)
    pa = pytest.importorskip("pyarrow")
    sink, table = pa.BufferOutputStream(), rows.to_arrow()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    headers = {"content-type": ARROW}
    body = sink.getvalue().to_pybytes()
    found = client.post(f"/{verb}", params=options, content=body, headers=headers)
    assert found.headers["content-type"] == ARROW
    assert pl.from_arrow(pa.ipc.open_stream(found.content).read_all()).equals(expected)


def test_requests_that_are_answered_together_have_the_answers_of_each_alone(client):
    each = [visits(3 + k % 4, seed=30 + k, holes=0.1).to_dicts() for k in range(24)]
    alone = [client.post("/score", json={"rows": rows}).json() for rows in each]
    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(lambda rows: client.post("/score", json={"rows": rows}), each))
    assert [found.json() for found in together] == alone
    text = client.get("/metrics").text
    assert 'quasistatic_requests_total{status="200",verb="score"}' in text
    assert "quasistatic_waiting_requests 0.0" in text


def test_draws_and_completions(client, table_run):
    first = client.post("/sample", json={"n": 5, "options": {"seed": 2}}).json()["rows"]
    later = client.post("/sample", json={"n": 2, "first": 3, "options": {"seed": 2}}).json()
    assert later["rows"] == first[3:]
    rows = visits(4, seed=9, holes=0.3)
    found = client.post("/complete", json={"rows": rows.to_dicts(), "options": {"draws": 3}})
    expected = partition(table_run, "complete", draws=3)(rows)
    assert pl.DataFrame(found.json()["rows"], schema=expected.schema).equals(expected)


GOOD = {"size": 1.0, "cost": 2.0, "count": 3, "kind": "walk"}


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/scores", {"rows": [GOOD]}, 404, "there is no verb 'scores'"),
        ("/score", {"rows": []}, 400, "there are no rows"),
        ("/score", {"rows": 3}, 400, "a list of objects"),
        ("/score", [1], 400, "the body is a JSON object"),
        ("/score", {"rows": [{"size": 1.0}]}, 400, "no column 'cost', 'count', 'kind'"),
        ("/score", {"rows": [GOOD | {"size": "big"}]}, 400, "do not have the types"),
        ("/score", {"rows": [GOOD], "options": {"x": 1}}, 400, "score has no option 'x'"),
        ("/outliers", {"rows": [GOOD], "options": {"level": 3}}, 400, "level is a share"),
        ("/impute", {"rows": [GOOD | {"kind": "fly", "size": None}]}, 400, "fly"),
        ("/sample", {"n": 0}, 400, "`n` is a whole number"),
        ("/score", {"rows": [GOOD] * 501}, 413, "500 rows at most, got 501"),
    ],
)
def test_a_wrong_request_is_named(client, path, body, status, said):
    found = client.post(path, json=body)
    assert found.status_code == status, found.text
    assert said in found.json()["error"]


def test_other_wrong_bodies_are_named(client):
    assert "no JSON" in client.post("/score", content=b"{").json()["error"]
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/").json()["columns"]["count"] == "Int64"


def test_a_body_that_is_no_arrow_stream_is_named(client):
    pytest.importorskip("pyarrow")
    found = client.post("/score", content=b"xx", headers={"content-type": ARROW})
    assert (found.status_code, "no Arrow stream" in found.text) == (400, True)


def test_a_wrong_request_harms_no_other_in_its_batch():
    def answer(key, values):
        if any(value < 0 for value in values):
            raise ValueError(f"{min(values)} is negative")
        return [value * 2 for value in values]

    async def ask():
        batcher = Batcher(answer, Limits(), lambda requests, rows: None)
        asked = [batcher.ask("key", value, 1) for value in (1, 2, -3, 4)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        await batcher.close()
        return found

    found = asyncio.run(ask())
    assert (found[0], found[1], found[3]) == (2, 4, 8)
    assert str(found[2]) == "-3 is negative"


def test_requests_beyond_the_queue_are_refused_and_slow_ones_end():
    begun, goes_on, sizes = threading.Event(), threading.Event(), []

    def answer(key, values):
        begun.set()
        goes_on.wait(10)
        return values

    async def ask():
        limits = Limits(queue=3, batch=2, seconds=5)
        batcher = Batcher(answer, limits, lambda requests, rows: sizes.append(rows))
        first = asyncio.create_task(batcher.ask("key", 0, 1))
        while not begun.is_set():
            await asyncio.sleep(0.01)
        others = [asyncio.create_task(batcher.ask("key", k, 1)) for k in (1, 2, 3)]
        await asyncio.sleep(0)
        with pytest.raises(Busy, match="ask again in 1 s"):
            await batcher.ask("key", 4, 1)
        goes_on.set()
        found = await asyncio.gather(first, *others)
        await batcher.close()
        return found

    assert asyncio.run(ask()) == [0, 1, 2, 3]
    assert sizes == [1, 2, 1]  # a batch has two rows at most

    async def wait():
        batcher = Batcher(
            lambda key, values: time.sleep(0.3) or values, Limits(seconds=0.05), lambda *_: None
        )
        with pytest.raises(TimeoutError):
            await batcher.ask("key", 0, 1)
        await batcher.close()

    asyncio.run(wait())


def test_arrays_are_served(table_run):
    digits = qs.data.split(qs.data.digits()).test[:3]
    with TestClient(create_app("digits")) as client:
        body = {"data": digits.tolist(), "options": {"evaluations": 4}}
        found = client.post("/score", json=body).json()["log_prob"]
        expected = partition("digits", "score", evaluations=4)(digits)
        np.testing.assert_array_equal(np.array(found), expected)
        assert "shape [64]" in client.post("/score", json={"data": [[1, 2]]}).json()["error"]
        holed = [[None, *row[1:]] for row in digits.tolist()]
        said = client.post("/score", json={"data": holed}).json()["error"]
        assert said == "score takes examples without missing values"


def test_a_stopping_service_answers_what_has_arrived(table_run):
    """SIGTERM while a slow request is at work: it is answered, and the process ends well."""
    line = [sys.executable, "-m", "quasistatic", "serve", str(table_run), "--port", "0"]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        url = process.stdout.readline().split()[2].rstrip(";")
        body = {"n": 9000, "options": {"seed": 1}}
        with ThreadPoolExecutor(1) as pool:
            found = pool.submit(httpx.post, f"{url}/sample", json=body, timeout=60)
            wait_until(lambda: "waiting" in httpx.get(f"{url}/metrics").text)
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            wait_until(lambda: httpx.get(f"{url}/health").status_code == 503)
            late = httpx.post(f"{url}/sample", json={"n": 2}, timeout=60)
            assert late.status_code == 200  # it arrived within the second of grace
            assert len(found.result().json()["rows"]) == 9000
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.stdout.close()


def test_no_request_is_lost_when_a_busy_service_stops(table_run):
    """Forty connections send while the service is told to stop: each gets its answer, also those
    that are read late, and a connection that comes later is refused."""
    line = [sys.executable, "-m", "quasistatic", "serve", str(table_run), "--port", "0"]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    begun = threading.Barrier(41)

    def ask(k):
        with httpx.Client(timeout=60) as session:
            session.get(f"{url}/health")  # the connection is open
            begun.wait(60)
            body = {"n": 1500 + k, "options": {"seed": k}}
            return session.post(f"{url}/sample", json=body)

    try:
        url = process.stdout.readline().split()[2].rstrip(";")
        with ThreadPoolExecutor(40) as pool:
            found = [pool.submit(ask, k) for k in range(40)]
            begun.wait(60)
            process.send_signal(signal.SIGTERM)
            answers = [each.result() for each in found]
        assert [len(each.json()["rows"]) for each in answers] == [1500 + k for k in range(40)]
        assert any(each.headers.get("connection") == "close" for each in answers)
        assert process.wait(60) == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/health")
    finally:
        process.kill()
        process.stdout.close()


def wait_until(met):
    for _ in range(500):
        if met():
            return
        time.sleep(0.02)
