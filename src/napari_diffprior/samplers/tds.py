"""TDS: particles that are twisted towards the data, weighed and resampled."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Le

from ..params import Ui, params
from .contract import State
from .guidance import guided
from .schedules import drowned

if TYPE_CHECKING:
    from torch import Tensor

    from ..measurement import Measurement
    from ..priors.contract import Covariance, Denoiser
    from ..rng import NoiseStream


@params
class TDS:
    """Twisted diffusion sampler (Wu et al. 2023, algorithm 1): sequential Monte Carlo, exact for many particles.

    Each sample is one of ``particles`` that go through reverse diffusion, guided by the likelihood of the denoised image,
    N(y; A D, A R A^T + V) with the denoiser's measured error covariance R. Weights put right what the guidance leaves
    wrong, and particles are resampled systematically where fewer than half of them count. The reverse steps have
    the mean of R in their variance. In many dimensions all weight falls on one particle: a check of other methods on
    small images, and ``State.effective`` says how many count.
    """

    name: ClassVar[str] = "tds"
    needs: ClassVar[frozenset[str]] = frozenset({"gradients", "linear"})

    steps: Annotated[int, Ge(1), Le(10000), Ui("Steps", "network calls, each with its gradient, 1 to 10000")] = 100
    particles: Annotated[int, Ge(1), Le(4096), Ui("Particles", "particles of each sample, 1 to 4096")] = 16

    def run(self, measurement: Measurement, prior: Denoiser, noise: NoiseStream, x: Tensor | None = None) -> Iterator[State]:
        """Yield a state after each network call; until the last its ``x0`` is the particles' weighted mean."""
        import torch

        sigmas, shape = drowned(prior, measurement, self.steps), measurement.shape
        rows = torch.arange(noise.count, device=measurement.y.device)[:, None]
        y = measurement.y.expand(noise.count, *measurement.y.shape[1:])
        many = replace(measurement, y=y.repeat_interleave(self.particles, 0))
        start = noise.normal((self.particles, *shape), y).mul(sigmas[0]).flatten(0, 1)
        x = start if x is None else x.repeat_interleave(self.particles, 0)
        logs = x.new_zeros(noise.count, self.particles)
        for step, (sigma, lower) in enumerate(pairwise(sigmas), 1):
            error = prior.error(sigma, shape, x)
            x0, pull, move = guided(many, prior, x, sigma, error)
            twist = (-many.nll(x0) if lower == 0 else _evidence(many, x0, error, pull)).view_as(logs)
            logs = (logs + twist).log_softmax(1)
            share = logs.exp()
            effective = 1 / share.square().sum(1)
            picked = share if lower else torch.zeros_like(share).scatter(1, _systematic(share, 1, noise), 1.0)
            shown = (picked.view(*logs.shape, *[1] * len(shape)) * x0.view(*logs.shape, *shape)).sum(1)
            yield State(step, self.steps, sigma, shown, measurement.misfit(shown), step, effective)
            few = (effective < self.particles / 2)[:, None]
            index = torch.where(few, _systematic(share, self.particles, noise), torch.arange(self.particles, device=x.device))
            logs = torch.where(few, 0.0, logs) - twist.gather(1, index)
            x, x0, pull = ((part.view(*logs.shape, *shape)[rows, index]).flatten(0, 1) for part in (x, x0, move))
            fresh = lower**2 * (1 - (lower / sigma) ** 2) + (1 - (lower / sigma) ** 2) ** 2 * error.mean_variance
            drawn = math.sqrt(fresh) * noise.normal((self.particles, *shape), y).flatten(0, 1)
            shift = (1 - (lower / sigma) ** 2) * move
            logs = logs - ((2 * drawn + shift) * shift).flatten(1).sum(1).view_as(logs) / (2 * fresh)
            x = x0 + (lower / sigma) ** 2 * (x - x0) + shift + drawn


def _evidence(measurement: Measurement, x0: Tensor, error: Covariance, pull: Tensor) -> Tensor:
    """Logarithm of N(y; A x0, A R A^T + V) up to a constant, shape (B,), as chi-square and prior term of its best image."""
    bent = error.apply(pull)
    chi2 = measurement.misfit(x0 + bent) * measurement.count
    return -0.5 * (chi2 + (pull * bent).flatten(1).sum(1))


def _systematic(share: Tensor, count: int, noise: NoiseStream) -> Tensor:
    """Indices of ``count`` particles of each sample, each as often as its share says: one uniform number for all of a sample."""
    import torch

    uniform = torch.special.ndtr(noise.normal((1,), share))
    places = (torch.arange(count, device=share.device) + uniform) / count
    return torch.searchsorted(share.cumsum(1), places).clamp_max(share.shape[1] - 1)
