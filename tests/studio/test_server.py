"""The server: what it serves, what it refuses, and that a stop stops."""

import asyncio
import json
import subprocess
import sys
import threading
import time

import pytest
from starlette.testclient import TestClient
from studio_client import HOME, TOKEN, ask, client_of, shipped

from quasistatic.studio import Library, Studio, create_app
from quasistatic.studio.gate import LIMIT, Gate
from quasistatic.studio.jobs import Job, Pool, Stopped
from quasistatic.studio.streaming import Streamed, dumps


def test_the_page_and_all_that_it_names_are_served(shipped):
    page = shipped.get("/")
    assert page.status_code == 200
    import re

    for name in re.findall(r'(?:src|href)="(static/[^"]+)"', page.text):
        assert shipped.get(f"/{name}").status_code == 200, name


def test_no_file_of_the_page_names_another_machine(shipped):
    from quasistatic.studio.server import STATIC

    for path in STATIC.rglob("*.*"):
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, path
        assert "https://" not in text, path
        assert "innerHTML" not in text, f"{path}: text of a run could become markup"


def test_headers_keep_the_page_on_this_machine(shipped):
    headers = shipped.get("/").headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "path",
    ["/", "/wrong/", "/secre/", "/secrett/api/runs", "//", "/%2e%2e/secret/", "/static/app.js"],
)
def test_a_request_without_the_token_is_refused(path):
    with TestClient(create_app(Library(["digits"]), TOKEN), base_url="http://127.0.0.1") as client:
        answer = client.get(path)
        assert answer.status_code == 403
        assert "token" in answer.text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "evil.example:8765"])
def test_a_page_of_a_stranger_is_refused_by_its_host(shipped, host):
    assert shipped.get("/", headers={"host": host}).status_code == 403


def test_a_request_of_another_site_is_refused(shipped):
    answer = shipped.post("/api/sample", json={}, headers={"origin": "http://evil.example"})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py",
        "/static/%2e%2e/server.py",
        "/static/..%2fserver.py",
        "/static/views/%2e%2e/%2e%2e/jobs.py",
        "/static//etc/passwd",
        "/static/%2fetc/passwd",
        "/static/..%5cserver.py",
    ],
)
def test_no_path_leads_out_of_the_folder_of_the_page(shipped, path):
    answer = shipped.get(path)
    assert answer.status_code == 404
    assert "import" not in answer.text


@pytest.mark.parametrize("run", ["../..", "/etc", "/", "digits/../../..", "nobody/model", ""])
def test_only_the_runs_of_the_studio_are_opened(shipped, run):
    answer = shipped.get("/api/run", params={"name": run})
    assert answer.status_code == 400
    assert "the studio has no run" in answer.json()["error"]
    events = shipped.post("/api/sample", json={"run": run}).text
    assert json.loads(events)["event"] == "error"


def test_a_large_body_is_refused_before_it_is_read(shipped):
    answer = shipped.post("/api/score", content=b"{}", headers={"content-length": str(2**30)})
    assert answer.status_code == 413
    assert "MiB" in answer.text


def test_a_large_body_that_hides_its_length_is_read_up_to_the_limit():
    read = 0

    def pieces():
        nonlocal read
        for _ in range(1024):  # 1 GiB
            read += 2**20
            yield bytes(2**20)

    with client_of("digits") as client:
        answer = client.post("/api/score", content=pieces())
    assert answer.status_code == 413

    # The test client reads all of a body first; a server hands it over piece by piece.
    taken = 0

    async def receive():
        nonlocal taken
        taken += 2**20
        return {"type": "http.request", "body": bytes(2**20), "more_body": True}

    sent = []

    async def send(message):
        sent.append(message)

    headers = [(b"host", b"127.0.0.1"), (b"transfer-encoding", b"chunked")]
    scope = {"type": "http", "method": "POST", "path": f"/{TOKEN}/api/score", "headers": headers}
    scope |= {"query_string": b"", "root_path": "", "scheme": "http", "server": ("127.0.0.1", 1)}
    asyncio.run(create_app(Library(["digits"]), TOKEN)(scope, receive, send))
    assert sent[0]["status"] == 413
    assert taken <= LIMIT + 2**21


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"[1]", "not an object"),
        (b'"text"', "not an object"),
        (b'{"run": NaN}', "NaN is no number"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100_000, "no JSON"),
    ],
)
def test_malformed_json_is_refused(shipped, body, says):
    answer = shipped.post("/api/sample", content=body)
    assert answer.status_code == 400
    assert says in answer.json()["error"]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"n": 0}, "n is a whole number from 1 to 64"),
        ({"n": 10**9}, "n is a whole number"),
        ({"n": True}, "n is a whole number"),
        ({"n": "7"}, "n is a whole number"),
        ({"seed": -1}, "seed is a whole number"),
        ({"stepper": "euler"}, "stepper is one of"),
        ({"steps": 10**6}, "steps is a whole number"),
        ({"guidance": "much"}, "guidance is a number"),
        ({"given": "3"}, "no condition"),
        ({"given": ["3"]}, "given is a text"),
        ({"quality": "yes"}, "true or false"),
        ({"run": None}, "run is a text"),
    ],
)
def test_a_wrong_field_is_named(ask, fields, says):
    events = ask("sample", **fields)
    assert events[-1]["event"] == "error"
    assert says in events[-1]["message"]


