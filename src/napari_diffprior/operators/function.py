"""Any function of torch as an operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class Function:
    """A x = function(x), with its adjoint by automatic differentiation.

    Parameters
    ----------
    function : callable
        Takes images (B, C, H, W) and returns measurements (B, ...), each from its own image; differentiable by torch.
    domain : (int, int), optional
        Shape of its images, if it differs from the measurement's.
    linear : bool
        Whether it is linear: methods with an exact data step need that.

    Examples
    --------
    >>> mirrored_sum = Function(lambda x: x + x.flip(-1), linear=True)
    """

    name: ClassVar[str] = "function"

    def __init__(self, function: Callable[[Tensor], Tensor], domain: Sequence[int] | None = None, linear: bool = False) -> None:
        self.function, self.linear = function, linear
        if domain is not None:
            self.domain = tuple(domain)

    def apply(self, x: Tensor) -> Tensor:
        """The function's value."""
        return self.function(x)

    @classmethod
    def example(cls, shape: Sequence[int], rng: np.random.Generator) -> Function:
        """Instance for the conformance tests: running sums, which are linear."""
        return cls(lambda x: x.cumsum(-1) - 0.5 * x.flip(-2), linear=True)
