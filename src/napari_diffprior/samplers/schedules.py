"""Noise schedules: plain lists of sigmas, falling, the last one 0."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..operators.contract import is_linear

if TYPE_CHECKING:
    from torch import Tensor

    from ..measurement import Measurement
    from ..priors.contract import Denoiser
    from ..rng import NoiseStream

TIMESTEPS = 1000


def karras(start: float, end: float, steps: int, rho: float = 7.0) -> list[float]:
    """Polynomial spacing from ``start`` to ``end``, then 0 (Karras et al. 2022, equation 5).

    Returns
    -------
    list of float, length steps + 1
    """
    ramp = np.linspace(0, 1, steps) if steps > 1 else np.zeros(1)
    sigmas = (start ** (1 / rho) + ramp * (end ** (1 / rho) - start ** (1 / rho))) ** rho
    return [*sigmas.tolist(), 0.0]


def geometric(start: float, end: float, steps: int) -> list[float]:
    """Equal ratios from ``start`` to ``end``, then 0; length steps + 1."""
    return [*np.geomspace(start, end, steps).tolist(), 0.0]


def ddpm_sigma(timestep: int) -> float:
    """Noise level of a timestep of the linear DDPM table of 1000 steps (Ho et al. 2020)."""
    betas = np.linspace(1e-4, 0.02, TIMESTEPS)
    log_abar = np.log1p(-betas[: timestep + 1]).sum()
    return math.sqrt(math.expm1(-log_abar))


def from_timestep(prior: Denoiser, start: int, steps: int) -> list[float]:
    """Karras spacing from the noise of a DDPM timestep to the prior's lowest noise.

    Parameters
    ----------
    start : int
        Timestep of 1000, as papers give it; 1000 is the whole table.
    """
    return karras(min(ddpm_sigma(min(start, TIMESTEPS) - 1), prior.sigma_max), prior.sigma_min, steps)


def lowest(measurement: Measurement, prior: Denoiser, share: float, start: float) -> float:
    """Last noise level: a share of the measurement's noise, between the prior's lowest and the first.

    Noise beyond the data's own spread hides all of it: there a share of the spread.
    """
    spread = math.sqrt(prior.error(math.inf, measurement.shape, measurement.y).mean_variance)
    return min(max(share * min(measurement.sigma, spread), prior.sigma_min), start)


def drowned(prior: Denoiser, measurement: Measurement, steps: int) -> list[float]:
    """Karras spacing from where images drown in noise to where the measurement's noise drowns what is left.

    From 50 times the deviation of the data to a tenth of the measurement's noise, within the prior's range. Above that
    no step decides anything, and gradients through a network, which count times sigma^2, are not to be trusted.
    """
    spread = math.sqrt(prior.error(math.inf, measurement.shape, measurement.y).mean_variance)
    start = min(50 * spread, prior.sigma_max)
    return karras(start, lowest(measurement, prior, 0.1, start), steps)


def begin(measurement: Measurement, prior: Denoiser, sigma: float, noise: NoiseStream) -> Tensor:
    """Image in noise sigma to begin from: a draw of the data's Gaussian given y, noised; shape (B, C, H, W).

    Noise alone is right only where sigma drowns the image. Below that a sampler keeps what it begins with wherever the
    measurement says nothing, and must begin with x0 + sigma z, with x0 as near the posterior as no network call makes it:
    N(0, R) with the covariance R of the data, conditioned exactly. An operator that is not linear gives noise alone.
    """
    fresh = sigma * noise.normal(measurement.shape, measurement.y)
    if not is_linear(measurement.operator):
        return fresh
    data = prior.error(math.inf, measurement.shape, measurement.y)
    return fresh + measurement.condition(fresh.new_zeros(fresh.shape), data, noise)


def ancestral(x: Tensor, x0: Tensor, sigma: float, lower: float, noise: NoiseStream, eta: float = 1.0) -> Tensor:
    """Step from sigma to a lower noise level with any estimate of E[x0 | x, y] (Song et al. 2021, equation 12).

    Parameters
    ----------
    x, x0 : Tensor, shape (B, C, H, W)
        Current image in the variance-exploding variable, and the estimate.
    sigma, lower : float
        Noise level now and after the step.
    eta : float
        1: ancestral sampling; 0: deterministic.
    """
    if lower == 0:
        return x0
    fresh = eta * lower * math.sqrt(sigma**2 - lower**2) / sigma
    kept = math.sqrt(lower**2 - fresh**2) / sigma
    return x0 + kept * (x - x0) + fresh * noise.normal(x.shape[1:], x)
