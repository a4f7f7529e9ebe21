"""SD15's two toy distributions, drawn afresh from a seed."""

__all__ = ["heartbeat", "roll_curve", "roll_noise", "swiss_roll"]

import numpy as np


def swiss_roll(n: int, noise: float = 0.1, seed: int = 0) -> np.ndarray:
    """A spiral of two turns and a half's pitch with Gaussian noise, (n, 2), of variance 1 a value.

    The angle is 1.5 pi (1 + 2 u) with u uniform, the radius equals the angle; the curve is centred
    and scaled so that, with the noise, the mean variance of the two values is 1. `noise` is a
    standard deviation in those final units: the density, and so any bound, depends on it.
    """
    if not 0 <= noise < 1:
        raise ValueError(f"the noise is part of a variance of 1: give 0 <= noise < 1, got {noise}")
    rng = np.random.default_rng(seed)
    angle = 1.5 * np.pi * (1 + 2 * rng.random(n))
    curve = roll_curve(angle) * np.sqrt(1 - noise**2)
    return np.asarray(curve + noise * rng.standard_normal((n, 2)))


def roll_curve(angle: np.ndarray) -> np.ndarray:
    """The noiseless roll at given angles, (n, 2), scaled to mean 0 and mean variance 1."""
    whole = _whole_roll()
    centre = whole.mean(0)
    scale = np.sqrt(((whole - centre) ** 2).mean())
    spiral = np.stack([angle * np.cos(angle), angle * np.sin(angle)], -1)
    return np.asarray((spiral - centre) / scale)


def roll_noise(noise: float) -> float:
    """The noise of :func:`swiss_roll` for what scikit-learn's `make_swiss_roll` calls `noise`: it
    adds that to a roll of radius 4.7 to 14.1, which is only then scaled."""
    whole = _whole_roll()
    return float(noise / np.sqrt(whole.var(0).mean() + noise**2))


def heartbeat(n: int, length: int = 20, period: int = 5, seed: int = 0) -> np.ndarray:
    """Binary sequences with a 1 every `period` places and a random phase, (n, length): each of
    the `period` sequences has probability 1 / period (SD15 Sec. 3.1.2)."""
    phase = np.random.default_rng(seed).integers(period, size=(n, 1))
    return np.asarray(np.arange(length) % period == phase, np.float32)


def _whole_roll() -> np.ndarray:
    """The noiseless roll, unscaled, at 20000 angles spread evenly."""
    angle = 1.5 * np.pi * (1 + 2 * (np.arange(20_000) + 0.5) / 20_000)
    return np.stack([angle * np.cos(angle), angle * np.sin(angle)], -1)
