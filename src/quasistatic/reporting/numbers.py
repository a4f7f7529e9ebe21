"""Numbers as text: three significant digits, or as many as the standard error allows."""

__all__ = ["figure_text", "with_error"]

import math


def figure_text(value: float, digits: int = 3) -> str:
    """A number to so many significant digits; whole digits are never rounded away.

    Args:
        value: the number; NaN and infinities are allowed.
        digits: significant digits.
    """
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{places}f}" if 1e-4 <= abs(value) < 1e7 else f"{value:.{digits - 1}e}"


def with_error(mean: float, error: float) -> str:
    """`mean ± error`, both to the second significant digit of the error.

    Args:
        mean: the estimate.
        error: its standard error. If it is not finite, zero, or a rounding error of float64, only
            the mean is given.
    """
    if not (math.isfinite(mean) and math.isfinite(error) and error > 1e-12 * abs(mean)):
        return figure_text(mean, 4)
    places = max(0, 1 - math.floor(math.log10(error)))
    return f"{mean:.{places}f} ± {error:.{places}f}"
