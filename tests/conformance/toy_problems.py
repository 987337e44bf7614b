"""Posteriors that are known exactly, beside the Gaussian one of ``napari_diffprior.testing``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_diffprior.measurement import Measurement
from napari_diffprior.noise.gaussian import Gaussian
from napari_diffprior.priors.analytic import GaussianMixturePrior
from napari_diffprior.priors.covariance import Diagonal

NOISE = 0.5
DIRECTION = torch.ones(2, dtype=torch.float64) / math.sqrt(2)


class Sum:
    """A = [1, 1] / sqrt(2) on images of shape (1, 1, 2)."""

    def apply(self, x: Tensor) -> Tensor:
        return x.sum(-1, keepdim=True) / math.sqrt(2)

    def adjoint(self, y: Tensor) -> Tensor:
        return (y / math.sqrt(2)).expand(*y.shape[:-1], 2)


class Nothing:
    """A = 0: the data say nothing."""

    def apply(self, x: Tensor) -> Tensor:
        return 0.0 * x

    def adjoint(self, y: Tensor) -> Tensor:
        return 0.0 * y


def mixture() -> GaussianMixturePrior:
    """25 Gaussians of unit covariance at 8 (i, j), the antidiagonal weighted 1 to 5."""
    steps = range(-2, 3)
    means = torch.tensor([[8.0 * i, 8.0 * j] for i in steps for j in steps], dtype=torch.float64)
    weights = torch.tensor([i + 3.0 if j == -i else 1.0 for i in steps for j in steps], dtype=torch.float64)
    return GaussianMixturePrior(means, weights)


def measured_zero(kind: type[Measurement] = Measurement) -> Measurement:
    """y = 0 of the sum, with noise .5."""
    return kind(torch.zeros(1, 1, 1, 1, dtype=torch.float64), Sum(), Gaussian(sigma=NOISE), (1, 1, 2))


def components(prior: GaussianMixturePrior, x: Tensor | None, sigma: float) -> tuple[Tensor, Tensor, Tensor]:
    """Weights (B, K), means (B, K, 2) and the common covariance (2, 2) of p(x0 | x, y = 0) for the sum.

    Without x: of p(x0 | y = 0). In closed form: each component is Gaussian, x and y are Gaussian given x0.
    """
    eye = torch.eye(2, dtype=torch.float64)
    share = 0.0 if x is None else 1 / (1 + sigma**2)  # of x in E[x0 | x, component]; unit prior variance
    spread = 1.0 - share
    flat = torch.zeros(1, 2, dtype=torch.float64) if x is None else x.flatten(1).double()
    centre = prior.means + share * (flat[:, None] - prior.means)
    evidence = -0.5 * (centre @ DIRECTION).square() / (spread + NOISE**2)
    if x is not None:
        evidence = evidence - 0.5 * (flat[:, None] - prior.means).square().sum(-1) / (1 + sigma**2)
    gain = spread * DIRECTION / (spread + NOISE**2)
    means = centre - (centre @ DIRECTION)[..., None] * gain
    return (prior.weights.log() + evidence).softmax(-1), means, spread * (eye - torch.outer(gain, DIRECTION))


def exact_draws(count: int, seed: int, stratified: bool = False) -> Tensor:
    """Draws of p(x0 | y), shape (count, 2); stratified: each component exactly by its weight."""
    weights, means, covariance = components(mixture(), None, 0.0)
    generator = torch.Generator().manual_seed(seed)
    if stratified:
        edges = (weights[0].cumsum(0) * count).round().long()
        chosen = torch.searchsorted(edges, torch.arange(count), right=True)
    else:
        chosen = weights[0].multinomial(count, replacement=True, generator=generator)
    spread = torch.randn(count, 2, generator=generator, dtype=torch.float64) @ torch.linalg.cholesky(covariance).T
    return means[0, chosen] + spread


def sliced_w1(a: Tensor, b: Tensor, directions: int = 60) -> float:
    """Mean over directions of the 1-Wasserstein distance of two equally large sets of points in the plane."""
    angle = torch.arange(directions, dtype=torch.float64) * math.pi / directions
    lines = torch.stack([angle.cos(), angle.sin()])
    difference = (a.double() @ lines).sort(0).values - (b.double() @ lines).sort(0).values
    return float(difference.abs().mean())


class AtLevel(Diagonal):
    """An error covariance that remembers its noise level."""

    def __init__(self, sigma: float) -> None:
        super().__init__(torch.ones(1, 1, 2, dtype=torch.float64))
        self.sigma = sigma


@dataclass
class PassThrough:
    """A stand-in that hands x itself and the noise level to ``OracleMeasurement.condition``."""

    inner: GaussianMixturePrior
    sigma_min: float = 0.01
    sigma_max: float = 100.0
    channels: int = 1
    ndim: int = 2
    patch: None = None

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        return x

    def error(self, sigma: float, shape: Any, like: Tensor) -> Diagonal:
        return self.inner.error(sigma, shape, like) if math.isinf(sigma) else AtLevel(sigma)


class OracleMeasurement(Measurement):
    """A data step that draws exactly from p(x0 | x, y), in the place of a Gaussian approximation."""

    def condition(self, mean: Tensor, error: Any, noise: Any = None, tolerance: float = 0.0, iterations: int = 0) -> Tensor:
        weights, means, covariance = components(mixture(), mean, error.sigma)
        if noise is None:
            return (weights[..., None] * means).sum(1).view_as(mean)
        uniform = torch.special.ndtr(noise.normal((1,), mean))
        chosen = (weights.cumsum(-1) < uniform).sum(-1).clamp_max(weights.shape[1] - 1)
        spread = noise.normal((2,), mean) @ torch.linalg.cholesky(covariance).T
        return (means[torch.arange(len(mean)), chosen] + spread).view_as(mean)


class Counted:
    """A prior whose error covariance was measured on held-out draws, as a trained prior's is.

    Variances per coordinate at 20 noise levels, interpolated in the logarithms.
    """

    def __init__(self, inner: Any, held_out: int, seed: int = 9) -> None:
        self.inner = inner
        self.sigma_min, self.sigma_max = inner.sigma_min, inner.sigma_max
        self.channels, self.ndim, self.patch = inner.channels, inner.ndim, inner.patch
        generator = torch.Generator().manual_seed(seed)
        shape = (held_out, *inner.variance.shape)
        clean = inner.variance.sqrt() * torch.randn(shape, generator=generator, dtype=torch.float64)
        self.levels = np.geomspace(self.sigma_min, self.sigma_max, 20)
        rows = []
        for level in self.levels:
            noisy = clean + level * torch.randn(shape, generator=generator, dtype=torch.float64)
            rows.append((inner(noisy, noisy.new_full((held_out,), level)) - clean).square().mean(0).log())
        self.table = torch.stack(rows)
        self.data = clean.square().mean(0)

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.inner(x, sigma)

    def error(self, sigma: float, shape: Any, like: Tensor) -> Diagonal:
        if math.isinf(sigma):
            return Diagonal(self.data)
        at = float(np.interp(math.log(sigma), np.log(self.levels), np.arange(20.0)))
        low = min(int(at), 18)
        return Diagonal(torch.lerp(self.table[low], self.table[low + 1], at - low).exp())
