"""Decoupled posterior sampling: denoise, condition on the data, renoise."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Gt, Le

from ..operators.contract import reach_of, width_of
from ..params import Ui, params
from ..priors.contract import denoise
from .contract import State
from .guidance import TweedieCovariance, matched
from .schedules import geometric, lowest

if TYPE_CHECKING:
    from torch import Tensor

    from ..measurement import Measurement
    from ..priors.contract import Denoiser
    from ..rng import NoiseStream

GRADIENT_PAYS = (0.03, 0.2)  # noise levels, model units: the error is as fine as the structure that shapes it
PRODUCTS = 2  # with the Jacobian, in a step
DOUBT = 0.5  # noise that hides what an estimate without a prior gets wrong, model units


@params
class Decoupled:
    """Decoupled sampling with the prior's measured error covariance.

    At each noise level the denoiser's estimate D, with the covariance R of its error, is the Gaussian
    N(D, R) for the image; the data condition it exactly, a draw is taken and noised again to the next level:
    x0 ~ N(D, R) given y, x = x0 + sigma z. Steps are independent of each other's noise, as in decoupled
    annealing (Zhang et al. 2024, DAPS, algorithm 1); the Gaussian data step is that of Wu et al. 2024 (PnP-DM)
    with R in the place of a scalar, times what each image's own residual says. The last step draws as well: what is finer
    than its noise and not in the data, the denoiser has smoothed away. Exact for a Gaussian prior at any number of steps.

    With ``jacobian``, and a prior that has gradients, the mean of the draw is that of N(D, sigma^2 dD/dx) in the middle steps,
    as in MMPS (Rozet et al. 2024), with R as the preconditioner; the deviation from the mean is that of R.
    """

    name: ClassVar[str] = "decoupled"
    needs: ClassVar[frozenset[str]] = frozenset({"linear"})

    steps: Annotated[int, Ge(1), Le(1000), Ui("Steps", "network calls, 1 to 1000")] = 20
    start: Annotated[
        Annotated[float, Gt(0)] | None,
        Ui("Start noise", "sigma of the second step, model units; empty: from the size of the gaps"),
    ] = None
    last: Annotated[float, Gt(0), Ui("Last noise", "last sigma as a share of the measurement's noise")] = 0.25
    tolerance: Annotated[float, Gt(0), Le(0.1), Ui("Tolerance", "of the data step's solver, as a share")] = 0.01
    iterations: Annotated[int, Ge(1), Ui("Iterations", "most conjugate-gradient iterations of a data step")] = 50
    jacobian: Annotated[bool, Ui("Jacobian", "use the network's gradient in the steps where it pays; twice the time")] = False

    def schedule(self, measurement: Measurement, prior: Denoiser) -> list[float]:
        """One step where the image drowns in noise, then equal ratios from the start noise to the last.

        Noise hides structure of n pixels when sigma is about n times the data's spread: so the start noise follows
        from how far the missing pixels lie from measured ones, and how far a blur reaches. From an estimate it begins in
        the noise that hides the estimate's errors.
        """
        if measurement.estimate is not None:
            start = min(self.start or max(DOUBT, measurement.sigma), prior.sigma_max)
            return geometric(start, lowest(measurement, prior, self.last, start), self.steps)
        spread = math.sqrt(prior.error(math.inf, measurement.shape, measurement.y).mean_variance)
        hidden = max(reach_of(measurement.operator), width_of(measurement.operator))
        start = self.start or 2 * max(spread * hidden, measurement.sigma)
        start = min(start, prior.sigma_max)
        wide = min(max(50 * spread, start), prior.sigma_max)
        return [wide, *geometric(start, lowest(measurement, prior, self.last, start), self.steps - 1)]

    def run(self, measurement: Measurement, prior: Denoiser, noise: NoiseStream, x: Tensor | None = None) -> Iterator[State]:
        """Yield a state after each network call."""
        sigmas = self.schedule(measurement, prior)
        if x is None:
            begun = 0.0 if measurement.estimate is None else measurement.estimate
            x = begun + sigmas[0] * noise.normal(measurement.shape, measurement.y)
        for step, (sigma, lower) in enumerate(pairwise(sigmas), 1):
            x0 = self._draw(measurement, prior, x, sigma, noise)
            yield State(step, self.steps, sigma, x0, measurement.misfit(x0), step)
            x = x0 + lower * noise.normal(measurement.shape, x0)

    def _draw(self, measurement: Measurement, prior: Denoiser, x: Tensor, sigma: float, noise: NoiseStream) -> Tensor:
        """x0 ~ N(D, R) given y; its mean by the Jacobian where that pays."""
        pays = self.jacobian and GRADIENT_PAYS[0] <= sigma <= GRADIENT_PAYS[1] and getattr(prior, "differentiable", True)
        exact = TweedieCovariance(prior, x, sigma) if pays else None
        x0 = denoise(prior, x, sigma) if exact is None else exact.mean
        error = measurement.own_error(x0, prior.error(sigma, measurement.shape, x))
        drawn = measurement.condition(x0, error, noise, self.tolerance, self.iterations)
        if exact is None:
            return drawn
        centre = measurement.condition(x0, error, None, self.tolerance, self.iterations)
        return drawn - centre + x0 + matched(measurement, exact, centre, PRODUCTS, error)
