"""DiffPIR: denoise, fit the data, renoise in part."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le

from ..params import Ui, params
from ..priors.contract import denoise
from ..priors.covariance import White
from .contract import State
from .schedules import drowned

if TYPE_CHECKING:
    from torch import Tensor

    from ..measurement import Measurement
    from ..priors.contract import Covariance, Denoiser
    from ..rng import NoiseStream


@params
class DiffPIR:
    """DiffPIR (Zhu et al. 2023, algorithm 1).

    The data step is argmin ||y - A x||^2 / sigma_y^2 + (x - D)^T R^-1 (x - D), and the next image is noised with a
    share zeta of fresh noise, the rest being that which the step found. ``published``: R = sigma^2 / lambda and a fixed
    zeta, by default those of the authors' code for deblurring (for gaps it has zeta = 1). ``calibrated``: R is the
    prior's measured error covariance and zeta = 1 - (sigma_s / sigma)^2, which makes it the ancestral step: exact for
    a Gaussian prior up to the variance that such steps lose. No gradient goes through the network.
    """

    name: ClassVar[str] = "diffpir"
    needs: ClassVar[frozenset[str]] = frozenset({"linear"})

    steps: Annotated[int, Ge(1), Le(1000), Ui("Steps", "network calls, 1 to 1000")] = 100
    weights: Annotated[Literal["calibrated", "published"], Ui("Weights", "from the prior's error, or lambda and zeta")] = (
        "calibrated"
    )
    lambda_: Annotated[float, Gt(0), Ui("Lambda", "weight of the prior; unused when calibrated")] = 1.0
    zeta: Annotated[float, Ge(0), Le(1), Ui("Zeta", "share of fresh noise, 0 to 1; unused when calibrated")] = 0.1
    iterations: Annotated[int, Ge(1), Ui("Iterations", "most conjugate-gradient iterations of a data step")] = 12

    def run(self, measurement: Measurement, prior: Denoiser, noise: NoiseStream, x: Tensor | None = None) -> Iterator[State]:
        """Yield a state after each network call."""
        sigmas = drowned(prior, measurement, self.steps)
        if x is None:
            x = sigmas[0] * noise.normal(measurement.shape, measurement.y)
        for step, (sigma, lower) in enumerate(pairwise(sigmas), 1):
            x0 = denoise(prior, x, sigma)
            x0 = measurement.condition(x0, self._error(measurement, prior, x0, sigma), None, 0.05, self.iterations)
            yield State(step, self.steps, sigma, x0, measurement.misfit(x0), step)
            zeta = 1 - (lower / sigma) ** 2 if self.weights == "calibrated" else self.zeta
            found = (x - x0) / sigma
            x = x0 + lower * (math.sqrt(1 - zeta) * found + math.sqrt(zeta) * noise.normal(measurement.shape, x0))

    def _error(self, measurement: Measurement, prior: Denoiser, x0: Tensor, sigma: float) -> Covariance:
        """R, which stands where the paper has sigma_y^2 / rho."""
        if self.weights == "published":
            return White(sigma**2 / self.lambda_, x0)
        return measurement.own_error(x0, prior.error(sigma, measurement.shape, x0))
