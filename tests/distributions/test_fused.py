"""The Triton kernels of data with levels give what the PyTorch code gives. Without a GPU Triton's
interpreter runs them, and its compiler still has to accept them."""

import importlib.util
import os
import subprocess
import sys

import pytest
import torch

from quasistatic.distributions import lattice, logistic, moments

if importlib.util.find_spec("triton") is None:
    pytest.skip("Triton is not installed", allow_module_level=True)
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read when Triton is imported

COMPILE = """
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from quasistatic.distributions import fused

many = {"K": 3, "L": 256, "K_PADDED": 4, "L_PADDED": 256, "LEARN": True, "ROWS": 1}
few = {"L": 2, "L_PADDED": 2, "ROWS": fused._rows(2)}
tables = fused._table_kernel, fused._table_gradient_kernel
cases = [(each, sizes) for each in tables for sizes in (many, few)]
for kernel, sizes in [(fused._mixture_kernel, many), *cases]:
    given = {name: sizes[name] for name in kernel.arg_names if name in sizes}
    kinds = {name: "constexpr" if name in given else "*fp32" for name in kernel.arg_names}
    kinds |= {"count": "i32"} if "count" in kinds else {}
    source = ASTSource(fn=kernel, signature=kinds, constexprs=given)
    made = compile(source, target=GPUTarget("cuda", 90, 32))
    print(kernel.__name__, len(made.asm["cubin"]))
"""
"""Compiles the kernels for an H100, which needs no GPU."""

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture(scope="module")
def fused():
    from quasistatic.distributions import fused

    return fused


def numbers(seed: int, rows: int, levels: int, k: int, dtype: torch.dtype):
    """Parameters of mixtures, tilts and logits, some of them extreme."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64).to(DEVICE, dtype)

    values = torch.linspace(-1, 1, levels, dtype=torch.float64).to(DEVICE, dtype)
    mixture = normal(rows, k).log_softmax(-1), normal(rows, k), 2 * normal(rows, k) - 2
    tilt = 5 * normal(rows), 20 * normal(rows).exp(), normal(rows).clamp(-1, 1)
    return values, mixture, tilt, 3 * normal(rows, levels), normal(rows, 3)


@pytest.mark.parametrize(("levels", "k"), [(256, 3), (33, 4), (5, 1), (2, 1)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
class TestAgainstTheReference:
    def test_mixtures(self, fused, levels, k, dtype):
        values, mixture, tilt, _, _ = numbers(levels, 6, levels, k, dtype)
        for learn in (True, False):
            expected = logistic._reference_moments(learn, values, *mixture, *tilt)
            found = fused.mixture_moments(learn, values, *mixture, *tilt)
            for mine, reference in zip(found, expected, strict=True):
                assert mine.shape == reference.shape
                close(mine, reference, dtype)

    def test_tables(self, fused, levels, k, dtype):
        rows = max(6, 600 // levels)  # more than one program takes, and not a multiple of it
        values, _, tilt, logits, upstream = numbers(levels, rows, levels, k, dtype)
        expected = lattice._table_moments(logits, *tilt, values)
        found = fused.table_moments(logits, *tilt, values)
        for mine, reference in zip(found, expected, strict=True):
            close(mine, reference, dtype)
        expected = lattice._table_gradient(logits, *tilt, values, *expected, upstream)
        found = fused.table_gradient(logits, *tilt, values, *found, upstream)
        close(found, expected, dtype)


def close(mine: torch.Tensor, reference: torch.Tensor, dtype: torch.dtype) -> None:
    scale = float(reference.abs().max()) if len(reference) else 0.0
    bound = 1e-13 if dtype == torch.float64 else 1e-5
    assert float((mine - reference).abs().max() if len(mine) else 0) <= bound * max(scale, 1)


def test_rows_that_are_not_contiguous(fused):
    values, mixture, tilt, logits, _ = numbers(0, 8, 7, 2, torch.float64)
    every = [each[::2] for each in mixture], [each[::2] for each in tilt], logits[::2]
    expected = logistic._reference_moments(True, values, *every[0], *every[1])
    for mine, reference in zip(
        fused.mixture_moments(True, values, *every[0], *every[1]), expected, strict=True
    ):
        close(mine, reference, torch.float64)
    expected = lattice._table_moments(every[2], *every[1], values)
    for mine, reference in zip(
        fused.table_moments(every[2], *every[1], values), expected, strict=True
    ):
        close(mine, reference, torch.float64)


def test_where_the_kernels_serve():
    """Never on a CPU, and not for more numbers than registers hold."""
    assert moments.fused_kernels(torch.device("cpu"), 256) is None
    assert moments.fused_kernels(torch.device("cuda"), 1 << 14) is None


def test_the_compiler_for_a_gpu_takes_them():
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    command = [sys.executable, "-c", COMPILE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) == 5
    assert all(int(size) > 1000 for _, size in lines)
