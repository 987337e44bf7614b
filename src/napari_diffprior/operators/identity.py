"""The identity: plain denoising."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class Identity:
    """A x = x."""

    name: ClassVar[str] = "identity"

    def apply(self, x: Tensor) -> Tensor:
        """Return x."""
        return x

    def adjoint(self, y: Tensor) -> Tensor:
        """Return y."""
        return y

    def extract(self, x: Tensor) -> Tensor:
        """Return x."""
        return x

    def embed(self, y: Tensor) -> Tensor:
        """Return y."""
        return y

    def response(self, shape: tuple[int, int]) -> float:
        """Power response: 1 at every frequency."""
        return 1.0

    transfer = response

    @classmethod
    def example(cls, shape: tuple[int, int], rng: np.random.Generator) -> Identity:
        """Instance for the conformance tests."""
        return cls()
