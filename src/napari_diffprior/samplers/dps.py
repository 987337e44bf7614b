"""Diffusion posterior sampling (DPS)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le

from ..operators.contract import jacobian_transpose
from ..params import Ui, params
from .contract import State
from .guidance import best_length, settled
from .schedules import ancestral, begin, from_timestep

if TYPE_CHECKING:
    from torch import Tensor

    from ..measurement import Measurement
    from ..priors.contract import Denoiser
    from ..rng import NoiseStream


@params
class DPS:
    """DPS (Chung et al. 2023, algorithm 1).

    The likelihood score is approximated by that of the denoised image, with the gradient through the network.
    ``norm``: the published code, ``scale`` times the gradient of the residual's norm. ``unit_gradient``: that
    gradient normalised. ``calibrated``: sigma^2 J^T A^T r / (sigma_y^2 + a^2 r^2), with a^2 the mean gain of
    A A^T and r the prior's measured error, cut to the length that is best for N(D, sigma^2 J); it has no scale to
    tune. Its last estimate also takes from the data the detail that the denoiser took for noise. Norms are per sample,
    never over the batch.
    """

    name: ClassVar[str] = "dps"
    needs: ClassVar[frozenset[str]] = frozenset({"gradients"})

    steps: Annotated[int, Ge(1), Le(10000), Ui("Steps", "network calls, each with its gradient, 1 to 10000")] = 200
    guidance: Annotated[Literal["calibrated", "norm", "unit_gradient"], Ui("Guidance", "how the data pull")] = "calibrated"
    scale: Annotated[float, Gt(0), Ui("Scale", "strength of norm and unit_gradient; unused when calibrated")] = 1.0
    start: Annotated[int, Ge(1), Le(1000), Ui("Start", "timestep of 1000 at which it begins")] = 1000

    def run(self, measurement: Measurement, prior: Denoiser, noise: NoiseStream, x: Tensor | None = None) -> Iterator[State]:
        """Yield a state after each network call."""
        sigmas = from_timestep(prior, self.start, self.steps)
        gain = measurement.gain
        if x is None:
            x = begin(measurement, prior, sigmas[0], noise)
        for step, (sigma, lower) in enumerate(pairwise(sigmas), 1):
            x0, back, pull, norm = _denoise_and_pull(measurement, prior, x, sigma)
            if self.guidance == "calibrated":
                share = 1 / (measurement.sigma**2 + gain * prior.error(sigma, measurement.shape, x).mean_variance)
                move = share * sigma**2 * pull
                x0 = x0 + best_length(measurement, x0, move, share * back) * move
                if lower == 0:
                    x0 = settled(measurement, prior, x0)
                x = ancestral(x, x0, sigma, lower, noise)
            else:
                length = (norm if self.guidance == "norm" else pull.flatten(1).norm(dim=1)).clamp_min(1e-12)
                step_size = self.scale * math.sqrt((1 + sigma**2) * (1 + lower**2))
                x = ancestral(x, x0, sigma, lower, noise) + step_size * pull / length.view(-1, *[1] * (x.ndim - 1))
                x0 = x if lower == 0 else x0
            yield State(step, self.steps, sigma, x0, measurement.misfit(x0), step)


def _denoise_and_pull(
    measurement: Measurement, prior: Denoiser, x: Tensor, sigma: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """D(x), A^T r and J^T A^T r that point towards the data in x0 and in x, and the norm of r, per sample."""
    import torch

    with torch.enable_grad():
        at = x.detach().requires_grad_()
        graph = prior(at, at.new_full((len(at),), sigma))
    x0 = graph.detach()
    residual = measurement.residual(x0)
    back = jacobian_transpose(measurement.operator, x0, residual)
    (pull,) = torch.autograd.grad(graph, at, back)
    return x0, back, pull, residual.flatten(1).norm(dim=1)
