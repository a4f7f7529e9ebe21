"""What runs a function over many items: this machine, or Ray Data."""

__all__ = ["Engine", "Local", "OnRay"]

import abc
import contextlib
import logging
import multiprocessing
import os
import pickle
import socket
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")

REACHED_IN = 5.0
"""Seconds in which the address of a cluster has to answer."""

READERS = 1
"""CPUs of a cluster that actors leave for reading. Without one, Ray Data waits for ever
(ray-project/ray#44687)."""

RETRIES = 2
"""How often an item is tried again whose actor died. Ray itself would start actors and send the
item to them for ever."""

KILLED = "its worker was killed again and again: it may need more memory"
"""The error of a part whose worker died at each trial."""

Mapper = Callable[[Callable[[Any], Any], Sequence[Any]], list[Any]]


class Engine(abc.ABC):
    """A way to run a function over items."""

    @abc.abstractmethod
    def map(
        self, work: Callable[[T], R], items: Sequence[T], lost: Callable[[T, str], R]
    ) -> Iterator[R]:
        """The results of the items, in the order in which they are finished.

        Args:
            work: a function that pickles. It is sent to each worker once.
            items: what it is called with.
            lost: makes the result of an item whose worker died again and again, from a text.

        Raises:
            ConnectionError: if the engine cannot be reached; before any work starts.
        """

    @abc.abstractmethod
    def rounds(self) -> contextlib.AbstractContextManager["Mapper"]:
        """A map for work in several rounds. Its workers stay until the block ends. It takes a
        function that pickles and items, and gives the results in the order of the items."""

    def check(self) -> None:
        """Raises an error if the engine cannot be used."""
        return


@dataclass(frozen=True)
class Local(Engine):
    """This machine.

    Args:
        workers: processes; 1 works in this process. A worker that dies is replaced.
    """

    workers: int = 1

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"workers must be 1 or more, got {self.workers}")

    def map(
        self, work: Callable[[T], R], items: Sequence[T], lost: Callable[[T, str], R]
    ) -> Iterator[R]:
        if self.workers == 1 or len(items) < 2:
            yield from map(work, items)
            return
        waiting = list(reversed(items))
        while waiting:
            pool = _pool(work, min(self.workers, len(waiting)))
            running: dict[Future[R], T] = {}
            with pool:
                try:
                    while waiting or running:
                        while waiting and len(running) < self.workers:
                            item = waiting.pop()
                            running[pool.submit(_call, item)] = item
                        done, _ = wait(running, return_when=FIRST_COMPLETED)
                        for future in done:
                            result = future.result()
                            del running[future]
                            yield result
                except BrokenProcessPool:
                    pass
            for item in running.values():  # one of them killed its worker: each by itself
                yield _isolated(work, item, lost)

    @contextlib.contextmanager
    def rounds(self) -> Iterator[Mapper]:
        if self.workers == 1:
            yield lambda function, items: [function(item) for item in items]
            return
        with _pool(None, self.workers) as pool:
            yield lambda function, items: list(pool.map(function, items))


def _pool(work: Any, workers: int) -> ProcessPoolExecutor:
    # Workers begin as copies of one process that has imported all that they need. Copies of this
    # process would inherit locks of PyTorch's threads.
    known = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if known else "spawn")
    if known:
        context.set_forkserver_preload(["quasistatic.scale.tasks"])
    return ProcessPoolExecutor(workers, context, _begin, (pickle.dumps(work),))


def _isolated(work: Callable[[T], R], item: T, lost: Callable[[T, str], R]) -> R:
    """The result of an item in a process of its own, which is started twice at most."""
    for _ in range(2):
        with _pool(work, 1) as pool, contextlib.suppress(BrokenProcessPool):
            found: R = pool.submit(_call, item).result()
            return found
    return lost(item, KILLED)


_WORK: list[Any] = []


def _begin(work: bytes) -> None:
    torch.set_num_threads(1)  # the workers share the cores
    _WORK[:] = [pickle.loads(work)]


def _call(item: Any) -> Any:
    return _WORK[0](item)


