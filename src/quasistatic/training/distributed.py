"""Where training runs: device and processes. The only file that knows Accelerate."""

__all__ = ["Engine"]

import contextlib
import os
import platform
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import (
    broadcast,
    broadcast_object_list,
    gather_object,
    get_int_from_env,
    parse_flag_from_env,
    reduce,
)
from torch import Tensor, nn

T = TypeVar("T")

_WORLD = ["WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"]


class Engine:
    """The process of a training run: one by itself, or one of several that a launcher started
    (`accelerate launch -m quasistatic train ...`, or `torchrun`). Each holds the whole model.

    Args:
        cpu: stay on the CPU even where there is a GPU.

    Raises:
        RuntimeError: if several were launched, and this one is by itself all the same.
    """

    def __init__(self, cpu: bool = False) -> None:
        launched = get_int_from_env(_WORLD, 1)
        # Accelerate lets processes on the CPU know of each other only if it is told of the CPU.
        alone = launched > 1 and not torch.cuda.is_available()
        told = parse_flag_from_env("ACCELERATE_USE_CPU")
        self._state = PartialState(cpu=cpu or told or alone)
        if launched > 1 and self.ranks == 1:
            raise RuntimeError(
                f"{launched} processes were launched, and this one knows of no other: make the "
                "Engine, or call fit, before anything else that uses Accelerate"
            )
        if told and launched == 1 and "MASTER_PORT" in os.environ:
            warnings.warn(
                "several processes were asked for, and one was started: on the CPU, accelerate "
                "launch starts more through mpirun only; use torchrun --nproc-per-node N -m "
                "quasistatic train ...",
                stacklevel=2,
            )

    @property
    def device(self) -> torch.device:
        """The device of this process."""
        return self._state.device

    @property
    def hardware(self) -> str:
        """What the device is called."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return platform.processor() or platform.machine() or self.device.type

    @property
    def rank(self) -> int:
        """The number of this process, from 0."""
        return self._state.process_index

    @property
    def ranks(self) -> int:
        """How many processes train together."""
        return self._state.num_processes

    @property
    def main(self) -> bool:
        """Whether this process is the one that writes and prints."""
        return self._state.is_main_process

    def place(self, module: nn.Module) -> None:
        """Moves a module to the device, with the weights that it has on the main process."""
        module.to(self.device)
        if self.ranks > 1:
            with torch.no_grad():
                for tensor in [*module.parameters(), *module.buffers()]:
                    tensor.copy_(broadcast(tensor.detach().clone()))

    def move(self, x: Tensor) -> Tensor:
        """x on the device; a GPU fetches it while the host goes on."""
        if self.device.type == "cuda" and x.device.type == "cpu":
            return x.pin_memory().to(self.device, non_blocking=True)
        return x.to(self.device)

    def generator(self) -> torch.Generator:
        """A new generator on the device."""
        return torch.Generator(self.device)

    def seed(self, seed: int) -> None:
        """Seeds what modules draw by themselves (dropout) on this process's device."""
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    @contextlib.contextmanager
    def isolated(self) -> Iterator[None]:
        """Leaves the random state of the program as it was before the block."""
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            yield

    def finish(self) -> None:
        """Until the device has done what was asked of it."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def sum(self, x: Tensor) -> Tensor:
        """The sum of x over the processes."""
        return reduce(x, "sum") if self.ranks > 1 else x

    def reduce(self, weights: Sequence[Tensor], loss: Tensor) -> Tensor:
        """The sum over the processes of a loss (), and, in place, of the gradients of the weights:
        one message for all. A weight that has a gradient nowhere is left without one."""
        if self.ranks == 1:
            return loss
        held = [w for w in weights if w.requires_grad]
        gradients = [torch.zeros_like(w) if w.grad is None else w.grad for w in held]
        found = loss.new_tensor([float(w.grad is not None) for w in held])
        sizes = [g.numel() for g in gradients]
        flat = torch.cat([loss.reshape(1), found, *(g.flatten() for g in gradients)])
        loss, found, *sums = self.sum(flat).split([1, len(held), *sizes])
        torch._foreach_copy_(gradients, [s.view_as(w) for s, w in zip(sums, held, strict=True)])
        for w, gradient, anywhere in zip(held, gradients, found.tolist(), strict=True):
            w.grad = gradient if anywhere else None
        return loss[0]

    def once(self, work: Callable[[], T]) -> T:
        """What `work` gives on the main process, for all of them; so with an error it raises."""
        if self.ranks == 1:
            return work()
        box: list[Any] = [None, None]
        if self.main:
            try:
                box[0] = work()
            except Exception as error:
                box[1] = error
        broadcast_object_list(box)
        if box[1] is not None:
            raise box[1]
        return box[0]

    def gather(self, value: T) -> list[T]:
        """The value of every process, in their order."""
        return [value] if self.ranks == 1 else gather_object([value])

    def agree(self, what: str, value: object) -> None:
        """ValueError, on all processes, unless each holds an equal value."""
        values = self.gather(value)
        other = [i for i, each in enumerate(values) if each != values[0]]
        if other:
            raise ValueError(
                f"process {other[0]} has other {what} than process 0: all must be given the same; "
                "seed what makes them"
            )
