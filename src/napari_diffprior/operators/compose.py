"""One operator after another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .blur import Blur
from .contract import Operator, reach_of
from .mask import Mask

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class Compose:
    """A x = outer(inner(x)), for example a mask of a blur.

    Parameters
    ----------
    outer, inner : Operator
        Linear operators with ``adjoint``, ``extract``, ``embed`` and ``response``.
    """

    name: ClassVar[str] = "compose"

    def __init__(self, outer: Any, inner: Any) -> None:
        self.outer, self.inner = outer, inner
        self.domain = inner.domain

    def apply(self, x: Tensor) -> Tensor:
        """Inner operator, then outer."""
        image: Tensor = self.outer.apply(self.inner.apply(x))
        return image

    def adjoint(self, y: Tensor) -> Tensor:
        """Adjoint of the outer operator, then of the inner."""
        image: Tensor = self.inner.adjoint(self.outer.adjoint(y))
        return image

    @property
    def reach(self) -> float:
        """The longer of the two."""
        return max(reach_of(self.outer), reach_of(self.inner))

    def extract(self, x: Tensor) -> Tensor:
        """From the canvas to the measurement."""
        image: Tensor = self.outer.extract(self.inner.extract(x))
        return image

    def embed(self, y: Tensor) -> Tensor:
        """From the measurement to the canvas."""
        image: Tensor = self.inner.embed(self.outer.embed(y))
        return image

    def response(self, shape: tuple[int, int]) -> Tensor | float:
        """Product of the power responses."""
        product: Tensor | float = self.outer.response(shape) * self.inner.response(shape)
        return product

    @classmethod
    def example(cls, shape: tuple[int, int], rng: np.random.Generator) -> Operator:
        """Instance for the conformance tests: a mask of a blur."""
        return cls(Mask.example(shape, rng), Blur.example(shape, rng))
