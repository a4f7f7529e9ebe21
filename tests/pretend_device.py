"""A pretended device, for tests: its tensors lie in CPU memory and say that their device is
"pretend". They refuse what a CUDA tensor refuses, and count what makes a host wait for a GPU.

    with pretending() as device:
        model = model.to(device.type)
        model.sample(8, 10)
    print(device.waits)     # {"kernels/kernel.py:31": 14, ...}
"""

import collections
import contextlib
import sys

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from quasistatic._utils.randomness import ExampleStreams

NAME = "pretend"
_setup_privateuseone_for_python_backend(NAME)
# The device draws from the CPU's generator, so there is no state of its own to keep.
getattr(torch, NAME).device_count = lambda: 0
getattr(torch, NAME).is_available = lambda: False  # torch.distributed asks
getattr(torch, NAME).get_amp_supported_dtype = lambda: [torch.bfloat16]
HERE = torch.device(NAME, 0)
LIBRARY = "/quasistatic/"
aten = torch.ops.aten

WAITS = {
    aten._local_scalar_dense,
    aten.nonzero,
    aten.masked_select,
    aten.equal,
    aten._unique2,
    aten.unique_dim,
    aten.unique_consecutive,
    aten.repeat_interleave,
    aten.allclose,
}
"""Operators by which a host learns of values or of a size that depends on them."""
INDEXING = {
    aten.index,
    aten.index_put,
    aten.index_put_,
    aten._index_put_impl_,
    aten._unsafe_index,
    aten._unsafe_index_put,
}
"""A mask has to be counted; an index on the CPU is copied."""
MEET = {aten.copy_, aten.copy, aten._to_copy, aten.set_, aten._foreach_copy_}
"""Operators that take tensors of both devices."""
_log: list["Pretend"] = []


class Pretend:
    """What was seen: how often the host waited, by place in the library."""

    def __init__(self) -> None:
        self.type, self.waits = NAME, collections.Counter()

    def note(self, why: str) -> None:
        frame, place = sys._getframe(2), ""
        while frame is not None and not place:
            file = frame.f_code.co_filename
            if LIBRARY in file:
                place = f"{file.split(LIBRARY)[-1]}:{frame.f_lineno}"
            frame = frame.f_back
        self.waits[f"{place or '?'} {why}"] += 1


class PretendTensor(torch.Tensor):
    """`inner`, on the pretended device."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> "PretendTensor":
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=HERE,
            requires_grad=False,
        )
        made.inner = inner
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, op, types, args=(), kwargs=None):
        return run(op, *args, **(kwargs or {}))

    def numpy(self, **_):
        raise TypeError(f"can't convert {HERE} device type tensor to numpy. Use Tensor.cpu() first")

    def __array__(self, *_, **__):
        return self.numpy()

    def tolist(self):
        return self.cpu().tolist()

    def __format__(self, spec):
        return format(self.item() if self.ndim == 0 else self.cpu(), spec)

    def __repr__(self, **_) -> str:
        return f"pretend:{self.inner!r}"

    def __deepcopy__(self, memo):
        made = PretendTensor(self.inner.clone()).requires_grad_(self.requires_grad)
        made.__dict__.update({k: v for k, v in self.__dict__.items() if k != "inner"})
        memo[id(self)] = made
        return made

    def __reduce_ex__(self, protocol):
        return PretendTensor, (self.inner.detach(),)


class PretendGenerator(torch.Generator):
    """A generator that makes draws for one device only; the draws of `pretend` are a CPU's."""

    def __new__(cls, device="cpu"):
        made = super().__new__(cls, "cpu")
        made.at = HERE if torch.device(device).type == NAME else torch.device("cpu")
        return made

    def __init__(self, device="cpu") -> None: ...

    @property
    def device(self):
        return self.at

    def manual_seed(self, seed):
        super().manual_seed(seed)
        return self


class PretendStreams(ExampleStreams):
    """Streams of draws for examples, of either device, see :class:`PretendGenerator`."""

    def __new__(cls, seed, first, count, device="cpu"):
        made = ExampleStreams.__new__(cls, seed, first, count, "cpu")
        made.at = HERE if torch.device(device).type == NAME else torch.device("cpu")
        return made

    @property
    def device(self):
        return self.at


def _swap_streams(pretend: bool) -> None:
    """Replaces the class in every module of the library that has imported it, or puts it back."""
    old, new = (ExampleStreams, PretendStreams) if pretend else (PretendStreams, ExampleStreams)
    for name, module in list(sys.modules.items()):
        if name.startswith("quasistatic") and vars(module).get("ExampleStreams") is old:
            module.ExampleStreams = new


