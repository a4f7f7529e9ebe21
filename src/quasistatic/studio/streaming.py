"""Answers that come line by line, one JSON object each, while a thread works."""

__all__ = ["Streamed", "dumps"]

import asyncio
import json
import math
from concurrent.futures import Future
from typing import Any

from starlette.types import Receive, Scope, Send

from .jobs import Job, Pool, Work

LAST = {"result", "error", "stopped"}
"""The events after which nothing comes."""

PATIENCE, BEAT = 0.5, 5.0
"""Seconds of silence after which the server sends that the job waits, and after which an empty line
is sent."""


class Streamed:
    """A response that starts a job and sends its events. If the reader leaves, the job stops.

    Args:
        pool: the threads.
        work: what the job does.
    """

    def __init__(self, pool: Pool, work: Work) -> None:
        self.pool, self.work = pool, work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        job = Job(asyncio.get_running_loop())
        future = self.pool.start(job, self.work)
        await send(
            {
                "type": "http.response.start",
                "status": 200 if future else 503,
                "headers": [
                    (b"content-type", b"application/x-ndjson"),
                    (b"cache-control", b"no-store"),
                ],
            }
        )
        if future is None:
            busy = "too many answers are being computed: try again in a moment"
            await _send(send, {"event": "error", "message": busy}, last=True)
            return
        leaving = asyncio.create_task(_left(receive))
        try:
            await _forward(job, future, leaving, send)
        finally:
            leaving.cancel()
            job.stop()
            future.cancel()
            while not job.events.empty():  # the thread may wait for room
                job.events.get_nowait()


async def _forward(
    job: Job, future: "Future[None]", leaving: "asyncio.Task[None]", send: Send
) -> None:
    """Sends the events of a job until its last one, or until the reader leaves."""
    coming, pause = asyncio.create_task(job.events.get()), PATIENCE
    try:
        while True:
            done, _ = await asyncio.wait(
                {coming, leaving}, timeout=pause, return_when=asyncio.FIRST_COMPLETED
            )
            if leaving in done:
                return
            if coming not in done:
                waits = not future.running() and not future.done()
                line = dumps({"event": "waiting"}) if waits else ""
                body = line.encode() + b"\n"
                await send({"type": "http.response.body", "body": body, "more_body": True})
                pause = BEAT
                continue
            event = coming.result()
            last = event["event"] in LAST
            await _send(send, event, last)
            if last:
                return
            coming = asyncio.create_task(job.events.get())
    finally:
        coming.cancel()


async def _left(receive: Receive) -> None:
    """Ends when the reader leaves."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Send, event: dict[str, Any], last: bool = False) -> None:
    line = dumps(event).encode() + b"\n"
    await send({"type": "http.response.body", "body": line, "more_body": not last})


def dumps(value: object) -> str:
    """JSON in one line. Numbers that JSON does not have become null."""
    return json.dumps(_finite(value), separators=(",", ":"), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value
