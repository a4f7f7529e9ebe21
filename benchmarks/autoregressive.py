r"""Exact densities of grey images, to measure a bound against: pixel after pixel, and one Gaussian.

A causal model writes log p(x) as the sum of log p(x_i | x_1 .. x_{i-1}) over the pixels in reading
order. What lies outside the image is zero, and told from grey by an indicator that is 1 inside, so
that the density is normalised for an image of any size. Images have shape (B, H, W) in raw values,
and log-densities are in nats of those.
"""

__all__ = ["CausalConvolutions", "CausalConvolution", "CausalModel", "GaussianImages", "MCGSM"]

import abc
import math
from itertools import cycle, islice

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CausalConvolution(nn.Conv2d):
    """A convolution that sees the pixels before each one, and not those after.

    Args:
        rows: how many rows above it sees.
        columns: how far to the left and, in the rows above, to the right it sees.
        itself: whether it sees its own place, which features of earlier pixels may hold.
        dilation: pixels between its taps.
    """

    def __init__(
        self,
        inside: int,
        outside: int,
        rows: int,
        columns: int,
        itself: bool,
        dilation: int = 1,
    ) -> None:
        super().__init__(inside, outside, (rows + 1, 2 * columns + 1), dilation=dilation)
        mask = torch.ones(rows + 1, 2 * columns + 1)
        mask[rows, columns + itself :] = 0
        self.register_buffer("mask", mask, persistent=False)
        self.around = (columns * dilation, columns * dilation, rows * dilation, 0)
        with torch.no_grad():
            self.weight *= (mask.numel() / mask.sum()).sqrt()

    def forward(self, h: Tensor) -> Tensor:
        """Features (B, inside, H, W) to (B, outside, H, W)."""
        weight = self.weight * self.mask
        return F.conv2d(F.pad(h, self.around), weight, self.bias, dilation=self.dilation)