class _Generators(TorchFunctionMode):
    """A draw on one device by a generator of another is refused, as CUDA does."""

    def __torch_function__(self, f, types, args=(), kwargs=None):
        out = f(*args, **(kwargs or {}))
        rng = (kwargs or {}).get("generator")
        if rng is not None and isinstance(out, torch.Tensor) and rng.device.type != out.device.type:
            raise RuntimeError(
                f"Expected a {out.device.type!r} device type for generator but found "
                f"{rng.device.type!r}"
            )
        return out


def run(op, *args, **kwargs):
    """One operator, of which some tensor is, or will be, on the pretended device."""
    flat, spec = tree_flatten((args, kwargs))
    mine = [x for x in flat if isinstance(x, PretendTensor)]
    others = [x for x in flat if isinstance(x, torch.Tensor) and not isinstance(x, PretendTensor)]
    packet, log = op.overloadpacket, _log[-1] if _log else None
    to = torch.device(kwargs["device"]) if kwargs.get("device") is not None else None
    if packet in MEET:
        crosses = bool(mine and others) or (to is not None and (to.type == NAME) != bool(mine))
        if crosses and log is not None and not kwargs.get("non_blocking"):
            from_here = (packet is aten._to_copy and mine) or (
                packet is not aten._to_copy and others and not isinstance(args[0], PretendTensor)
            )
            log.note("copy to the host" if from_here else "copy to the device")
    elif mine:
        if packet in INDEXING:
            places = [i for i in args[1] if i is not None]
            if any(i.dtype in (torch.bool, torch.uint8) for i in places) and log:
                log.note("mask as an index")
            elif any(not isinstance(i, PretendTensor) for i in places) and log:
                log.note("index copied to the device")
            if not isinstance(args[0], PretendTensor):
                raise RuntimeError(
                    "indices should be either on cpu or on the same device as the "
                    f"indexed tensor ({args[0].device})"
                )
            others = [x for x in others if not any(x is i for i in places)]
        if any(x.ndim > 0 or packet in (aten.cat, aten.stack) for x in others):
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but found at least "
                f"two devices, {HERE} and cpu! ({op})"
            )
        if packet in WAITS and log is not None:
            log.note(op.name().removeprefix("aten::"))
    inner = [
        x.inner
        if isinstance(x, PretendTensor)
        else torch.device("cpu")
        if isinstance(x, torch.device) and x.type == NAME
        else x
        for x in flat
    ]
    plain_args, plain_kwargs = tree_unflatten(inner, spec)
    if plain_kwargs.get("pin_memory"):
        plain_kwargs["pin_memory"] = False
    out = op(*plain_args, **plain_kwargs)
    here = to.type == NAME if to is not None else bool(mine)
    if packet in (aten.copy_, aten._foreach_copy_):
        here = isinstance(flat[0], PretendTensor)
    wrapped = tree_map(
        lambda x: PretendTensor(x) if here and isinstance(x, torch.Tensor) else x, out
    )
    return return_and_correct_aliasing(op, args, kwargs, wrapped) if mine else wrapped


# What has no tensor of the device among its arguments comes by here.
_library = torch.library.Library("aten", "IMPL")
_library.impl(
    "empty.memory_format",
    lambda *args, **how: run(aten.empty.memory_format, *args, **(how | {"device": HERE})),
    "PrivateUse1",
)
_library.impl(
    "empty_strided",
    lambda *args, **how: run(aten.empty_strided.default, *args, **(how | {"device": HERE})),
    "PrivateUse1",
)


def _arange(overload):
    return lambda *args, **how: run(overload, *args, **(how | {"device": HERE}))


# Their kernels resize what they write to, and a wrapper keeps its size.
_library.impl("arange", _arange(aten.arange.default), "PrivateUse1")
_library.impl("arange.start", _arange(aten.arange.start), "PrivateUse1")
_library.impl("arange.start_step", _arange(aten.arange.start_step), "PrivateUse1")
_library.impl(
    "_copy_from",
    lambda x, to, wait=False: run(aten.copy_.default, to, x, non_blocking=wait),
    "PrivateUse1",
)


@contextlib.contextmanager
def pretending():
    """Generators can be made for the device within, and what made the host wait is counted."""
    log, real = Pretend(), torch.Generator
    torch.Generator = PretendGenerator
    _swap_streams(True)
    _log.append(log)
    try:
        with _Generators():
            yield log
    finally:
        _log.pop()
        _swap_streams(False)
        torch.Generator = real
