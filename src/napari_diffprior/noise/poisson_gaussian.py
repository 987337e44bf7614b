"""Photon noise and read noise of a camera."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Ge

from ..params import Ui, params
from .poisson import Poisson

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ..rng import NoiseStream


@params
class PoissonGaussian(Poisson):
    """A camera: y = offset + gain Poisson((A x - offset) / gain) + N(0, read_noise^2).

    Its likelihood is that of a shifted Poisson (Snyder et al. 1995; Chakrabarti & Zickler 2012): with the read noise
    s = read_noise / gain in electrons, (y - offset) / gain + s^2 is taken as Poisson of (A x - offset) / gain + s^2,
    which has the right mean and variance. So the likelihood knows offset and read noise only by
    offset - read_noise^2 / gain.
    """

    name: ClassVar[str] = "poisson_gaussian"

    read_noise: Annotated[float, Ge(0), Ui("Read noise", "standard deviation in the dark, grey levels, 0 or above")] = 0.0

    @property
    def shift(self) -> float:
        """Variance of the read noise in squared electrons."""
        return (self.read_noise / self.gain) ** 2

    def sample(self, mean: Tensor, noise: NoiseStream) -> Tensor:
        """Measurements of this mean, one for each stream: real photons and real read noise, not the shifted Poisson."""
        counted = super().sample(mean, noise)
        return counted + self.read_noise * noise.normal(counted.shape[1:], counted)

    def rescaled(self, scale: float, shift: float) -> PoissonGaussian:
        """The same noise for (y - shift) / scale."""
        moved = super().rescaled(scale, shift)
        return PoissonGaussian(gain=moved.gain, offset=moved.offset, read_noise=self.read_noise / scale)

    @classmethod
    def estimate(cls, image: np.ndarray[Any, Any], measured: np.ndarray[Any, Any], known: Mapping[str, float]) -> PoissonGaussian:
        """Camera of an image; what is ``known`` (gain, offset, read_noise) is kept."""
        from .camera import estimate_camera

        return estimate_camera(image, measured, known.get("gain"), known.get("offset"), known.get("read_noise"))
