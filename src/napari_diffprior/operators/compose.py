"""One operator after another."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

from .contract import Operator, is_linear, offers, reach_of, width_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from torch import Tensor


class Compose:
    """A x = first(... (last(x))), for example a mask of a downsampled blur; what all parts offer, it offers.

    Parameters
    ----------
    *operators : Operator
        The last one acts first.
    """

    name: ClassVar[str] = "compose"

    adjoint: Callable[[Tensor], Tensor]
    extract: Callable[[Tensor], Tensor]
    embed: Callable[[Tensor], Tensor]
    response: Callable[[tuple[int, int]], Any]
    transfer: Callable[[tuple[int, int]], Any]
    precondition: Callable[[Tensor, Tensor, tuple[int, int], float], Tensor]

    def __init__(self, *operators: Any) -> None:
        self.parts: list[Any] = [part for one in operators for part in (one.parts if isinstance(one, Compose) else [one])]
        self.linear = all(is_linear(part) for part in self.parts)
        domain = next((part.domain for part in reversed(self.parts) if hasattr(part, "domain")), None)
        if domain is not None:
            self.domain = domain
        for method in ("adjoint", "extract", "embed", "response"):
            if all(offers(part, method) for part in self.parts):
                setattr(self, method, getattr(self, f"_{method}"))
        if all(offers(part, "transfer") for part in self.parts) and not any(_gaps(part) for part in self.parts[1:]):
            self.transfer = self._transfer  # gaps that a filter acts on are no product of filters
        self._sampler = next((i for i, part in enumerate(self.parts) if hasattr(part, "precondition")), None)
        if self._sampler is not None and self._can_precondition(self._sampler):
            self.precondition = self._precondition

    def apply(self, x: Tensor) -> Tensor:
        """From the last operator to the first."""
        for part in reversed(self.parts):
            x = part.apply(x)
        return x

    def _adjoint(self, y: Tensor) -> Tensor:
        for part in self.parts:
            y = part.adjoint(y)
        return y

    def _extract(self, x: Tensor) -> Tensor:
        for part in reversed(self.parts):
            x = part.extract(x)
        return x

    def _embed(self, y: Tensor) -> Tensor:
        for part in self.parts:
            y = part.embed(y)
        return y

    def _response(self, shape: tuple[int, int]) -> Any:
        return math.prod(part.response(shape) for part in self.parts)

    def _transfer(self, shape: tuple[int, int]) -> Any:
        return math.prod(part.transfer(shape) for part in self.parts)

    def _can_precondition(self, sampler: int) -> bool:
        before, behind = self.parts[:sampler], self.parts[sampler + 1 :]
        return all(hasattr(part, "embed") for part in before) and all(hasattr(part, "response") for part in behind)

    def _precondition(self, r: Tensor, power: Tensor, grid: tuple[int, int], variance: float) -> Tensor:
        """What acts before the part that changes the grid filters the power; what comes after it leaves gaps."""
        assert self._sampler is not None
        for part in self.parts[self._sampler + 1 :]:
            power = power * part.response(grid)
        outer = self.parts[: self._sampler]
        for part in outer:
            r = part.embed(r)
        r = self.parts[self._sampler].precondition(r, power, grid, variance)
        for part in reversed(outer):
            r = part.extract(r)
        return r

    @property
    def reach(self) -> float:
        """The longest of all, in pixels of the image."""
        return self._longest(reach_of)

    @property
    def width(self) -> float:
        """The longest of all, in pixels of the image."""
        return self._longest(width_of)

    def _longest(self, length_of: Callable[[Any], float]) -> float:
        longest, factor = 0.0, 1
        for part in reversed(self.parts):
            longest = max(longest, factor * length_of(part))
            factor *= getattr(part, "factor", 1)
        return longest

    @classmethod
    def example(cls, shape: tuple[int, int], rng: np.random.Generator) -> Operator:
        """Instance for the conformance tests: a mask of a blur, or of a downsampled blur."""
        from .blur import Blur
        from .downsample import Downsample
        from .mask import Mask

        if rng.random() < 0.5:
            return cls(Mask.example(shape, rng), Blur.example(shape, rng))
        coarse = Downsample.example(shape, rng)
        return cls(Mask.example(shape, rng), coarse, Blur.example(coarse.domain, rng))


def _gaps(operator: Any) -> bool:
    return bool(getattr(operator, "gaps", False))
