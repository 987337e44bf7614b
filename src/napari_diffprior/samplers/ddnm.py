"""DDNM+: replace what was measured, keep what was not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge, Le

from ..params import Ui, params
from ..priors.contract import denoise
from ..priors.covariance import White
from .contract import State
from .schedules import from_timestep

if TYPE_CHECKING:
    from torch import Tensor

    from ..measurement import Measurement
    from ..priors.contract import Denoiser
    from ..rng import NoiseStream


@params
class DDNM:
    """DDNM+ (Wang et al. 2023, section 3.3, equations 16 to 19).

    x0 = D + A^+ (y - A D) takes the range of A from the data and the null space from the prior, and the noise that
    A^+ y brings along is counted as part of the noise of the next image: fresh noise fills up the rest. With
    A^+ = A^T (A A^T + e)^-1 both hold for every singular value at once: for fresh noise f and a share a of x0, the
    noise a sigma_y s / (s^2 + e) never exceeds f if e = (a sigma_y / 2 f)^2, and (1 - 2 A^+ A) z is exactly what it
    lacks: a smooth form of the published rule for each singular value. No posterior sampler: the noise of y, the same
    in every step, is taken for fresh, so that the draws are too near to the data, the more the more steps it takes.
    """

    name: ClassVar[str] = "ddnm"
    needs: ClassVar[frozenset[str]] = frozenset({"linear"})

    steps: Annotated[int, Ge(1), Le(1000), Ui("Steps", "network calls, 1 to 1000")] = 20
    weights: Annotated[Literal["calibrated", "published"], Ui("Weights", "fresh noise of ancestral steps, or eta")] = "calibrated"
    eta: Annotated[float, Ge(0), Le(1), Ui("Eta", "share of fresh noise, 0 to 1; unused when calibrated")] = 0.85
    iterations: Annotated[int, Ge(1), Ui("Iterations", "most conjugate-gradient iterations of a data step")] = 50

    def run(self, measurement: Measurement, prior: Denoiser, noise: NoiseStream, x: Tensor | None = None) -> Iterator[State]:
        """Yield a state after each network call."""
        sigmas = from_timestep(prior, 1000, self.steps)
        if x is None:
            x = sigmas[0] * noise.normal(measurement.shape, measurement.y)
        for step, (sigma, lower) in enumerate(pairwise(sigmas), 1):
            x0 = denoise(prior, x, sigma)
            yield State(step, self.steps, sigma, x0, measurement.misfit(x0), step)
            if lower == 0:
                break
            eta = math.sqrt(1 - (lower / sigma) ** 2) if self.weights == "calibrated" else self.eta
            kept, fresh = math.sqrt(1 - eta**2) * lower / sigma, eta * lower
            z = noise.normal(measurement.shape, x0)
            # kept x + (1 - kept) (D + A^+ (y - A D)) + fresh (1 - 2 A^+ A) z, in one solve.
            width = 2 * fresh / (1 - kept)
            fitted = measurement.condition(x0 + width * z, White(width**2, x), None, 1e-3, self.iterations)
            x = kept * x + (1 - kept) * fitted - fresh * z
