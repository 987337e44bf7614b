"""DAPS: decoupled annealing with an estimate by the probability-flow ODE."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le

from ..operators.contract import is_linear
from ..params import Ui, params
from ..priors.contract import denoise
from ..priors.covariance import White
from .contract import State
from .schedules import ancestral, ddpm_sigma, karras, lowest

if TYPE_CHECKING:
    from torch import Tensor

    from ..measurement import Measurement
    from ..priors.contract import Denoiser
    from ..rng import NoiseStream


@params
class DAPS:
    """DAPS (Zhang et al. 2024, algorithm 1), with the likelihood's own width: tau = sigma_y.

    At each noise level the probability-flow ODE leads from x to an estimate of the image; a draw from N(estimate, r^2)
    times the likelihood is noised again to the next level. The draw is exact where A is linear, and ``langevin``
    steps otherwise or on request. ``published``: r = sigma. ``calibrated``: r is the denoiser's measured error.
    """

    name: ClassVar[str] = "daps"

    steps: Annotated[int, Ge(1), Le(10000), Ui("Levels", "noise levels, 1 to 10000")] = 200
    ode: Annotated[int, Ge(1), Le(100), Ui("ODE steps", "network calls of a level, 1 to 100")] = 5
    weights: Annotated[Literal["calibrated", "published"], Ui("Weights", "r from the prior's error, or sigma")] = "calibrated"
    inner: Annotated[Literal["auto", "langevin"], Ui("Data step", "exact where A is linear, or always Langevin steps")] = "auto"
    langevin: Annotated[int, Ge(1), Le(10000), Ui("Langevin steps", "of a level, 1 to 10000")] = 100
    step_size: Annotated[float, Gt(0), Le(1), Ui("Step size", "Langevin step over the narrower variance, at most 1")] = 0.2
    start: Annotated[int, Ge(1), Le(1000), Ui("Start", "timestep of 1000 at which it begins")] = 1000
    last: Annotated[float, Gt(0), Ui("Last noise", "last sigma as a share of the measurement's noise")] = 0.25

    def run(self, measurement: Measurement, prior: Denoiser, noise: NoiseStream, x: Tensor | None = None) -> Iterator[State]:
        """Yield a state after each level."""
        start = min(ddpm_sigma(self.start - 1), prior.sigma_max)
        sigmas = karras(start, lowest(measurement, prior, self.last, start), self.steps)
        exact = self.inner == "auto" and is_linear(measurement.operator)
        if x is None:
            x = sigmas[0] * noise.normal(measurement.shape, measurement.y)
        for step, (sigma, lower) in enumerate(pairwise(sigmas), 1):
            for high, low in pairwise(karras(sigma, min(prior.sigma_min, sigma), self.ode)):
                x = ancestral(x, denoise(prior, x, high), high, low, noise, eta=0)
            r2 = sigma**2 if self.weights == "published" else prior.error(sigma, measurement.shape, x).mean_variance
            if exact:
                x0 = measurement.condition(x, White(r2, x), noise if lower > 0 else None)
            else:
                x0 = self._langevin(measurement, x, r2, noise)
            yield State(step, self.steps, sigma, x0, measurement.misfit(x0), step * self.ode)
            x = x0 + lower * noise.normal(measurement.shape, x0)

    def _langevin(self, measurement: Measurement, estimate: Tensor, r2: float, noise: NoiseStream) -> Tensor:
        """Langevin steps towards N(estimate, r^2) times the likelihood, from the estimate."""
        import torch

        x, step = estimate, self.step_size * min(r2, measurement.sigma**2)
        for _ in range(self.langevin):
            with torch.enable_grad():
                at = x.detach().requires_grad_()
                (gradient,) = torch.autograd.grad(measurement.nll(at).sum(), at)
            x = x - step * (gradient + (x - estimate) / r2) + math.sqrt(2 * step) * noise.normal(measurement.shape, x)
        return x
