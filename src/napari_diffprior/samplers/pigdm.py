"""Pseudoinverse-guided diffusion (PiGDM)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge, Le

from ..params import Ui, params
from ..priors.covariance import White
from .contract import State
from .schedules import ancestral, from_timestep

if TYPE_CHECKING:
    from torch import Tensor

    from ..measurement import Measurement
    from ..priors.contract import Denoiser
    from ..rng import NoiseStream


@params
class PiGDM:
    """PiGDM (Song et al. 2023, equations 7 and 8, algorithm 1).

    With the denoised image taken as N(D, r^2), the likelihood score is J^T A^T (r^2 A A^T + sigma_y^2)^-1 (y - A D),
    the gradient J going through the network. ``published``: r^2 = sigma^2 / (1 + sigma^2), right for data of
    variance 1. ``calibrated``: r is the prior's measured error. Approximate: one number stands for the covariance.
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
        sigmas = from_timestep(prior, 1000, self.steps)
        if x is None:
            x = sigmas[0] * noise.normal(measurement.shape, measurement.y)
        for step, (sigma, lower) in enumerate(pairwise(sigmas), 1):
            published = sigma**2 / (1 + sigma**2)
            error = prior.error(sigma, measurement.shape, x).mean_variance if self.weights == "calibrated" else published
            x0 = _guided(measurement, prior, x, sigma, White(error, x), self.iterations)
            yield State(step, self.steps, sigma, x0, measurement.misfit(x0), step)
            x = ancestral(x, x0, sigma, lower, noise)


def _guided(measurement: Measurement, prior: Denoiser, x: Tensor, sigma: float, error: White, iterations: int) -> Tensor:
    """E[x0 | x, y] = D + sigma^2 times the likelihood score."""
    import torch

    with torch.enable_grad():
        at = x.detach().requires_grad_()
        x0 = prior(at, at.new_full((len(at),), sigma))
    pull = measurement.pull(x0.detach(), error, 1e-3, iterations)
    (score,) = torch.autograd.grad(x0, at, pull)
    return x0.detach() + sigma**2 * score
