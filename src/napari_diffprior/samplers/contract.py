"""What a sampler is: a parameter class with ``run``, a generator of states."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

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
    """

    step: int
    total: int
    sigma: float
    x0: Tensor
    misfit: Tensor
    calls: int


class Sampler(Protocol):
    """A posterior sampler; ``steps`` None means the method's default."""

    name: ClassVar[str]
    steps: int

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