def test_an_unknown_view_says_which_there_are(ask):
    events = ask("destroy")
    assert "no view 'destroy'" in events[-1]["message"]
    assert "sample" in events[-1]["message"]


def test_numbers_that_json_lacks_become_null():
    assert dumps({"a": [float("nan"), float("inf"), 1.5]}) == '{"a":[null,null,1.5]}'


def test_a_reader_who_leaves_stops_the_work():
    """The work is an endless loop: it ends because the reader has left."""
    ended = threading.Event()

    def endless(job: Job):
        try:
            while True:
                job.progress(1, 2)
                time.sleep(0.01)
        except Stopped:
            ended.set()
            raise

    async def leave():
        sent, left = [], asyncio.Event()

        async def receive():
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)
            if b"progress" in message.get("body", b""):
                left.set()

        await Streamed(Pool(1), endless)({}, receive, send)
        return sent

    sent = asyncio.run(asyncio.wait_for(leave(), 20))
    assert any(b"progress" in each.get("body", b"") for each in sent)
    assert ended.wait(5)


def test_a_slow_reader_makes_the_work_wait_and_memory_stays_bounded():
    made = []

    def much(job: Job):
        for k in range(100):
            job.send("frame", k=k)
            made.append(k)
        return {}

    async def watch():
        job = Job(asyncio.get_running_loop(), room=4)
        Pool(1).start(job, much)
        await asyncio.sleep(0.5)
        waiting = len(made)
        got = []
        while not got or got[-1]["event"] != "result":
            got.append(await job.events.get())
        return waiting, got

    waiting, got = asyncio.run(watch())
    assert waiting <= 5
    assert [each["k"] for each in got[:-1]] == list(range(100))


def test_a_job_that_waits_and_is_stopped_never_starts():
    started = []

    async def both():
        pool, release = Pool(1), threading.Event()
        first, second = (Job(asyncio.get_running_loop()) for _ in range(2))
        pool.start(first, lambda job: {"waited": release.wait(10)})
        waits = pool.start(second, lambda job: started.append(1) or {})
        assert not waits.running()
        second.stop()
        release.set()
        return (await second.events.get())["event"]

    assert asyncio.run(both()) == "stopped"
    assert not started


def test_too_many_jobs_are_refused_with_a_message():
    async def crowd():
        pool, release = Pool(1, waiting=1), threading.Event()
        jobs = [Job(asyncio.get_running_loop()) for _ in range(3)]
        started = [pool.start(job, lambda job: {"w": release.wait(10)}) for job in jobs]
        release.set()
        return [each is not None for each in started]

    assert asyncio.run(crowd()) == [True, True, False]


def test_two_answers_run_at_the_same_time():
    """Each waits for the other: one thread alone would never end."""
    both = threading.Barrier(2, timeout=20)

    async def pair():
        pool = Pool(2)
        jobs = [Job(asyncio.get_running_loop()) for _ in range(2)]
        for job in jobs:
            pool.start(job, lambda job: {"place": both.wait()})
        return [(await job.events.get())["event"] for job in jobs]

    assert asyncio.run(pair()) == ["result", "result"]


def test_a_port_in_use_gives_the_next_one():
    first = Studio.of(["digits"])
    second = Studio.of(["digits"], first.port)
    try:
        assert second.port > first.port
        assert second.address != first.address
        assert first.address.startswith(f"http://127.0.0.1:{first.port}/")
        assert len(first.token) >= 20
    finally:
        first.listening.close()
        second.listening.close()


def test_without_a_display_the_address_is_printed(monkeypatch):
    import uvicorn

    from quasistatic.studio import launch

    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("QUASISTATIC_OFFLINE", "1")
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: None)
    monkeypatch.setattr(launch.webbrowser, "open", lambda address: pytest.fail("opened a browser"))
    said = []
    studio = Studio.of(["digits"])
    studio.serve(said.append)
    assert studio.address in said[0]
    studio.listening.close()
    assert any("no display" in each for each in said)


def test_a_run_that_does_not_exist_is_refused_before_the_page_opens():
    with pytest.raises(FileNotFoundError, match="no pretrained model"):
        Studio.of(["no-such-run"])


def test_a_damaged_run_is_a_message_in_the_page(tmp_path):
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "config.json").write_text("{")
    with client_of(folder, "digits") as client:
        answer = client.get("/api/run", params={"name": str(folder)})
        assert answer.status_code == 400
        assert "is damaged" in answer.json()["error"]
        assert client.get("/api/run", params={"name": "digits"}).status_code == 200


def test_the_gate_lets_other_protocols_of_the_server_pass():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    asyncio.run(Gate(app, TOKEN)({"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]


def test_the_address_of_the_tests_is_one_of_this_machine():
    assert HOME.startswith("http://127.0.0.1/")


def test_the_kept_facts_of_shipped_models_are_those_of_the_models():
    """`python -m quasistatic.studio.shipped` writes them anew."""
    import json

    from quasistatic.recipes.locations import WEIGHTS, pretrained
    from quasistatic.studio.shipped import shipped_facts
    from quasistatic.studio.subjects import opened

    for name in pretrained():
        facts = json.loads(json.dumps(opened(name, WEIGHTS / name).facts()))
        assert shipped_facts(name, WEIGHTS / name) == facts


def test_the_page_of_a_shipped_model_needs_no_pytorch():
    code = """
import sys
from quasistatic.studio import Library
print(Library(["digits"]).facts("digits")["views"][0], "torch" in sys.modules)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.split() == ["sample", "False"], found.stderr
