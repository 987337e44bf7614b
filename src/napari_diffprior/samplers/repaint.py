"""RePaint: fill gaps by overwriting what was measured, with jumps back."""

from __future__ import annotations

import math
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
class RePaint:
    """RePaint (Lugmayr et al. 2022, algorithm 1): unconditional reverse diffusion that is told the measured pixels.

    After each step measured pixels are overwritten by their noised values; every ``jump`` levels the image is noised
    back by as many, ``resamplings`` times in all, so that the gaps follow. ``published``: values without noise of
    their own, overwritten to the end. ``calibrated``: a value with noise sigma_y is a sample of level sigma_y already; it is
    noised by the difference, and below sigma_y left to the prior. For gaps only.
    """

    name: ClassVar[str] = "repaint"
    needs: ClassVar[frozenset[str]] = frozenset({"linear", "selecting"})

    steps: Annotated[int, Ge(1), Le(1000), Ui("Levels", "noise levels, 1 to 1000")] = 250
    jump: Annotated[int, Ge(1), Le(1000), Ui("Jump", "levels of a jump back, 1 to 1000")] = 10
    resamplings: Annotated[int, Ge(1), Le(100), Ui("Resamplings", "passes of each stretch, 1 to 100")] = 10
    weights: Annotated[Literal["calibrated", "published"], Ui("Weights", "whether measured pixels have noise")] = "calibrated"

    def levels(self, told: int) -> list[int]:
        """Index of the noise level before each move and after the last: it falls back at jumps, among the first ``told``."""
        path = [0]
        for low in range(self.jump, told, self.jump):
            path += range(low - self.jump + 1, low + 1)
            path += [*range(low - self.jump, low + 1)] * (self.resamplings - 1)
        return [*path, *range(path[-1] + 1, self.steps + 1)]

    def run(self, measurement: Measurement, prior: Denoiser, noise: NoiseStream, x: Tensor | None = None) -> Iterator[State]:
        """Yield a state after each network call."""
        sigmas = from_timestep(prior, 1000, self.steps)
        data, measured = embed_measured(measurement.operator, measurement.y, measurement.shape)
        assert measured is not None  # as needs asks for
        own = 0.0 if self.weights == "published" else measurement.sigma
        if x is None:
            x = sigmas[0] * noise.normal(measurement.shape, data)
        told = sum(sigma >= own for sigma in sigmas[:-1])
        if told:
            sigmas[told - 1] = max(own, prior.sigma_min)  # a level where the measured values are the noised image themselves
        moves = list(pairwise(self.levels(told)))
        total, call = sum(after > before for before, after in moves), 0
        for before, after in moves:
            sigma, other = sigmas[before], sigmas[after]
            if after <= before:
                x = x + math.sqrt(other**2 - sigma**2) * noise.normal(measurement.shape, x)
                continue
            x0 = denoise(prior, x, sigma)
            x = ancestral(x, x0, sigma, other, noise)
            if other >= own:
                known = data + math.sqrt(other**2 - own**2) * noise.normal(measurement.shape, x)
                x = x + measured * (known - x)
            call += 1
            x0 = x if other == 0 else x0
            yield State(call, total, sigma, x0, measurement.misfit(x0), call)
