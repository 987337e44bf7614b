"""Pseudoinverse-guided diffusion (PiGDM)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge, Le

from ..params import Ui, params
from ..priors.covariance import White
from .contract import State
from .guidance import guided
from .schedules import ancestral, drowned

if TYPE_CHECKING:
    from torch import Tensor

    from ..measurement import Measurement
    from ..priors.contract import Denoiser
    from ..rng import NoiseStream


@params
class PiGDM:
    """PiGDM (Song et al. 2023, equations 7 and 8, algorithm 1).

    With the denoised image taken as N(D, R), the likelihood score is J^T A^T (A R A^T + sigma_y^2)^-1 (y - A D), the
    gradient J going through the network. ``published``: R = sigma^2 / (1 + sigma^2), right for white data of variance
    1; with few steps it overshoots in what varies more. ``calibrated``: R is the prior's measured error covariance, and
    each move is cut to the length that is best for N(D, sigma^2 J), as J of a network is not quite its own error.
    """

    name: ClassVar[str] = "pigdm"
    needs: ClassVar[frozenset[str]] = frozenset({"gradients", "linear"})

    steps: Annotated[int, Ge(1), Le(10000), Ui("Steps", "network calls, each with its gradient, 1 to 10000")] = 100
    weights: Annotated[Literal["calibrated", "published"], Ui("Weights", "r from the prior's error, or of unit data")] = (
        "calibrated"
    )
    iterations: Annotated[int, Ge(1), Ui("Iterations", "most conjugate-gradient iterations of a step")] = 50

    def run(self, measurement: Measurement, prior: Denoiser, noise: NoiseStream, x: Tensor | None = None) -> Iterator[State]:
        """Yield a state after each network call."""
        sigmas = drowned(prior, measurement, self.steps)
        if x is None:
            x = sigmas[0] * noise.normal(measurement.shape, measurement.y)
        for step, (sigma, lower) in enumerate(pairwise(sigmas), 1):
            calibrated = self.weights == "calibrated"
            error = prior.error(sigma, measurement.shape, x) if calibrated else White(sigma**2 / (1 + sigma**2), x)
            x0, _, move = guided(measurement, prior, x, sigma, error, self.iterations, cut=calibrated)
            x0 = x0 + move
            yield State(step, self.steps, sigma, x0, measurement.misfit(x0), step)
            x = ancestral(x, x0, sigma, lower, noise)
