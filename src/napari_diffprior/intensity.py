"""The linear map between image units and the prior's range."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from .operators.contract import Operator, extract
from .richardson_lucy import richardson_lucy

if TYPE_CHECKING:
    from torch import Tensor

    from .noise.contract import NoiseModel

SHARPENING = 50  # iterations of Richardson-Lucy that say how bright the image was before a blur


@dataclass(frozen=True)
class Intensity:
    """Linear map between image units and the prior's range: the only place that knows [-1, 1].

    Parameters
    ----------
    low, high : float
        Image values that become -1 and 1; values outside are kept, not clipped.

    Raises
    ------
    ValueError
        If ``high`` is not above ``low``.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        """Refuse an empty range."""
        if not self.high > self.low:
            raise ValueError("the image is constant: there is nothing to restore.")

    @classmethod
    def of(cls, measured: np.ndarray[Any, Any]) -> Intensity:
        """Range from the 0.1 and 99.9 percentiles of the measured pixels, as in training."""
        low, high = (float(value) for value in np.percentile(measured.astype(np.float64), [0.1, 99.9]))
        if high <= low:
            low, high = float(measured.min()), float(measured.max())
        return cls(low, high)

    def before_blur(self, y: Tensor, operator: Operator, shape: tuple[int, ...]) -> Intensity:
        """Range of the image that was blurred: where it is fine it was brighter than what was measured of it.

        The upper end is that of 50 iterations of Richardson-Lucy, if it is the higher one.

        Parameters
        ----------
        y : Tensor, shape (1, C, ...)
            Measured values in model units of this range.
        operator : Operator
            Of weights that are not negative.
        shape : tuple of int
            (C, H, W) of the images that it takes.
        """
        light = next(islice(richardson_lucy((y + 1).clamp_min(0.0), operator, shape), SHARPENING - 1, None))
        return self.reaching(extract(operator, light - 1))

    def reaching(self, image: Tensor) -> Intensity:
        """The same range with an upper end that holds 99.9 % of an image in model units, if that is the higher one."""
        peak = float(np.percentile(image.cpu().numpy(), 99.9))
        return Intensity(self.low, max(self.high, self.to_image(peak)))

    @property
    def scale(self) -> float:
        """Image units in one unit of the model."""
        return (self.high - self.low) / 2

    def to_model(self, image: Any) -> Any:
        """Image units to model units; arrays and tensors alike."""
        return (image - self.low) / self.scale - 1

    def to_image(self, model: Any) -> Any:
        """Model units to image units; arrays and tensors alike."""
        return (model + 1) * self.scale + self.low

    def noise_to_model(self, noise: NoiseModel) -> NoiseModel:
        """Noise in image units, a camera's with its gain and offset, as noise in model units."""
        return noise.rescaled(self.scale, self.to_image(0.0))
