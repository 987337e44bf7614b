"""Saturation: a measurement at the ceiling only says that there was at least so much light."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Tensor

    from ..rng import NoiseStream
    from .contract import NoiseModel


class Censored:
    """Another noise model, with some measurements that are lower bounds only.

    A bound counts as a measurement while the image is below it, and not at all once it is kept: a one-sided misfit
    in the place of Tobin's (1958) exact -log Phi, from which it differs within about one noise deviation of the bound.

    Parameters
    ----------
    inner : NoiseModel
        Noise of the measurements.
    ceiling : Tensor
        The bound where a measurement is one, infinity elsewhere; of the measurement's shape (1, C, ...).
    """

    newton: ClassVar[int] = 3

    def __init__(self, inner: NoiseModel, ceiling: Tensor) -> None:
        self.inner, self.ceiling = inner, ceiling

    @property
    def offset(self) -> float:
        """Dark level of a camera; an AttributeError where the inner noise has none."""
        return float(self.inner.offset)  # type: ignore[attr-defined]

    def nll(self, mean: Tensor, y: Tensor) -> Tensor:
        """Negative log-likelihood per sample, shape (B,); a bound that is kept costs what a perfect fit costs."""
        return self.inner.nll(y.where(mean >= self.ceiling, mean), y)

    def precision(self, mean: Tensor) -> Tensor:
        """Inverse variance of each measurement; zero where a bound is kept."""
        return (mean < self.ceiling) * self.inner.precision(mean)

    def sample(self, mean: Tensor, noise: NoiseStream) -> Tensor:
        """Measurements of the mean, cut off at the ceiling."""
        return self.inner.sample(mean, noise).minimum(self.ceiling)

    def rescaled(self, scale: float, shift: float) -> Censored:
        """The same noise for (y - shift) / scale."""
        return Censored(self.inner.rescaled(scale, shift), (self.ceiling - shift) / scale)