class CausalModel(nn.Module, abc.ABC):
    """A law of each pixel given those before it: a mixture of Gaussians, in log-weights, means and
    log-deviations."""

    @abc.abstractmethod
    def conditionals(self, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log-weights, means and log-deviations of each pixel's mixture, each (B, K, H, W) or
        broadcasting to it, given grey and indicator (B, 2, H, W)."""

    def pixels(self, x: Tensor) -> Tensor:
        """log p(x_i | x_1 .. x_{i-1}) of every pixel, with shape (B, H, W), in nats."""
        log_weight, mean, log_deviation = self.conditionals(torch.stack([x, torch.ones_like(x)], 1))
        z = (x[:, None] - mean) * (-log_deviation).exp()
        each = log_weight - log_deviation - 0.5 * z**2
        return each.logsumexp(1) - 0.5 * math.log(2 * math.pi)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x), with shape (B,), in nats."""
        return self.pixels(x).sum((1, 2))


class MCGSM(CausalModel):
    r"""A mixture of conditional Gaussian scale mixtures on a causal neighbourhood.

    Component c at scale s, given the neighbourhood n, has the weight and the law

        p(c, s | n) ~ exp(eta_cs + tau_cs (w_c n - 1/2 sum_i beta_ci^2 (b_i n)^2)),
        p(y | c, s, n) = N(y; a_c n + u_c, 1 / (tau_cs lambda_c)),

    where tau is exp of a parameter (Theis, Hosseini and Bethge 2012, PLoS ONE 7(7), e39857, with
    the features b_i shared and the linear term of the authors' own later code).

    Args:
        components, scales, features: the numbers of c, s and i.
        reach: rows above and columns to each side that are seen.
    """

    def __init__(
        self, components: int = 24, scales: int = 4, features: int = 48, reach: int = 5
    ) -> None:
        super().__init__()
        self.sizes = [components, components, features]
        self.read = CausalConvolution(2, sum(self.sizes), reach, reach, itself=False)
        self.eta = nn.Parameter(torch.zeros(components, scales))
        spread = torch.linspace(-1.0, 2.0, scales).expand(components, scales)
        self.log_tau = nn.Parameter(spread + 0.1 * torch.randn(components, scales))
        self.log_precision = nn.Parameter(torch.full((components,), 2.0))
        self.beta = nn.Parameter(0.3 * torch.randn(components, features))

    def conditionals(self, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, linear, feature = self.read(seen).split(self.sizes, 1)
        energy = torch.einsum("ci,bihw->bchw", self.beta**2, feature**2)
        tau = self.log_tau.exp()[..., None, None]
        gate = self.eta[..., None, None] + tau * (linear - 0.5 * energy)[:, :, None]
        log_weight = gate.flatten(1, 2).log_softmax(1)
        log_deviation = -0.5 * (self.log_tau + self.log_precision[:, None])
        mean = mean.repeat_interleave(self.log_tau.shape[1], 1)
        return log_weight, mean, log_deviation.reshape(1, -1, 1, 1)


class _Gated(nn.Module):
    """A causal convolution whose one half gates the other, beside the way straight on."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.look = CausalConvolution(width, 2 * width, 1, 1, itself=True, dilation=dilation)
        self.write = nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.write.weight)

    def forward(self, h: Tensor) -> Tensor:
        value, gate = self.look(h).chunk(2, 1)
        return h + self.write(value.tanh() * gate.sigmoid())


_NEAREST = ((0, -1), (-1, 0), (-1, 1), (-1, -1))
"""Rows and columns from a pixel to the nearest ones before it."""


class CausalConvolutions(CausalModel):
    """Gated residual causal convolutions, at dilations 1, 2 and 4 in turn, behind one that sees a
    large neighbourhood; they say a mixture of Gaussians for every pixel.

    Args:
        width: channels.
        depth: residual blocks.
        components: Gaussians of a pixel's mixture.
        reach: rows above and columns to each side that the first convolution sees.
    """

    def __init__(
        self, width: int = 32, depth: int = 6, components: int = 8, reach: int = 5
    ) -> None:
        super().__init__()
        self.read = CausalConvolution(2, width, reach, reach, itself=False)
        self.blocks = nn.Sequential(*(_Gated(width, d) for d in islice(cycle((1, 2, 4)), depth)))
        self.last = nn.Conv2d(width, width, 1)
        self.write = nn.Conv2d(width, 3 * components, 1)
        self.copy = CausalConvolution(2, components, reach, reach, itself=False)
        with torch.no_grad():
            self.write.weight *= 0.1
            self.write.bias.copy_(torch.tensor([0.0, 0.0, -1.0]).repeat_interleave(components))
            # Half of the means start as copies of one of the nearest pixels each, and half spread
            # over the greys: means that start alike stay alike.
            self.copy.weight.zero_()
            half = components // 2
            for k, (row, column) in enumerate(islice(cycle(_NEAREST), half)):
                self.copy.weight[k, 0, reach + row, reach + column] = 1.0
            self.copy.bias.zero_()
            self.copy.bias[half:] = torch.linspace(-1.5, 1.5, components - half)

    def conditionals(self, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = self.read(seen).contiguous(memory_format=torch.channels_last)
        h = self.write(F.silu(self.last(F.silu(self.blocks(h)))))
        weight, mean, log_deviation = h.chunk(3, 1)
        return weight.log_softmax(1), mean + self.copy(seen), log_deviation


class GaussianImages:
    """The Gaussian of largest likelihood: the images' own mean and covariance, in float64."""

    def __init__(self, images: Tensor) -> None:
        flat = images.flatten(1).double()
        self.mean = flat.mean(0)
        covariance = (flat - self.mean).T @ (flat - self.mean) / len(flat)
        self.factor = torch.linalg.cholesky(covariance)

    @property
    def parameters(self) -> int:
        """Numbers that were fitted."""
        return len(self.mean) * (len(self.mean) + 3) // 2

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) of images (B, H, W), with shape (B,), in nats."""
        law = torch.distributions.MultivariateNormal(self.mean, scale_tril=self.factor)
        return law.log_prob(x.flatten(1).double())
