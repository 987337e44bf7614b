"""Photon noise of a camera without read noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Gt

from ..params import Ui, params

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ..rng import NoiseStream


@params
class Poisson:
    """Photon noise: y = offset + gain Poisson((A x - offset) / gain).

    One photo-electron is ``gain`` grey levels, and no light is ``offset`` grey levels, in whatever units A x has.
    """

    name: ClassVar[str] = "poisson"
    newton: ClassVar[int] = 3
    dimmest: ClassVar[float] = 0.1

    gain: Annotated[float, Gt(0), Ui("Gain", "grey levels of one photo-electron, above 0")]
    offset: Annotated[float, Ui("Offset", "grey level without light")] = 0.0

    @property
    def shift(self) -> float:
        """Variance of the read noise in squared electrons, which is added to counts and rate: here there is none."""
        return 0.0

    def electrons(self, grey: Tensor) -> Tensor:
        """Photo-electrons of grey levels, plus ``shift``."""
        return (grey - self.offset) / self.gain + self.shift

    def nll(self, mean: Tensor, y: Tensor) -> Tensor:
        """Negative log-likelihood per sample, shape (B,): rate - k log(rate) + log k! for k measured electrons.

        Where fewer than a tenth of an electron, or a negative number, is expected, it goes on as a parabola.
        """
        import torch

        expected, counts = self.electrons(mean), self.electrons(y)
        rate, below = expected.clamp_min(self.dimmest), expected.clamp_max(self.dimmest)
        parabola = ((below - counts).square() - (self.dimmest - counts).square()) / (2 * self.dimmest)
        each = rate - counts * rate.log() + torch.lgamma(counts.clamp_min(0.0) + 1) + parabola
        return (each + math.log(self.gain)).flatten(1).sum(1)

    def precision(self, mean: Tensor) -> Tensor:
        """Inverse variance 1 / (gain^2 rate) at this mean; never of the measured value, which favours the dark."""
        return 1 / (self.gain**2 * self.electrons(mean).clamp_min(self.dimmest))

    def sample(self, mean: Tensor, noise: NoiseStream) -> Tensor:
        """Measurements of this mean, one for each stream; exact, by the inverse of the distribution."""
        light = ((mean - self.offset) / self.gain).clamp_min(0.0)
        return self.offset + self.gain * poisson_counts(light, noise.normal(light.shape[1:], light))

    def rescaled(self, scale: float, shift: float) -> Poisson:
        """The same noise for (y - shift) / scale."""
        return Poisson(gain=self.gain / scale, offset=(self.offset - shift) / scale)

    @classmethod
    def estimate(cls, image: np.ndarray[Any, Any], measured: np.ndarray[Any, Any], known: Mapping[str, float]) -> Poisson:
        """Camera of an image; what is ``known`` (gain, offset) is kept."""
        from .camera import estimate_camera

        camera = estimate_camera(image, measured, known.get("gain"), known.get("offset"), 0.0)
        return cls(gain=camera.gain, offset=camera.offset)


def poisson_counts(rate: Tensor, normal: Tensor) -> Tensor:
    """Poisson draws from standard normal ones: the quantile of the same probability, on the CPU in float64.

    The noise stream hands out normal numbers only; so the same stream gives the same counts on any device.
    """
    import numpy as np
    import torch
    from scipy.special import ndtr
    from scipy.stats import poisson

    uniform = ndtr(normal.double().cpu().numpy())
    counts = poisson.ppf(np.clip(uniform, 1e-16, 1 - 1e-16), rate.expand_as(normal).double().cpu().numpy())
    return torch.as_tensor(np.maximum(counts, 0.0)).to(normal)
