"""The Ray Serve deployment of docs/service.md, as it stands there."""

import re
import socket
from pathlib import Path

import httpx
import polars as pl
import pytest

from quasistatic.scale import partition
from visit_rows import visits

PAGE = Path(__file__).parents[2] / "docs" / "service.md"


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("float32")
def test_the_deployment_of_the_page_gives_the_scores_of_a_partition(table_run):
    serve = pytest.importorskip("ray.serve", reason="ray[serve] is not installed")
    blocks = re.findall(r"^```py\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)
    code = next(block for block in blocks if "serve.run" in block)
    code = code.replace("/shared/runs/visits", str(table_run)).replace("replicas=2", "replicas=1")
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        serve.start(http_options={"port": port})
        exec(compile(code, "docs/service.md", "exec"), {"__name__": "deployment"})
        rows = visits(5, seed=3)
        found = httpx.post(f"http://127.0.0.1:{port}", json={"rows": rows.to_dicts()}, timeout=120)
        expected = partition(table_run, "score")(rows)
        assert pl.DataFrame(found.json(), schema=expected.schema).equals(expected)
    finally:
        serve.shutdown()
        ray.shutdown()
