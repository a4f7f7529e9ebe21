"""Where training runs: device and ranks. The only file that knows Accelerate."""

__all__ = ["Engine"]

from collections.abc import Iterable

import torch
from accelerate import Accelerator
from torch import Tensor, nn


class Engine:
    """The process of a training run.

    Args:
        cpu: stay on the CPU even where there is a GPU.

    Raises:
        RuntimeError: if it is one of several that a launcher started.
    """

    def __init__(self, cpu: bool = False) -> None:
        self._accelerator = Accelerator(cpu=cpu)
        if self.ranks > 1:
            raise RuntimeError(
                f"{self.ranks} processes were launched, and training over several is not built "
                "yet: run the command by itself"
            )

    @property
    def device(self) -> torch.device:
        """The device of this process."""
        return self._accelerator.device

    @property
    def rank(self) -> int:
        """The number of this process, from 0."""
        return self._accelerator.process_index

    @property
    def ranks(self) -> int:
        """How many processes train together."""
        return self._accelerator.num_processes

    @property
    def main(self) -> bool:
        """Whether this process is the one that writes and prints."""
        return self._accelerator.is_main_process

    def prepare(self, module: nn.Module) -> nn.Module:
        """The module on its device."""
        return self._accelerator.prepare_model(module)

    def seed(self, seed: int) -> None:
        """Seeds what modules draw by themselves (dropout) on this process's device."""
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def backward(self, loss: Tensor) -> None:
        """The gradients of the loss."""
        self._accelerator.backward(loss)

    def clip(self, parameters: Iterable[Tensor], norm: float) -> Tensor:
        """Clips the gradients to a total norm; the norm that they had."""
        return torch.nn.utils.clip_grad_norm_(list(parameters), norm)

    def gather(self, x: Tensor) -> Tensor:
        """The rows of every process, in the order of ranks."""
        return self._accelerator.gather(x)

    def wait(self) -> None:
        """Until every process is here."""
        self._accelerator.wait_for_everyone()
