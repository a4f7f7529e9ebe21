"""Checks that a network can be called with x_t, times and codes, and returns what a head needs."""

__all__ = ["require_condition_width", "require_signature"]

import torch
from torch import Tensor, nn

from .._utils.eval_mode import evaluating
from ..conditions import Condition


@torch.no_grad()
def require_signature(
    network: nn.Module, inputs: tuple[Tensor, ...], outputs: int, head: str, space: str
) -> None:
    """Calls a network and checks what it returns.

    Args:
        network: to check.
        inputs: two examples of x_t (2, *), their times (2,), and codes where there is a condition.
            A missing value in x_t is NaN.
        outputs: numbers for each value that the head needs.
        head: the name of the head, for messages.
        space: the name of the space, for messages.

    Raises:
        TypeError: if the call fails, or the result has another type or shape, or it is not finite.
    """
    x, t, *codes = inputs
    name = type(network).__name__
    with evaluating(network):
        try:
            output = network(*inputs)
        except (RuntimeError, IndexError, TypeError) as error:
            more = "".join(f", and codes of shape {tuple(each.shape)}" for each in codes)
            raise TypeError(
                f"{name} cannot be applied to x of shape {tuple(x.shape)} and times of shape "
                f"{tuple(t.shape)}{more} ({error}): build it for data of shape "
                f"{tuple(x.shape[1:])}"
                + (", with the condition's codes as its third argument" if codes else "")
            ) from error
    if not isinstance(output, Tensor):
        raise TypeError(f"{name} returns a {type(output).__name__}, and a tensor is needed")
    got, expected = tuple(output.shape), (*x.shape, outputs)
    if got != expected:
        raise TypeError(
            f"for x of shape {tuple(x.shape)} the network gives {got}, but {head} on {space} needs "
            f"{expected}: build the network with outputs={outputs} for data of that shape"
        )
    if x.isnan().any() and not output.isfinite().all():
        raise TypeError(
            f"{name} returns NaN or infinity where a value of x is missing (NaN): build it for "
            "missing values (MLP takes holes=True)"
        )


def require_condition_width(network: nn.Module, condition: Condition | None) -> None:
    """Checks that a network of this library was built for a condition.

    Raises:
        TypeError: if it was built for another one.
    """
    width, wanted = getattr(network, "condition", None), 0 if condition is None else condition.width
    if not isinstance(width, int) or width == wanted:
        return
    if condition is None:
        raise TypeError(
            f"{type(network).__name__} was built with condition={width}, and the model has no "
            "condition: give the model one, as condition=conditions.ClassLabel(...)"
        )
    raise TypeError(
        f"{type(condition).__name__} has codes of {wanted} numbers, and {type(network).__name__} "
        f"was built with condition={width}: build it with condition={wanted}"
    )
