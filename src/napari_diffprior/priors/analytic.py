"""Priors whose denoiser is known exactly: the yardsticks of the samplers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .covariance import Diagonal, Stationary

if TYPE_CHECKING:
    from torch import Tensor


class GaussianPrior:
    """Independent Gaussian coordinates.

    Parameters
    ----------
    variance : Tensor, shape (C, H, W)
        Prior variance of each coordinate.
    mean : float
        Prior mean.
    sigma_min, sigma_max : float
        Range of noise levels that it pretends to be trained on.
    """

    ndim = 2
    patch: tuple[int, ...] | None = None

    def __init__(self, variance: Tensor, mean: float = 0.0, sigma_min: float = 0.002, sigma_max: float = 100.0) -> None:
        self.variance, self.mean = variance, mean
        self.sigma_min, self.sigma_max = sigma_min, sigma_max
        self.channels = len(variance)

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Posterior mean v / (v + sigma^2) (x - mean) + mean."""
        noise = sigma.square().view(-1, 1, 1, 1)
        return self.mean + self.variance / (self.variance + noise) * (x - self.mean)

    def error(self, sigma: float, shape: Sequence[int], like: Tensor) -> Diagonal:
        """Exact posterior variance v sigma^2 / (v + sigma^2)."""
        shrink = 1.0 if math.isinf(sigma) else sigma**2 / (self.variance + sigma**2)
        return Diagonal(self.variance * shrink)


class StationaryPrior:
    """Periodic stationary Gaussian field with a given power spectrum.

    Parameters
    ----------
    power : Tensor, shape (H, W // 2 + 1)
        Power on the real-FFT grid; its mean over the full grid is the pixel variance.
    grid : (int, int)
        (H, W), the only size that it takes.
    """

    ndim, channels = 2, 1
    patch: tuple[int, ...] | None = None

    def __init__(self, power: Tensor, grid: tuple[int, int], sigma_min: float = 0.002, sigma_max: float = 100.0) -> None:
        self.power, self.grid = power, grid
        self.sigma_min, self.sigma_max = sigma_min, sigma_max

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Wiener filter of the field's spectrum."""
        import torch

        gain = self.power / (self.power + sigma.square().view(-1, 1, 1, 1))
        filtered: Tensor = torch.fft.irfft2(torch.fft.rfft2(x) * gain, s=self.grid)
        return filtered

    def error(self, sigma: float, shape: Sequence[int], like: Tensor) -> Stationary:
        """Exact posterior spectrum."""
        shrink = 1.0 if math.isinf(sigma) else sigma**2 / (self.power + sigma**2)
        return Stationary(self.power * shrink, self.grid, shape)


class GaussianMixturePrior:
    """Mixture of Gaussians with one covariance, on images of any shape (C, H, W) with d pixels.

    Parameters
    ----------
    means : Tensor, shape (K, d)
    weights : Tensor, shape (K,)
        Not negative; normalised here.
    variance : float
        Variance of every coordinate within a component.
    """

    ndim, channels = 2, 1
    patch: tuple[int, ...] | None = None

    def __init__(
        self, means: Tensor, weights: Tensor, variance: float = 1.0, sigma_min: float = 0.01, sigma_max: float = 100.0
    ) -> None:
        self.means, self.weights, self.variance = means, weights / weights.sum(), variance
        self.sigma_min, self.sigma_max = sigma_min, sigma_max

    def responsibilities(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Probability of each component given the noisy image, shape (B, K)."""
        total = self.variance + sigma.square().view(-1, 1)
        distance = (x.flatten(1)[:, None] - self.means).square().sum(-1)
        return (self.weights.log() - 0.5 * distance / total).softmax(-1)

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Posterior mean: each component's shrinkage, weighted by its responsibility."""
        shrink = (self.variance / (self.variance + sigma.square())).view(-1, 1)
        centre = self.responsibilities(x, sigma) @ self.means
        return (centre + shrink * (x.flatten(1) - centre)).view_as(x)

    def error(self, sigma: float, shape: Sequence[int], like: Tensor) -> Diagonal:
        """Mean variance left after observing x: within the components, plus between those that sigma cannot tell apart.

        The exact covariance depends on x; this is its mean over x, per coordinate, by sampling with a fixed seed.
        """
        import torch

        generator = torch.Generator().manual_seed(0)
        chosen = self.weights.float().multinomial(4096, replacement=True, generator=generator)
        spread = torch.randn(4096, self.means.shape[1], generator=generator, dtype=torch.float64)
        clean = self.means.double()[chosen] + math.sqrt(self.variance) * spread
        if math.isinf(sigma):
            return Diagonal(clean.var(0).to(like).view(*shape))
        noisy = clean + sigma * torch.randn(clean.shape, generator=generator, dtype=torch.float64)
        exact = GaussianMixturePrior(self.means.double(), self.weights.double(), self.variance)
        error = exact(noisy, noisy.new_full((4096,), sigma)) - clean
        return Diagonal(error.square().mean(0).to(like).view(*shape))
