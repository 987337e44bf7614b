"""What a prior is: a denoiser D(x, sigma) = E[x0 | x0 + sigma n = x] that knows its own error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from ..rng import NoiseStream


class Covariance(Protocol):
    """Covariance R of the denoiser's error, for images of one shape."""

    @property
    def mean_variance(self) -> float:
        """Mean variance of a pixel."""
        ...

    def apply(self, x: Tensor) -> Tensor:
        """R x."""
        ...

    def draw(self, noise: NoiseStream, like: Tensor) -> Tensor:
        """Sample of N(0, R) for each stream, with the dtype and device of ``like``."""
        ...

    def solve(self, x: Tensor, operator: object, variance: float) -> Tensor | None:
        """Approximate (A R A^T + variance)^-1 x in the measurement's space; None if it cannot."""
        ...


class Denoiser(Protocol):
    """The prior contract.

    Attributes
    ----------
    sigma_min, sigma_max : float
        Trained range of noise levels, in the model's units (image range [-1, 1]).
    channels, ndim : int
        Channels, and spatial axes.
    patch : tuple of int, or None
        Spatial shape that it was trained on; None if it takes any.

    A prior that autograd cannot go through says so with ``differentiable = False``.
    """

    sigma_min: float
    sigma_max: float
    channels: int
    ndim: int
    patch: tuple[int, ...] | None

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """E[x0 | x0 + sigma n = x] for x of shape (B, C, H, W) and sigma of shape (B,); differentiable in x."""
        ...

    def error(self, sigma: float, shape: Sequence[int], like: Tensor) -> Covariance:
        """Measured or exact covariance of D(x0 + sigma n) - x0 for images (C, H, W); sigma = inf: of the data."""
        ...


def denoise(prior: Denoiser, x: Tensor, sigma: float) -> Tensor:
    """Call a prior at one noise level for the whole batch, without a graph."""
    import torch

    with torch.no_grad():
        return prior(x, x.new_full((len(x),), sigma))
