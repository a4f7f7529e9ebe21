"""What the tests share: float64, a fixed seed, one member of every family, kernel and schedule."""

import contextlib
import json
import math
import os
from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor, nn

from quasistatic import cli
from quasistatic.distributions import (
    Bernoulli,
    Categorical,
    Family,
    Gaussian,
    Lattice,
    LogisticMixture,
    OneHotGroups,
    Product,
)
from quasistatic.heads import Classes, ProductHead, Velocity
from quasistatic.heads.variances import FixedLarge
from quasistatic.kernels import (
    BinomialKernel,
    CategoricalKernel,
    GaussianKernel,
    Kernel,
    ProductKernel,
    schedules,
)
from quasistatic.model import Model
from quasistatic.spaces import Binary, Continuous, OneHot, Space, Table
from quasistatic.spaces.columns import CategoryColumn, NumericColumn

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # tests of the hub have a server of their own

# The tensors here are small: threads that wait for each other on a busy machine cost more time
# than all that they compute.
torch.set_num_threads(1)

pytest_plugins = ["table_runs"]


@contextlib.contextmanager
def default_dtype(dtype: torch.dtype):
    """The type of new tensors for as long as the block lasts: for fixtures that outlive a test."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@pytest.fixture(autouse=True)
def float64():
    """Identities are stated in float64."""
    with default_dtype(torch.float64):
        yield


@pytest.fixture
def float32(float64):
    """What users have: models are built in float32."""
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def say(capsys):
    """Runs a command and returns its one JSON object."""

    def command(*words: object) -> dict:
        capsys.readouterr()
        cli.main([str(word) for word in words] + ["--json"])
        out = capsys.readouterr().out
        assert out.count("\n") == 1, f"standard output holds more than one object: {out}"
        return json.loads(out)

    return command


@pytest.fixture
def refused(capsys):
    """Runs a command that must end with status 2, and returns what it said of it."""

    def command(*words: object) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            cli.main([str(word) for word in words])
        assert stopped.value.code == 2
        said = capsys.readouterr()
        assert said.out == ""
        return " ".join(said.err.split())

    return command


FAMILIES = ["gaussian", "bernoulli", "lattice", "logistics", "categorical", "product"]

KERNELS = {
    "gaussian": GaussianKernel(schedules.linear(40, 1e-3, 0.2)),
    "gaussian-erase": GaussianKernel(schedules.erase_evenly(40)),
    "gaussian-log-snr": GaussianKernel(schedules.linear_log_snr(40, 9, -9)),
    "bits": BinomialKernel(schedules.cosine(40)),
    "bits-rare": BinomialKernel(schedules.erase_evenly(40), mean=0.2),
    "bits-each": BinomialKernel(schedules.linear(40, 1e-3, 0.2), mean=(0.1, 0.5, 0.8)),
}

GROUPED = {
    "classes": CategoricalKernel(schedules.cosine(40), (3,)),
    "classes-rare": CategoricalKernel(schedules.erase_evenly(40), (3,), (0.7, 0.2, 0.1)),
    "absorbing-nearly": CategoricalKernel.absorbing(schedules.cosine(40), (3,), leak=0.01),
    "absorbing": CategoricalKernel.absorbing(schedules.erase_evenly(40), (3,)),
    "mixed": ProductKernel(
        (
            GaussianKernel(schedules.linear(40, 1e-3, 0.2)),
            CategoricalKernel(schedules.erase_evenly(40), (2,), (0.3, 0.7)),
        ),
        (1, 2),
    ),
}
"""Kernels under which some of the three values hang together."""

every_family = pytest.mark.parametrize("family", FAMILIES)
every_kernel = pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS.keys())
every_kernel_at_all = pytest.mark.parametrize(
    "kernel", (KERNELS | GROUPED).values(), ids=(KERNELS | GROUPED).keys()
)


def member(family: str, rng: torch.Generator, *shape: int) -> Family:
    """A random member of a family, with shape `shape`."""

    def draw(*extra: int) -> Tensor:
        return torch.randn(*shape, *extra, generator=rng)

    if family == "gaussian":
        return Gaussian(draw(), draw().exp())
    if family == "bernoulli":
        return Bernoulli(2 * draw())
    if family == "categorical":
        return Categorical(2 * draw(), OneHotGroups(shape[-1:]))
    if family == "product":
        normal = Gaussian(draw()[..., :1], draw()[..., :1].exp())
        rest = OneHotGroups((shape[-1] - 1,))
        return Product((normal, Categorical(draw()[..., 1:], rest)), (1, shape[-1] - 1))
    if family == "logistics":
        return LogisticMixture(draw(2), draw(2), draw(2), torch.linspace(-1.5, 2.5, 5))
    return Lattice(draw(5), torch.tensor([-1.5, -0.25, 0.0, 1.0, 3.0]))


def copies(p: Family, n: int) -> Family:
    """n copies of a batch of one."""
    if isinstance(p, Product):
        return replace(p, parts=tuple(copies(part, n) for part in p.parts))
    stacked = {f.name: getattr(p, f.name) for f in fields(p) if f.name not in ("values", "groups")}
    return replace(p, **{k: v.expand(n, *v.shape[1:]) for k, v in stacked.items()})


def each_scalar(of: str | Family | Kernel, x: Tensor) -> Tensor:
    """x (B, 3) summed over the values that hang together: what is said of a class is the sum of
    the shares of its one-hot values."""
    if isinstance(of, Categorical | CategoricalKernel) or of == "categorical":
        return x.sum(-1, keepdim=True)
    if isinstance(of, Product | ProductKernel) or of == "product":
        return torch.cat([x[..., :1], x[..., 1:].sum(-1, keepdim=True)], -1)
    return x


def space_for(kernel: Kernel) -> Space:
    """A space of three values of x_0 that the kernel can diffuse."""
    if isinstance(kernel, CategoricalKernel):
        masked = kernel.stationary is not None and kernel.stationary[-1] > 0.9
        return OneHot((2,) if masked else (3,), masked=masked)
    if isinstance(kernel, ProductKernel):
        line = NumericColumn("line", 0.0, "", (-1.0, 1.0), (-1.0, 1.0), -9.0, 9.0)
        return Table((line, CategoryColumn("class", 0.0, "", ("a", "b"), (0.5, 0.5))))
    return Binary(3) if kernel.binary else Continuous(3)


def data_like_noise(kernel: Kernel, n: int, rng: torch.Generator) -> Tensor:
    """x_0 from the kernel's own fixed point, with shape (n, 3)."""
    return kernel.prior(torch.zeros(n, 3)).sample(rng)


