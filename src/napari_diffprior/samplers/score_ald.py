"""ScoreALD: annealed Langevin dynamics with an annealed likelihood."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le

from ..params import Ui, params
from ..priors.contract import denoise
from .contract import State
from .schedules import ancestral, begin, from_timestep

if TYPE_CHECKING:
    from torch import Tensor

    from ..measurement import Measurement
    from ..priors.contract import Denoiser
    from ..rng import NoiseStream


@params
class ScoreALD:
    """ScoreALD (Jalal et al. 2021, equation 5), with the annealing that the noise level itself gives.

    The likelihood score at noise sigma is A^T (y - A x) / (sigma_y^2 + gamma^2) with gamma = sigma. ``predictor``
    takes one ancestral step a level, ``langevin`` several Langevin steps of ``step_size`` sigma^2. No gradient
    goes through the network.
    """

    name: ClassVar[str] = "score_ald"
    needs: ClassVar[frozenset[str]] = frozenset({"linear"})

    steps: Annotated[int, Ge(1), Le(10000), Ui("Levels", "noise levels, 1 to 10000")] = 200
    mode: Annotated[Literal["predictor", "langevin"], Ui("Mode", "one ancestral step a level, or Langevin steps")] = "predictor"
    inner: Annotated[int, Ge(1), Le(100), Ui("Inner steps", "Langevin steps a level, 1 to 100")] = 3
    step_size: Annotated[float, Gt(0), Le(0.5), Ui("Step size", "Langevin step in units of sigma^2, at most 0.5")] = 0.2
    start: Annotated[int, Ge(1), Le(1000), Ui("Start", "timestep of 1000 at which it begins")] = 1000

    def run(self, measurement: Measurement, prior: Denoiser, noise: NoiseStream, x: Tensor | None = None) -> Iterator[State]:
        """Yield a state after each network call."""
        sigmas = from_timestep(prior, self.start, self.steps)
        if x is None:
            x = begin(measurement, prior, sigmas[0], noise)
        inner = 1 if self.mode == "predictor" else self.inner
        total, call = self.steps * inner, 0
        for sigma, lower in pairwise(sigmas):
            zeta = measurement.sigma**2 + sigma**2
            for _ in range(inner):
                score = (denoise(prior, x, sigma) - x) / sigma**2 + measurement.adjoint(measurement.residual(x)) / zeta
                x0 = x + sigma**2 * score
                call += 1
                yield State(call, total, sigma, x0, measurement.misfit(x0), call)
                if self.mode == "langevin":
                    step = self.step_size * sigma**2
                    x = x + step * score + math.sqrt(2 * step) * noise.normal(measurement.shape, x)
            if self.mode == "predictor":
                x = ancestral(x, x0, sigma, lower, noise)
