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
from .dps import denoise_and_pull
from .schedules import from_timestep

if TYPE_CHECKING:
    from torch import Tensor

    from ..measurement import Measurement
    from ..priors.contract import Denoiser
    from ..rng import NoiseStream


@params
class TDS:
    """Twisted diffusion sampler (Wu et al. 2023, algorithm 1): sequential Monte Carlo, exact for many particles.

    Each sample is one of ``particles`` that go through reverse diffusion, guided by the likelihood of the denoised image,
    N(y; A D, sigma_y^2 + a^2 r^2) with the denoiser's measured error r. Weights put right what the guidance leaves
    wrong, and particles are resampled systematically where fewer than half of them count. The reverse steps have
    the error r in their variance. In many dimensions all weight falls on one particle: a check of other methods on
    small images, and ``State.effective`` says how many count.
    """

    name: ClassVar[str] = "tds"
    needs: ClassVar[frozenset[str]] = frozenset({"gradients"})

    steps: Annotated[int, Ge(1), Le(10000), Ui("Steps", "network calls, each with its gradient, 1 to 10000")] = 100
    particles: Annotated[int, Ge(1), Le(4096), Ui("Particles", "particles of each sample, 1 to 4096")] = 16

    def run(self, measurement: Measurement, prior: Denoiser, noise: NoiseStream, x: Tensor | None = None) -> Iterator[State]:
        """Yield a state after each network call; until the last its ``x0`` is the particles' weighted mean."""
        import torch

        sigmas, gain, shape = from_timestep(prior, 1000, self.steps), measurement.gain, measurement.shape
        rows = torch.arange(noise.count, device=measurement.y.device)[:, None]
        y = measurement.y.expand(noise.count, *measurement.y.shape[1:])
        many = replace(measurement, y=y.repeat_interleave(self.particles, 0))
        start = noise.normal((self.particles, *shape), y).mul(sigmas[0]).flatten(0, 1)
        x = start if x is None else x.repeat_interleave(self.particles, 0)
        logs = x.new_zeros(noise.count, self.particles)
        for step, (sigma, lower) in enumerate(pairwise(sigmas), 1):
            x0, pull, norm = denoise_and_pull(many, prior, x, sigma)
            error = prior.error(sigma, shape, x).mean_variance
            width = measurement.sigma**2 + gain * error
            twist = (-many.nll(x0) if lower == 0 else -0.5 * norm**2 / width).view_as(logs)
            logs = (logs + twist).log_softmax(1)
            share = logs.exp()
            effective = 1 / share.square().sum(1)
            if lower == 0:
                found = x0.view(*logs.shape, *shape)[rows, _systematic(share, 1, noise)][:, 0]
                yield State(step, self.steps, sigma, found, measurement.misfit(found), step, effective)
                return
            mean = (share.view(*logs.shape, *[1] * len(shape)) * x0.view(*logs.shape, *shape)).sum(1)
            yield State(step, self.steps, sigma, mean, measurement.misfit(mean), step, effective)
            few = (effective < self.particles / 2)[:, None]
            index = torch.where(few, _systematic(share, self.particles, noise), torch.arange(self.particles, device=x.device))
            logs = torch.where(few, 0.0, logs) - twist.gather(1, index)
            x, x0, pull = ((part.view(*logs.shape, *shape)[rows, index]).flatten(0, 1) for part in (x, x0, pull))
            fresh = lower**2 * (1 - (lower / sigma) ** 2) + (1 - (lower / sigma) ** 2) ** 2 * error
            drawn = math.sqrt(fresh) * noise.normal((self.particles, *shape), y).flatten(0, 1)
            shift = (sigma**2 - lower**2) * pull / width
            logs = logs - ((2 * drawn + shift) * shift).flatten(1).sum(1).view_as(logs) / (2 * fresh)
            x = x0 + (lower / sigma) ** 2 * (x - x0) + shift + drawn


def _systematic(share: Tensor, count: int, noise: NoiseStream) -> Tensor:
    """Indices of ``count`` particles of each sample, each as often as its share says: one uniform number for all of a sample."""
    import torch

    uniform = torch.special.ndtr(noise.normal((1,), share))
    places = (torch.arange(count, device=share.device) + uniform) / count
    return torch.searchsorted(share.cumsum(1), places).clamp_max(share.shape[1] - 1)
