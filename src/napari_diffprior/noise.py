"""Noise models: how a measurement scatters around A x."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol

from annotated_types import Gt

from .params import Ui, params

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from .rng import NoiseStream


class NoiseModel(Protocol):
    """Distribution of a measurement y around its mean A x, in the model's units."""

    def nll(self, mean: Tensor, y: Tensor) -> Tensor:
        """Negative log-likelihood, one value per sample, shape (B,); never summed over the batch."""
        ...

    def precision(self, mean: Tensor) -> float | Tensor:
        """Inverse variance of each measurement at this mean."""
        ...

    def sample(self, mean: Tensor, noise: NoiseStream) -> Tensor:
        """Draw measurements."""
        ...


@params
class Gaussian:
    """Additive white Gaussian noise."""

    name: ClassVar[str] = "gaussian"

    sigma: Annotated[float, Gt(0), Ui("Sigma", "standard deviation in the model's units, range above 0")]

    def nll(self, mean: Tensor, y: Tensor) -> Tensor:
        """Negative log-likelihood per sample, shape (B,)."""
        residual = ((y - mean) / self.sigma).flatten(1)
        count = residual.shape[1]
        return 0.5 * residual.square().sum(1) + count * (math.log(self.sigma) + 0.5 * math.log(2 * math.pi))

    def precision(self, mean: Tensor) -> float:
        """Inverse variance, the same for every measurement."""
        return self.sigma**-2

    def sample(self, mean: Tensor, noise: NoiseStream) -> Tensor:
        """Measurements around the mean, one for each stream."""
        return mean + self.sigma * noise.normal(mean.shape[1:], mean)


def estimate_sigma(image: np.ndarray[Any, Any], measured: np.ndarray[Any, Any]) -> float:
    """Noise standard deviation of an image, from differences within small groups of measured pixels.

    The diagonal Haar detail (a - b - c + d) / 2 of a 2 x 2 block has the noise's deviation and hardly sees smooth
    structure; its median absolute value is robust to edges (Donoho & Johnstone 1994). Where gaps leave few blocks,
    second differences of three pixels in a line join in, and differences of neighbours where those are few too.

    Parameters
    ----------
    image : ndarray, shape (H, W)
    measured : ndarray of bool, shape (H, W)

    Returns
    -------
    float
        In the image's units; never below 0.1 % of the measured range, so that a noise-free image can be restored.
    """
    import numpy as np

    values, known = image.astype(np.float64), measured
    details = _stencil(values, known, [[1, -1], [-1, 1]])
    if len(details) < 1000:
        details = np.concatenate([details, *(_stencil(values, known, line) for line in ([[1, -2, 1]], [[1], [-2], [1]]))])
    if len(details) < 64:
        details = np.concatenate([_stencil(values, known, line) for line in ([[1, -1]], [[1], [-1]])])
    floor = max(1e-3 * float(np.ptp(values[known])), 1e-12)
    return max(float(np.median(np.abs(details))) / 0.6745, floor) if len(details) else floor


def _stencil(values: np.ndarray[Any, Any], known: np.ndarray[Any, Any], weights: Sequence[Sequence[int]]) -> np.ndarray[Any, Any]:
    """Weighted sums over all windows of measured pixels only, scaled so that white noise keeps its deviation."""
    import numpy as np

    shape = (len(weights), len(weights[0]))
    if any(side < need for side, need in zip(values.shape, shape, strict=True)):
        return np.zeros(0)
    kernel = np.asarray(weights, dtype=np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(values, shape)
    usable = np.lib.stride_tricks.sliding_window_view(known, shape).all((-2, -1))
    sums: np.ndarray[Any, Any] = (windows[usable] * kernel).sum((-2, -1)) / np.sqrt((kernel**2).sum())
    return sums
