"""Stand-ins for the exact problems of ``napari_diffprior.testing``: no data, an exact data step, a measured prior."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_diffprior.measurement import Measurement
from napari_diffprior.priors.analytic import GaussianMixturePrior
from napari_diffprior.priors.covariance import Diagonal
from napari_diffprior.testing.problems import components, mixture


class Nothing:
    """A = 0: the data say nothing; as an operator that selects, it selects nothing."""

    def apply(self, x: Tensor) -> Tensor:
        return 0.0 * x

    adjoint = extract = embed = apply


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