def random_data(kernel: Kernel, n: int, rng: torch.Generator) -> Tensor:
    """x_0 of some other law that the kernel can diffuse, with shape (n, 3)."""
    if isinstance(kernel, CategoricalKernel):
        count = space_for(kernel).counts[0]
        return torch.eye(3)[torch.randint(count, (n,), generator=rng)]
    if isinstance(kernel, ProductKernel):
        line = 0.5 + 2 * torch.randn(n, 1, generator=rng)
        return torch.cat([line, torch.eye(2)[torch.randint(2, (n,), generator=rng)]], 1)
    if kernel.binary:
        return (torch.rand(n, 3, generator=rng) < 0.4).double()
    return 0.5 + 2 * torch.randn(n, 3, generator=rng)


def random_times(kernel: Kernel, n: int, rng: torch.Generator, first: int = 1):
    """Times first <= s < t <= T with shape (n,); the pair (T - 1, T) is among them."""
    s = torch.randint(first, kernel.steps, (n,), generator=rng)
    t = s + 1 + (torch.rand(n, generator=rng) * (kernel.steps - s)).long()
    s[0], t[0] = kernel.steps - 1, kernel.steps
    return s, t


def assert_mean(values: Tensor, expected: Tensor | float, slack: float = 0.0) -> None:
    """The mean over the first axis is the expectation, within five standard errors."""
    error = (values.mean(0) - expected).abs()
    allowed = 5 * values.std(0) / math.sqrt(len(values)) + slack + 1e-9
    assert (error <= allowed).all(), f"off by {error.max():.3g}, where {allowed.max():.3g} may be"


def close(a: Tensor, b: Tensor, rtol: float = 1e-9, atol: float = 1e-10) -> bool:
    return torch.allclose(a, b, rtol=rtol, atol=atol)


class Silent(nn.Module):
    """A network that says nothing: zeros, whatever it is shown."""

    def __init__(self, outputs: int = 1) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return x.new_zeros(*x.shape, self.outputs)


class Wrong(nn.Module):
    """A network that answers with conviction, and not what is so."""

    def __init__(self, outputs: int = 1) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        each = torch.arange(1, self.outputs + 1).to(x)
        return torch.sin(each * (1 + x.sum(1, keepdim=True) - x)[..., None]) * 0.7


def mixed_model() -> Model:
    """A chain of a table with a real value and a class, with a network that is wrong."""
    kernel = GROUPED["mixed"]
    head = ProductHead((Velocity(FixedLarge()), Classes()))
    return Model(space_for(kernel), kernel, head, Wrong(1))


def mixed_rows(n: int, rng: torch.Generator) -> Tensor:
    """n raw rows of that table."""
    line = 0.5 + 2 * torch.randn(n, 1, generator=rng)
    return torch.cat([line, torch.randint(2, (n, 1), generator=rng).double()], 1)
