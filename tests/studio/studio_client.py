"""A studio for the tests: its client, and a function that asks a view."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

starlette = pytest.importorskip("starlette", reason="the extra `studio` is not installed")
from starlette.testclient import TestClient  # noqa: E402

from quasistatic.studio import Library, create_app  # noqa: E402

TOKEN = "secret"
HOME = f"http://127.0.0.1/{TOKEN}"

Ask = Callable[..., list[dict[str, Any]]]


def client_of(*runs: object) -> TestClient:
    return TestClient(create_app(Library([str(run) for run in runs]), TOKEN), base_url=HOME)


def asking(client: TestClient, run: str) -> Ask:
    """A function that asks a view about a run and gives all its events."""

    def ask(view: str, **fields: Any) -> list[dict[str, Any]]:
        answer = client.post(f"/api/{view}", json={"run": run, **fields})
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines() if line]

    return ask


def result(events: list[dict[str, Any]]) -> dict[str, Any]:
    """The last event, which must be a result."""
    assert events[-1]["event"] == "result", events[-1]
    return events[-1]


@pytest.fixture(scope="session")
def shipped() -> Iterator[TestClient]:
    """A studio of the two models that come with the library."""
    with client_of("digits", "binarized-mnist") as client:
        yield client


@pytest.fixture
def ask(shipped: TestClient) -> Ask:
    """Asks about the digits."""
    return asking(shipped, "digits")


@pytest.fixture
def run_snippet(tmp_path, monkeypatch) -> Callable[[dict[str, str]], dict[str, Any]]:
    """Runs the Python of a snippet and its command line in a folder of their own. Gives the
    namespace of the Python; the command leaves its files in the folder."""
    import shlex

    from quasistatic.cli import main

    def run(snippet: dict[str, str]) -> dict[str, Any]:
        monkeypatch.chdir(tmp_path)
        names: dict[str, Any] = {}
        exec(compile(snippet["python"], "the snippet", "exec"), names)
        if snippet["command"]:
            words = shlex.split(snippet["command"])
            assert words[0] == "quasistatic"
            main(words[1:])
        return names

    return run
