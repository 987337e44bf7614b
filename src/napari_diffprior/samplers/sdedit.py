"""SDEdit: noise the measurement, then denoise it unconditionally."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge, Le

from ..operators.contract import embed_measured
from ..params import Ui, params
from ..priors.contract import denoise
from .contract import State
from .schedules import ancestral, from_timestep

if TYPE_CHECKING:
    from torch import Tensor

    from ..measurement import Measurement
    from ..priors.contract import Denoiser
    from ..rng import NoiseStream


@params
class SDEdit:
    """SDEdit (Meng et al. 2022, algorithm 1, and algorithm 2 for masks).

    The measurement is noised to timestep ``start`` and denoised by unconditional reverse diffusion: the data
    enter only through the start. It is a baseline, not a posterior sampler.
    """

    name: ClassVar[str] = "sdedit"

    steps: Annotated[int, Ge(1), Le(1000), Ui("Steps", "network calls of one repeat, 1 to 1000")] = 50
    start: Annotated[int, Ge(1), Le(1000), Ui("Start", "timestep of 1000 up to which the measurement is noised")] = 500
    repeats: Annotated[int, Ge(1), Le(20), Ui("Repeats", "times that the whole edit is done")] = 3
    overwrite: Annotated[
        Literal["auto", "on", "off"], Ui("Keep measured", "put noised measured pixels back at each step; auto: for gaps")
    ] = "auto"

    def run(self, measurement: Measurement, prior: Denoiser, noise: NoiseStream, x: Tensor | None = None) -> Iterator[State]:
        """Yield a state after each network call."""
        sigmas = from_timestep(prior, self.start, self.steps)
        data, measured = embed_measured(measurement.operator, measurement.y, measurement.shape)
        keep = self.overwrite == "on" or (self.overwrite == "auto" and measured is not None)
        guess = data
        total, call = self.repeats * self.steps, 0
        for _ in range(self.repeats):
            x = guess + sigmas[0] * noise.normal(measurement.shape, data) if x is None else x
            for sigma, lower in pairwise(sigmas):
                x0 = denoise(prior, x, sigma)
                call += 1
                yield State(call, total, sigma, x0, measurement.misfit(x0), call)
                x = ancestral(x, x0, sigma, lower, noise)
                if keep and measured is not None:
                    x = x + measured * (data + lower * noise.normal(measurement.shape, data) - x)
            guess, x = x, None