@dataclass(frozen=True)
class OnRay(Engine):
    """Ray Data: a pool of actors, each of which has the work once.

    Args:
        address: of a running cluster, as "auto", "10.0.0.1:6379" or "ray://10.0.0.1:10001"; None
            for one of its own on this machine.
        workers: actors; None for one for each CPU but the one that reads.
        gpus: of an actor.
    """

    address: str | None = None
    workers: int | None = None
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"workers must be 1 or more, got {self.workers}")

    def check(self) -> None:
        _import_ray()
        if self.address is None or self.address in ("auto", "local"):
            return
        host, _, port = self.address.partition("://")[-1].rpartition(":")
        if "://" not in self.address:
            host, _, port = self.address.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), REACHED_IN):
                return
        except (OSError, ValueError) as error:
            raise ConnectionError(
                f"no Ray cluster answers at {self.address} ({error}): start one by `ray start "
                "--head`, or leave out the address to use this machine alone"
            ) from None

    @contextlib.contextmanager
    def cluster(self) -> Iterator[Any]:
        """Ray, connected; a cluster that was started here ends with the block."""
        self.check()
        ray = _import_ray()
        begun = not ray.is_initialized()
        if begun:
            os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
            os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    ray.init(
                        address=self.address,
                        log_to_driver=False,
                        logging_level="ERROR",
                        **({} if self.address else {"include_dashboard": False}),
                    )
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise ConnectionError(
                    f"no Ray cluster could be used at {self.address or 'this machine'}: {error}"
                ) from None
        try:
            # Ray prints on standard output that a worker died, where the answer of a command is.
            with contextlib.redirect_stdout(sys.stderr):
                yield ray
        finally:
            if begun:
                ray.shutdown()

    def pool(self, ray: Any, items: int | None = None) -> dict[str, Any]:
        """The size of the pool and the share of a CPU of each actor, as arguments of
        `map_batches`."""
        from ray.data import ActorPoolStrategy

        total = float(ray.cluster_resources().get("CPU", 1.0))
        workers = self.workers or max(1, int(total) - READERS)
        workers = workers if items is None else max(1, min(workers, items))
        free = total - READERS if total > READERS else total / 2
        share = min(1.0, free / workers)
        # An actor has one task at a time, so that one that dies takes no other part with it.
        compute = ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1)
        found: dict[str, Any] = {"compute": compute, "num_cpus": share}
        if self.gpus:
            found["num_gpus"] = self.gpus
        return found

    def map(
        self, work: Callable[[T], R], items: Sequence[T], lost: Callable[[T, str], R]
    ) -> Iterator[R]:
        with self.cluster() as ray:
            from ray import data

            context = data.DataContext.get_current()
            context.enable_progress_bars = False
            context.print_on_execution_start = False
            logging.getLogger("ray.data").setLevel(logging.ERROR)
            rows = [{"index": i, "item": pickle.dumps(item)} for i, item in enumerate(items)]
            trials = ray.remote(num_cpus=0)(_Trials).remote(1 + RETRIES)
            dataset = data.from_items(rows, override_num_blocks=len(rows)).map_batches(
                _Actor,
                fn_constructor_args=(pickle.dumps(work), trials),
                batch_size=1,
                batch_format="numpy",
                **self.pool(ray, len(items)),
            )
            for row in dataset.iter_rows():
                if row["result"]:
                    yield pickle.loads(row["result"])
                else:
                    yield lost(items[int(row["index"])], KILLED)

    @contextlib.contextmanager
    def rounds(self) -> Iterator[Mapper]:
        with self.cluster() as ray:

            def mapped(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
                size = self.pool(ray, len(items))
                task = ray.remote(num_cpus=size["num_cpus"], num_gpus=self.gpus)(_apply)
                sent = ray.put(pickle.dumps(function))
                found: list[Any] = ray.get([task.remote(sent, item) for item in items])
                return found

            yield mapped


def _apply(function: bytes, item: Any) -> Any:
    torch.set_num_threads(1)
    return pickle.loads(function)(item)


class _Trials:
    """Counts how often each item was begun: an actor of Ray that outlives the workers."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.counts: dict[int, int] = {}

    def begin(self, index: int) -> bool:
        """Whether an item may be tried, `most` times in all; it counts as tried."""
        self.counts[index] = self.counts.get(index, 0) + 1
        return self.counts[index] <= self.most


class _Actor:
    """A worker of Ray Data, which has the work once.

    Args:
        work: the pickled function.
        trials: the handle of :class:`_Trials`.
    """

    def __init__(self, work: bytes, trials: Any) -> None:
        torch.set_num_threads(1)  # the actors of a machine share its cores
        self.work, self.trials = pickle.loads(work), trials

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        each = zip(batch["index"], batch["item"], strict=True)
        return {"index": batch["index"], "result": [self._result(i, item) for i, item in each]}

    def _result(self, index: Any, item: bytes) -> bytes:
        """The pickled result of an item; nothing if it has killed its worker too often."""
        import ray

        if not ray.get(self.trials.begin.remote(int(index))):
            return b""
        return pickle.dumps(self.work(pickle.loads(item)))


def _import_ray() -> Any:
    try:
        import ray
        import ray.data
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "Ray is not installed: pip install 'quasistatic[scale]', or work on this machine with "
            "--on local"
        ) from None
    return ray
