"""What a sampler is: a parameter class with ``run``, a generator of states."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from ..operators.contract import embed_measured, is_linear
from ..params import to_dict
from ..registry import registered

if TYPE_CHECKING:
    from torch import Tensor

    from ..measurement import Measurement
    from ..priors.contract import Denoiser
    from ..rng import NoiseStream


@dataclass(frozen=True)
class State:
    """Where a sampler stands after a step.

    Parameters
    ----------
    step, total : int
        Steps done, and steps in all.
    sigma : float
        Noise level of the step.
    x0 : Tensor, shape (B, C, H, W)
        Current estimate of the image, model units; a fresh tensor that is never written again.
    misfit : Tensor, shape (B,)
        Chi-square over m of ``x0``.
    calls : int
        Network calls so far, for the whole batch at once.
    effective : Tensor, shape (B,), optional
        Effective number of particles of each sample, for methods that have particles.
    """

    step: int
    total: int
    sigma: float
    x0: Tensor
    misfit: Tensor
    calls: int
    effective: Tensor | None = None


class Sampler(Protocol):
    """A posterior sampler.

    One that does not take every operator and prior says what it needs in a class variable ``needs``, a frozenset of
    words: "linear" (a linear operator), "selecting" (one that measures some pixels and leaves gaps), "gradients" (through
    the prior). Without it, it needs nothing.
    One whose samples are one image, up to chance, says ``point_estimate = True``: their deviation is then no uncertainty.
    """

    name: ClassVar[str]

    @property
    def steps(self) -> int | None:
        """Network calls, or levels of them; None means the method's default."""
        ...

    def run(self, measurement: Measurement, prior: Denoiser, noise: NoiseStream, x: Tensor | None = None) -> Iterator[State]:
        """Yield a state after each step; the last state's ``x0`` are the samples.

        Parameters
        ----------
        measurement : Measurement
        prior : Denoiser
        noise : NoiseStream
            Its ``count`` is the batch size; the only source of randomness.
        x : Tensor, optional
            Start image in the variance-exploding variable; by default drawn at the start noise.
        """
        ...


@runtime_checkable
class Chooser(Protocol):
    """A sampler that leaves the work to another one."""

    def choose(self, measurement: Measurement) -> tuple[Sampler, str]:
        """The other one, and why."""
        ...


def needs_of(sampler: object) -> frozenset[str]:
    """What a sampler, or its class, needs of operator and prior; nothing if it does not say."""
    found: frozenset[str] = getattr(sampler, "needs", frozenset())
    return found


def check_needs(sampler: Sampler, measurement: Measurement, prior: Denoiser) -> None:
    """Refuse a sampler that needs what operator or prior do not offer.

    Raises
    ------
    ValueError
        One sentence that says what is missing and names two samplers that work.
    """
    missing = {
        "linear": None if is_linear(measurement.operator) else f"a linear operator, and {_title(measurement.operator)} is none",
        "gradients": None
        if getattr(prior, "differentiable", True)
        else f"gradients through the prior, and {_title(prior)} has none",
        "selecting": None
        if embed_measured(measurement.operator, measurement.y, measurement.shape)[1] is not None
        else f"gaps between pixels that are measured as they are, and {_title(measurement.operator)} has none",
    }
    lacking = {need for need, reason in missing.items() if reason}
    for need in sorted(needs_of(sampler) & lacking):
        others = [name for name, other in registered("sampler").items() if not needs_of(other) & lacking]
        raise ValueError(f"{_title(sampler)} needs {missing[need]}: choose {' or '.join(others[:2])}.")


def chosen(sampler: Sampler, measurement: Measurement, prior: Denoiser) -> tuple[Sampler, dict[str, Any]]:
    """The sampler that does the work, and what is to be said of the choice if it was one.

    Raises
    ------
    ValueError
        If it needs what operator or prior do not offer.
    """
    said: dict[str, Any] = {}
    if isinstance(sampler, Chooser):
        sampler, reason = sampler.choose(measurement)
        said = {"chosen_sampler": to_dict(sampler), "chosen_because": reason}
    check_needs(sampler, measurement, prior)
    return sampler, said


def _title(thing: object) -> str:
    return str(getattr(thing, "name", type(thing).__name__))
