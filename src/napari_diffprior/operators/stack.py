"""Several measurements of one image."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from .contract import Operator, domain_of, is_linear, reach_of, width_of

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class Stack:
    """A x = (A_1 x, A_2 x, ...), each flattened, one behind the other, shape (B, m_1 + m_2 + ...).

    Different noise in the parts goes into ``noise.gaussian_map.GaussianMap``, flattened in the same way.

    Parameters
    ----------
    *operators : Operator
        All for images of one shape; their ``domain`` must agree where they have one.

    Raises
    ------
    ValueError
        If there is none, or if they take images of different shapes.
    """

    name: ClassVar[str] = "stack"

    def __init__(self, *operators: Operator) -> None:
        domains = {domain_of(operator, ()) for operator in operators} - {()}
        if not operators or len(domains) > 1:
            raise ValueError(f"a stack needs operators for images of one shape, not {sorted(domains)}: pad the PSFs to one size.")
        self.operators, self.linear = operators, all(is_linear(operator) for operator in operators)
        if domains:
            self.domain = domains.pop()

    @property
    def reach(self) -> float:
        """The shortest: the best of the measurements decides."""
        return min(reach_of(operator) for operator in self.operators)

    @property
    def width(self) -> float:
        """The narrowest likewise."""
        return min(width_of(operator) for operator in self.operators)

    def apply(self, x: Tensor) -> Tensor:
        """All measurements."""
        import torch

        return torch.cat([operator.apply(x).flatten(1) for operator in self.operators], 1)

    @classmethod
    def example(cls, shape: tuple[int, int], rng: np.random.Generator) -> Stack:
        """Instance for the conformance tests: some pixels and some frequencies."""
        from .fourier import Fourier
        from .mask import Mask

        return cls(Mask.example(shape, rng), Fourier.example(shape, rng))
