"""Long work in threads: its progress, its results as they come, and a stop that ends it."""

__all__ = ["MOST_WAITING", "WORKERS", "Job", "Pool", "Stopped"]

import asyncio
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

WORKERS = max(4, os.cpu_count() or 1)
"""Jobs that run at the same time. Others wait."""

MOST_WAITING = 64
"""Jobs that may wait. More are refused, so that the memory stays bounded."""

PAUSE = 0.12
"""Seconds between two messages about progress."""

Event = dict[str, Any]
Work = Callable[["Job"], Event]


class Stopped(Exception):
    """The job was stopped: its reader left, or pressed Stop."""


class Job:
    """One answer in the making. Its work runs in a thread and sends events to the event loop.

    Args:
        loop: the event loop of the server.
        room: events that may wait for a slow reader; the work then waits too.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, room: int = 8) -> None:
        self.events: asyncio.Queue[Event] = asyncio.Queue(room)
        self._loop = loop
        self._stop = threading.Event()
        self._sent = 0.0

    @property
    def stopped(self) -> bool:
        """Whether the job has to end."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Ends the work at its next check."""
        self._stop.set()

    def check(self) -> None:
        """Raises Stopped if the job has to end. Work calls it often."""
        if self._stop.is_set():
            raise Stopped

    def send(self, event: str, **facts: Any) -> None:
        """Sends an event to the reader, and waits while the reader is slow.

        Raises:
            Stopped: if the job was stopped.
        """
        self.check()
        sent = self._post({"event": event, **facts})
        while True:
            try:
                return sent.result(0.2)
            except TimeoutError:
                if self._stop.is_set():
                    sent.cancel()
                    raise Stopped from None

    def progress(self, done: float, total: float, note: str = "") -> None:
        """Says how far the work is, a few times a second at most.

        Raises:
            Stopped: if the job was stopped.
        """
        self.check()
        now = time.monotonic()
        if now - self._sent >= PAUSE:
            self._sent = now
            self.send("progress", done=min(done, total), total=total, note=note)

    def run(self, work: Work) -> None:
        """Does the work in the thread that calls it. The last event is its result, an error or
        "stopped"."""
        try:
            self.check()
            began = time.perf_counter()
            facts = work(self)
            self.send("result", seconds=time.perf_counter() - began, **facts)
        except Stopped:
            self._end({"event": "stopped"})
        except Exception as error:
            self._end({"event": "error", "message": message_of(error)})

    def _end(self, event: Event) -> None:
        """Sends a last event also after a stop, if a reader is left."""
        try:
            self._post(event).result(2)
        except (TimeoutError, Stopped):  # the reader or the server is gone
            return

    def _post(self, event: Event) -> "Future[None]":
        """Hands an event to the event loop. Raises Stopped if the server has ended."""
        putting = self.events.put(event)
        try:
            return asyncio.run_coroutine_threadsafe(putting, self._loop)
        except RuntimeError:  # the loop is closed
            putting.close()
            raise Stopped from None


class Pool:
    """Threads for jobs: some run, some wait, and more than that are refused."""

    def __init__(self, workers: int = WORKERS, waiting: int = MOST_WAITING) -> None:
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="studio")
        self._most = workers + waiting
        self._lock = threading.Lock()
        self.busy = 0
        """Jobs that run or wait."""

    def start(self, job: Job, work: Work) -> Future[None] | None:
        """Starts a job, or lets it wait; None if there are too many."""
        with self._lock:
            if self.busy >= self._most:
                return None
            self.busy += 1
        future = self._threads.submit(job.run, work)
        future.add_done_callback(self._done)
        return future

    def close(self) -> None:
        """Takes no more jobs and waits for none."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _done(self, _: Future[None]) -> None:
        with self._lock:
            self.busy -= 1


def message_of(error: Exception) -> str:
    """An error as a sentence for the page: the library's own errors say what to do."""
    text = str(error).strip()
    if isinstance(error, ValueError | TypeError | OSError | RuntimeError) and text:
        return text
    return f"{type(error).__name__}: {text or 'no more is known'}"
