"""PnP-DM: split Gibbs sampling between the data and the prior."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le

from ..params import Ui, params
from ..priors.contract import denoise
from ..priors.covariance import White
from .contract import State
from .schedules import ancestral, geometric, karras, lowest

if TYPE_CHECKING:
    from torch import Tensor

    from ..measurement import Measurement
    from ..priors.contract import Denoiser
    from ..rng import NoiseStream


@params
class PnPDM:
    """PnP-DM (Wu et al. 2024, algorithm 1): a split Gibbs sampler whose coupling tightens.

    Draws in turn z ~ p(z | x, y), from the likelihood times N(z; x, rho^2), and x ~ p(x | z), from the prior times
    N(x; z, rho^2): the latter is denoising from noise rho, by reverse diffusion. The pair's posterior tends to the
    exact one with rho, which falls from the start to ``last`` of the measurement's noise. ``published``:
    reverse diffusion alone. ``calibrated``: each of its steps also draws the denoiser's error from its measured
    covariance, without which few steps are too narrow. Slow, and a reference for the others.
    """

    name: ClassVar[str] = "pnpdm"
    needs: ClassVar[frozenset[str]] = frozenset({"linear"})

    steps: Annotated[int, Ge(1), Le(10000), Ui("Iterations", "rounds of both draws, 1 to 10000")] = 100
    denoising: Annotated[int, Ge(1), Le(1000), Ui("Denoising steps", "network calls of a round, 1 to 1000")] = 10
    mode: Annotated[Literal["calibrated", "published"], Ui("Mode", "reverse diffusion with the denoiser's error, or without")] = (
        "calibrated"
    )
    start: Annotated[float, Gt(0), Ui("Start coupling", "first rho, model units")] = 10.0
    last: Annotated[float, Gt(0), Ui("Last coupling", "last rho as a share of the measurement's noise")] = 0.5

    def run(self, measurement: Measurement, prior: Denoiser, noise: NoiseStream, x: Tensor | None = None) -> Iterator[State]:
        """Yield a state after each round."""
        start = min(self.start, prior.sigma_max)
        end = lowest(measurement, prior, self.last, start)
        if x is None:
            x = start * noise.normal(measurement.shape, measurement.y)
        for step, rho in enumerate(geometric(start, end, self.steps)[:-1], 1):
            z = measurement.condition(x, White(rho**2, x), noise)
            x = self._reverse_diffusion(prior, z, rho, noise)
            yield State(step, self.steps, rho, x, measurement.misfit(x), step * self.denoising)

    def _reverse_diffusion(self, prior: Denoiser, x: Tensor, rho: float, noise: NoiseStream) -> Tensor:
        """Draw of x0 given x = x0 + rho n."""
        for sigma, lower in pairwise(karras(rho, min(prior.sigma_min, rho), self.denoising)):
            x0 = denoise(prior, x, sigma)
            if self.mode == "calibrated":
                x0 = x0 + prior.error(sigma, x.shape[1:], x).draw(noise, x)
            x = ancestral(x, x0, sigma, lower, noise)
        return x
