"""DDRM: each singular value by itself."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge, Le

from ..operators.contract import fixed_signs
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
class DDRM:
    """DDRM (Kawar et al. 2022, equations 7 and 8, eta_b = 1).

    Along a singular vector with value s the next image is D and eta's mixture of old and fresh noise where s = 0, that
    with y in the place of the old image where sigma_y / s is above the noise level, and y with its noise filled up
    where it is below. Exactly so where A A^T is diagonal (masks, denoising, averages over blocks). Other operators have
    no decomposition at hand: there D + A^+ (y - A D) + sigma (1 - 2 A^+ A) e, with e the mixed noise and
    A^+ = A^T (A A^T + (sigma_y / 2 sigma)^2)^-1, has the same limits for large and vanishing s and the same noise. No
    posterior sampler: the noise of y is taken for fresh in every step, and the draws are too near to the data.
    """

    name: ClassVar[str] = "ddrm"
    needs: ClassVar[frozenset[str]] = frozenset({"linear"})

    steps: Annotated[int, Ge(1), Le(1000), Ui("Steps", "network calls, 1 to 1000")] = 20
    weights: Annotated[Literal["calibrated", "published"], Ui("Weights", "fresh noise of ancestral steps, or eta")] = "calibrated"
    eta: Annotated[float, Ge(0), Le(1), Ui("Eta", "share of fresh noise, 0 to 1; unused when calibrated")] = 0.85
    iterations: Annotated[int, Ge(1), Ui("Iterations", "most conjugate-gradient iterations of a data step")] = 50

    def run(self, measurement: Measurement, prior: Denoiser, noise: NoiseStream, x: Tensor | None = None) -> Iterator[State]:
        """Yield a state after each network call."""
        sigmas = from_timestep(prior, 1000, self.steps)
        squared = _diagonal(measurement)
        if x is None:
            x = sigmas[0] * noise.normal(measurement.shape, measurement.y)
        for step, (sigma, lower) in enumerate(pairwise(sigmas), 1):
            x0 = denoise(prior, x, sigma)
            yield State(step, self.steps, sigma, x0, measurement.misfit(x0), step)
            if lower == 0:
                break
            eta = math.sqrt(1 - (lower / sigma) ** 2) if self.weights == "calibrated" else self.eta
            z = noise.normal(measurement.shape, x0)
            mixed = lower * (math.sqrt(1 - eta**2) * (x - x0) / sigma + eta * z)
            if squared is None:
                x = measurement.condition(x0 + 2 * mixed, White(4 * lower**2, x), None, 1e-3, self.iterations) - mixed
            else:
                lacking = _measured(measurement, x0, z, squared, lower, eta) - measurement.operator.apply(x0 + mixed)
                x = x0 + mixed + measurement.adjoint(lacking / squared)


def _measured(measurement: Measurement, x0: Tensor, z: Tensor, squared: Tensor, lower: float, eta: float) -> Tensor:
    """A times the next image, along the singular vectors that are measured."""
    expected, fresh = measurement.operator.apply(x0), measurement.operator.apply(z)
    own = measurement.noise.precision(expected) ** -0.5 / squared.sqrt()  # sigma_y / s
    below = expected + math.sqrt(1 - eta**2) * lower / own * (measurement.y - expected) + eta * lower * fresh
    above = measurement.y + (lower**2 - own**2).clamp_min(0.0).sqrt() * fresh
    return below.where(own > lower, above)


def _diagonal(measurement: Measurement) -> Tensor | None:
    """Squared singular values s^2 of each measured value where A A^T is diagonal, else None."""
    import torch

    signs = fixed_signs(measurement.y)
    ones = torch.ones_like(signs)
    product, squared = (measurement.operator.apply(measurement.adjoint(probe)) for probe in (signs, ones))
    return squared.clamp_min(torch.finfo(signs.dtype).tiny) if torch.allclose(product, signs * squared) else None
