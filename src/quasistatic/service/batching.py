"""Requests that wait, and one thread that answers those alike together."""

__all__ = ["Asked", "Batcher", "Busy"]

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from .limits import Limits


class Busy(Exception):
    """Too many requests wait.

    Args:
        seconds: after which it is worth to ask again.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many requests wait: ask again in {seconds} s")
        self.seconds = seconds


@dataclass(eq=False)
class Asked:
    """A request that waits.

    Args:
        key: requests of one key can be answered together.
        value: what is asked about.
        rows: of it.
        future: gets the answer.
    """

    key: Hashable
    value: Any
    rows: int
    future: "asyncio.Future[Any]"
    since: float = field(default_factory=time.monotonic)


class Batcher:
    """A bounded queue, and a thread that answers it.

    While the thread works, requests gather; it then takes the first one and all others of its key,
    up to the rows of a batch. So batches grow with the load, and a lone request does not wait.

    Args:
        answer: answers the values of several requests of one key, in their order; runs in the
            thread.
        limits: of the service.
        seen: is called with the requests and the rows of each batch.
    """

    def __init__(
        self,
        answer: Callable[[Hashable, Sequence[Any]], Sequence[Any]],
        limits: Limits,
        seen: Callable[[int, int], None],
    ) -> None:
        self.answer, self.limits, self.seen = answer, limits, seen
        self.waiting: deque[Asked] = deque()
        self.pace = 1000.0  # rows a second, a running mean
        self._thread = ThreadPoolExecutor(1, "answers")
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    @property
    def queued(self) -> int:
        """Requests that wait."""
        return len(self.waiting)

    async def ask(self, key: Hashable, value: Any, rows: int) -> Any:
        """The answer to a request.

        Raises:
            Busy: if too many wait already.
            TimeoutError: if the answer takes too long.
        """
        if len(self.waiting) >= self.limits.queue or self._closing:
            rows_before = sum(each.rows for each in self.waiting)
            raise Busy(max(1, min(60, math.ceil(rows_before / self.pace))))
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        asked = Asked(key, value, rows, asyncio.get_running_loop().create_future())
        self.waiting.append(asked)
        self._wake.set()
        return await asyncio.wait_for(asked.future, self.limits.seconds)

    async def close(self) -> None:
        """Answers what waits, and ends."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task
        self._thread.shutdown()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self.waiting or not self._closing:
            batch = self._taken()
            if not batch:
                self._wake.clear()
                await self._wake.wait()
                continue
            rows, begun = sum(each.rows for each in batch), time.monotonic()
            found = await loop.run_in_executor(self._thread, self._answers, batch)
            self.seen(len(batch), rows)
            spent = max(time.monotonic() - begun, 1e-6)
            self.pace = 0.8 * self.pace + 0.2 * rows / spent
            for asked, answer in zip(batch, found, strict=True):
                if asked.future.done():  # it took too long, and its client has gone
                    continue
                if isinstance(answer, BaseException):
                    asked.future.set_exception(answer)
                else:
                    asked.future.set_result(answer)

    def _taken(self) -> list[Asked]:
        """The first request and those that can be answered with it."""
        while self.waiting and self.waiting[0].future.done():
            self.waiting.popleft()
        if not self.waiting:
            return []
        first = self.waiting.popleft()
        batch, rows, left = [first], first.rows, deque[Asked]()
        while self.waiting:
            each = self.waiting.popleft()
            if each.future.done():
                continue
            if each.key == first.key and rows + each.rows <= self.limits.batch:
                batch.append(each)
                rows += each.rows
            else:
                left.append(each)
        self.waiting = left
        return batch

    def _answers(self, batch: Sequence[Asked]) -> list[Any]:
        """The answers or the errors. If the requests fail together, each is tried by itself, so
        that a wrong request harms no other."""
        try:
            return list(self.answer(batch[0].key, [each.value for each in batch]))
        except Exception as error:
            if len(batch) == 1:
                return [error]
        return [self._answers([each])[0] for each in batch]
