"""The metrics of a service, for Prometheus."""

__all__ = ["Metrics"]

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
ROWS = (1, 10, 100, 1000, 10_000)


class Metrics:
    """Counts of requests, times and queues.

    Args:
        queued: gives the number of requests that wait.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, queued: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        name = "quasistatic"
        self.requests = Counter(
            f"{name}_requests",
            "Requests by verb and status",
            ["verb", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            f"{name}_request_seconds",
            "Time from arrival to answer",
            ["verb"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.rows = Counter(f"{name}_rows", "Rows that were answered", registry=self.registry)
        self.batches = Histogram(
            f"{name}_batch_rows",
            "Rows that were answered together",
            buckets=ROWS,
            registry=self.registry,
        )
        waiting = Gauge(f"{name}_waiting_requests", "Requests that wait", registry=self.registry)
        waiting.set_function(queued)
        ProcessCollector(registry=self.registry)

    def batch(self, requests: int, rows: int) -> None:
        """Counts a batch that was answered."""
        self.rows.inc(rows)
        self.batches.observe(rows)

    def text(self) -> bytes:
        """All metrics as Prometheus reads them."""
        return generate_latest(self.registry)
