"""The method that suits a measurement."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Ge, Le

from ..operators.contract import is_linear
from ..params import Ui, params
from ..registry import find
from .contract import Sampler, State

if TYPE_CHECKING:
    from torch import Tensor

    from ..measurement import Measurement
    from ..priors.contract import Denoiser
    from ..rng import NoiseStream

LINEAR = "the operator is linear: its data step is exact, with no weight to tune; gradients sharpen the middle steps of a plane"
CURVED = "the operator is not linear: the data pull through the gradient of the prior, weighted by noise and error"


@params
class Auto:
    """The method that suits operator and prior, at its defaults; the recipe of the result says which and why.

    ``decoupled`` for every linear operator, of planes with the Jacobian, and calibrated ``dps`` for the others. ``diffprior
    bench grid`` prints what a grid search over samplers, steps and weights would gain.
    """

    name: ClassVar[str] = "auto"

    steps: Annotated[Annotated[int, Ge(1), Le(10000)] | None, Ui("Steps", "network calls; empty: the method's default")] = None

    def choose(self, measurement: Measurement) -> tuple[Sampler, str]:
        """The sampler, and why."""
        settings: dict[str, Any] = {} if self.steps is None else {"steps": self.steps}
        if not is_linear(measurement.operator):
            return find("sampler", "dps")(**settings), CURVED
        return find("sampler", "decoupled")(jacobian=len(measurement.shape) == 3, **settings), LINEAR

    def run(self, measurement: Measurement, prior: Denoiser, noise: NoiseStream, x: Tensor | None = None) -> Iterator[State]:
        """Yield the states of the chosen method."""
        yield from self.choose(measurement)[0].run(measurement, prior, noise, x)
