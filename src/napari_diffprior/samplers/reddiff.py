"""RED-diff: an image that noise makes no worse, by stochastic descent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le

from ..operators.contract import embed_measured
from ..params import Ui, params
from ..priors.contract import denoise
from .contract import State
from .schedules import ddpm_sigma, karras, lowest

if TYPE_CHECKING:
    from torch import Tensor

    from ..measurement import Measurement
    from ..priors.contract import Denoiser
    from ..rng import NoiseStream


@params
class REDdiff:
    """RED-diff (Mardani et al. 2023, algorithm 1): one image by descent, a point estimate.

    Each step noises the image mu to the next level, sigma falling, and goes along A^T (A mu - y) + lambda
    (mu - D(mu + sigma n)) by Adam: the paper's weight 1 / SNR on the noise residual in the variance-exploding
    variable. ``published``: fixed lambda and learning rate, down to the prior's lowest noise. ``calibrated``: both
    terms over their variances, lambda = sigma_y^2 / r^2 with r the denoiser's measured error, down to ``end`` of the
    measurement's noise, and a rate that falls to 0. Samples differ by the noise of the descent: that is no uncertainty.
    """

    name: ClassVar[str] = "reddiff"
    needs: ClassVar[frozenset[str]] = frozenset({"linear"})
    point_estimate: ClassVar[bool] = True

    steps: Annotated[int, Ge(1), Le(10000), Ui("Steps", "network calls, 1 to 10000")] = 1000
    weights: Annotated[Literal["calibrated", "published"], Ui("Weights", "from the prior's error, or lambda")] = "calibrated"
    lambda_: Annotated[float, Gt(0), Ui("Lambda", "weight of the prior; unused when calibrated")] = 0.25
    rate: Annotated[float, Gt(0), Le(1), Ui("Rate", "Adam's learning rate, model units a step")] = 0.1
    end: Annotated[float, Gt(0), Ui("End noise", "last sigma of the calibrated mode as a share of the measurement's noise")] = 1.0
    start: Annotated[int, Ge(1), Le(1000), Ui("Start", "timestep of 1000 at which it begins")] = 1000

    def run(self, measurement: Measurement, prior: Denoiser, noise: NoiseStream, x: Tensor | None = None) -> Iterator[State]:
        """Yield a state after each network call."""
        if x is None:
            x = embed_measured(measurement.operator, measurement.y, measurement.shape)[0].expand(noise.count, *measurement.shape)
        first, second = x.new_zeros(()), x.new_zeros(())  # Adam's moments
        calibrated = self.weights == "calibrated"
        start = min(ddpm_sigma(self.start - 1), prior.sigma_max)
        end = lowest(measurement, prior, self.end, start) if calibrated else prior.sigma_min
        for step, sigma in enumerate(karras(start, end, self.steps)[:-1], 1):
            denoised = denoise(prior, x + sigma * noise.normal(measurement.shape, x), sigma)
            error = prior.error(sigma, measurement.shape, x).mean_variance
            weight = measurement.sigma**2 / error if calibrated else self.lambda_
            gradient = weight * (x - denoised) - measurement.adjoint(measurement.residual(x))
            first, second = 0.9 * first + 0.1 * gradient, 0.99 * second + 0.01 * gradient.square()
            move = (first / (1 - 0.9**step)) / ((second / (1 - 0.99**step)).sqrt() + 1e-8)
            rate = self.rate * (1 - (step - 1) / self.steps) if calibrated else self.rate
            x = x - rate * move
            yield State(step, self.steps, sigma, x, measurement.misfit(x), step)
