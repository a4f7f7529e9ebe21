"""Where training runs: device and processes. The only module that imports Accelerate."""

__all__ = ["Engine"]

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

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

from .._utils.devices import describe_device, find_device
from ..model import Model

if TYPE_CHECKING:
    from .checkpoints import Folder

T = TypeVar("T")

_WORLD = ["WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"]


class Engine:
    """The process of a training run: a single one, or one of several that a launcher started
    (`accelerate launch -m quasistatic train ...`, or `torchrun`). Each holds the whole model.

    Args:
        device: "auto" (a GPU if there is one, else the CPU), or the name of a device, see
            :func:`~quasistatic._utils.devices.find_device`. Of several processes on GPUs, each
            takes a GPU of its own.

    Raises:
        RuntimeError: if several processes were launched, and this one knows of no other.
        ValueError: if there is no such device.
    """

    def __init__(self, device: str | torch.device = "auto") -> None:
        launched = get_int_from_env(_WORLD, 1)
        cpu_only = parse_flag_from_env("ACCELERATE_USE_CPU")
        found = torch.device("cpu") if cpu_only and str(device) == "auto" else find_device(device)
        # Processes on the CPU find each other only if Accelerate is set to use the CPU.
        self._state = PartialState(cpu=found.type == "cpu")
        self._device = self._state.device if self.ranks > 1 else found
        if launched > 1 and self.ranks == 1:
            raise RuntimeError(
                f"{launched} processes were launched, and this one knows of no other: make the "
                "Engine, or call fit, before anything else that uses Accelerate"
            )
        if cpu_only and launched == 1 and "MASTER_PORT" in os.environ:
            warnings.warn(
                "several processes were asked for, and one was started: on the CPU, accelerate "
                "launch starts more through mpirun only; use torchrun --nproc-per-node N -m "
                "quasistatic train ...",
                stacklevel=2,
            )

    @property
    def device(self) -> torch.device:
        """The device of this process."""
        return cast(torch.device, self._device)

    @property
    def hardware(self) -> str:
        """The name of the device's model, for people."""
        return describe_device(self.device)

    @property
    def captures(self) -> bool:
        """Whether the device can capture work as a CUDA graph."""
        return self.device.type == "cuda"

    def capture(self, work: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        """Captures work as a CUDA graph.

        Args:
            work: launches kernels on tensors that keep their places in memory, and never waits.

        Returns:
            A function that does the work again, and the tensor that it writes its result to.
        """
        side = cast(Any, torch.cuda.Stream)(self.device)
        side.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(side):
            for _ in range(3):  # compiles, chooses algorithms, and allocates workspaces
                work()
        torch.cuda.current_stream(self.device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = work()
        return graph.replay, result

    def free_memory(self) -> int:
        """Bytes that are free on a GPU; 0 on the CPU, where data lie already."""
        if self.device.type != "cuda":
            return 0
        return int(torch.cuda.mem_get_info(self.device)[0])

    @property
    def rank(self) -> int:
        """The number of this process, from 0."""
        return int(self._state.process_index)

    @property
    def ranks(self) -> int:
        """How many processes train together."""
        return int(self._state.num_processes)

    @property
    def main(self) -> bool:
        """Whether this process is the one that writes and prints."""
        return bool(self._state.is_main_process)

    def place(self, module: nn.Module) -> None:
        """Moves a module to the device, with the weights that it has on the main process."""
        module.to(self.device)
        if self.ranks > 1:
            with torch.no_grad():
                for tensor in [*module.parameters(), *module.buffers()]:
                    tensor.copy_(broadcast(tensor.detach().clone()))

    def move(self, x: Tensor) -> Tensor:
        """x on the device. The copy to a GPU is asynchronous: the host does not wait for it."""
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
        """Waits until the device has done all that was launched."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def sum(self, x: Tensor) -> Tensor:
        """The sum of x over the processes."""
        return cast(Tensor, reduce(x, "sum")) if self.ranks > 1 else x

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
        loss, found, *sums = torch.split(self.sum(flat), [1, len(held), *sizes])
        torch._foreach_copy_(gradients, [s.view_as(w) for s, w in zip(sums, held, strict=True)])
        for w, gradient, anywhere in zip(held, gradients, found.tolist(), strict=True):
            w.grad = gradient if anywhere else None
        return loss[0]

    def folder(
        self,
        path: str | Path,
        model: Model,
        settings: dict[str, Any],
        parts: int,
        about: dict[str, Any],
    ) -> "Folder":
        """The folder of a run, as these processes write it; for the arguments see
        :class:`.Folder`."""
        from .checkpoints import Folder

        return Folder(path, model, settings, parts, about)

    @property
    def fuses(self) -> bool:
        """Whether an optimizer may update all weights in one kernel."""
        return True

    def clip(self, weights: Sequence[Tensor], most: float) -> Tensor:
        """Limits the norm of the gradient of the weights, and returns what it was."""
        return torch.nn.utils.clip_grad_norm_(weights, most)

    def share_out(self, count: int) -> range:
        """Which of `count` pieces of work this process does."""
        return range(self.rank, count, self.ranks)

    def joined(self, x: Tensor) -> Tensor:
        """Results of pieces that were shared out, zero where another process has them."""
        return self.sum(x)

    def once(self, work: Callable[[], T]) -> T:
        """Runs `work` on the main process. All processes get its result, or raise its error."""
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
        return cast(T, box[0])

    def gather(self, value: T) -> list[T]:
        """The value of every process, in their order."""
        return [value] if self.ranks == 1 else gather_object([value])

    def agree(self, what: str, value: object) -> None:
        """Raises ValueError on all processes unless all have an equal value."""
        values = self.gather(value)
        other = [i for i, each in enumerate(values) if each != values[0]]
        if other:
            raise ValueError(
                f"process {other[0]} has other {what} than process 0: give all processes the same, "
                "and seed the random numbers that produce them"
            )
