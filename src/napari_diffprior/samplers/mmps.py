"""Moment matching posterior sampling (MMPS)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Gt, Le

from ..params import Ui, params
from .contract import State
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
    it by conjugate gradients, whose products with J are vector-Jacobian products of the network, one an iteration;
    ``calls`` does not count them. Exact for a Gaussian prior up to the variance that ancestral steps lose.
    """

    name: ClassVar[str] = "mmps"
    needs: ClassVar[frozenset[str]] = frozenset({"gradients", "linear"})

    steps: Annotated[int, Ge(1), Le(10000), Ui("Steps", "network calls, 1 to 10000")] = 100
    iterations: Annotated[int, Ge(1), Ui("Iterations", "most conjugate-gradient iterations, a network gradient each")] = 5
    tolerance: Annotated[float, Gt(0), Le(0.1), Ui("Tolerance", "of the data step's solver, as a share")] = 1e-3

    def run(self, measurement: Measurement, prior: Denoiser, noise: NoiseStream, x: Tensor | None = None) -> Iterator[State]:
        """Yield a state after each network call."""
        sigmas = drowned(prior, measurement, self.steps)
        if x is None:
            x = sigmas[0] * noise.normal(measurement.shape, measurement.y)
        for step, (sigma, lower) in enumerate(pairwise(sigmas), 1):
            error = TweedieCovariance(prior, x, sigma)
            x0 = measurement.condition(error.mean, error, None, self.tolerance, self.iterations)
            yield State(step, self.steps, sigma, x0, measurement.misfit(x0), step)
            x = ancestral(x, x0, sigma, lower, noise)


class TweedieCovariance:
    """Cov[x0 | x] = sigma^2 dD/dx at one x; symmetric, so that J^T v serves for J v."""

    def __init__(self, prior: Denoiser, x: Tensor, sigma: float) -> None:
        import torch

        self.sigma, self.mean_variance = sigma, prior.error(sigma, x.shape[1:], x).mean_variance
        with torch.enable_grad():
            self._at = x.detach().requires_grad_()
            self._denoised = prior(self._at, x.new_full((len(x),), sigma))
        self.mean = self._denoised.detach()

    def apply(self, x: Tensor) -> Tensor:
        """R x."""
        import torch

        (product,) = torch.autograd.grad(self._denoised, self._at, x, retain_graph=True)
        return self.sigma**2 * product

    def draw(self, noise: NoiseStream, like: Tensor) -> Tensor:
        """Not offered: a square root of J is not at hand."""
        raise NotImplementedError("the covariance of MMPS is known by its products alone.")

    def solve(self, x: Tensor, operator: object, variance: float) -> None:
        """No preconditioner."""
        return None
