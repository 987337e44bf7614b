"""Moment matching posterior sampling (MMPS)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Le

from ..params import Ui, params
from .contract import State
from .guidance import TweedieCovariance, matched
from .schedules import ancestral, drowned

if TYPE_CHECKING:
    from torch import Tensor

    from ..measurement import Measurement
    from ..priors.contract import Denoiser
    from ..rng import NoiseStream


@params
class MMPS:
    """MMPS (Rozet et al. 2024, section 4.2, algorithm 1).

    The denoised image is N(D, sigma^2 J), J = dD/dx: the exact covariance of x0 given x (Tweedie). The data condition
    it by GMRES (the paper has conjugate gradients, but J of a network is neither quite symmetric nor quite positive, and they
    run away), whose products with J are vector-Jacobian products of the network, one an iteration; ``calls`` does not count
    them. Exact for a Gaussian prior up to the variance that ancestral steps lose.
    """

    name: ClassVar[str] = "mmps"
    needs: ClassVar[frozenset[str]] = frozenset({"gradients", "linear"})

    steps: Annotated[int, Ge(1), Le(10000), Ui("Steps", "network calls, 1 to 10000")] = 100
    iterations: Annotated[int, Ge(1), Ui("Iterations", "of the data step's solver, a network gradient each")] = 5

    def run(self, measurement: Measurement, prior: Denoiser, noise: NoiseStream, x: Tensor | None = None) -> Iterator[State]:
        """Yield a state after each network call."""
        sigmas = drowned(prior, measurement, self.steps)
        if x is None:
            x = sigmas[0] * noise.normal(measurement.shape, measurement.y)
        for step, (sigma, lower) in enumerate(pairwise(sigmas), 1):
            error = TweedieCovariance(prior, x, sigma)
            x0 = error.mean
            for _ in range(1 + getattr(measurement.noise, "newton", 0)):
                x0 = error.mean + matched(measurement, error, x0, self.iterations)
            yield State(step, self.steps, sigma, x0, measurement.misfit(x0), step)
            x = ancestral(x, x0, sigma, lower, noise)
