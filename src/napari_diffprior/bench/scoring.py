"""A sampler on a task: how near the truth, how near the data, how honest, and at what price."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from ..metrics import coverage, lpips, psnr, ssim
from ..registry import find, registered
from .tasks import Task

if TYPE_CHECKING:
    from ..priors.contract import Denoiser
    from ..restoration import Restoration

Array = np.ndarray[Any, Any]
Say = Callable[[str], object]


@dataclass(frozen=True)
class Settings:
    """What a run of the benchmarks is made with.

    Parameters
    ----------
    prior : str or Denoiser
        Name or folder, or a denoiser of one's own.
    samples : int
        Posterior samples.
    steps : int, optional
        Steps of every sampler; None leaves each its default.
    seed : int
        Seed of the damage and of the samples.
    device : str
    """

    prior: str | Denoiser = "microscopy"
    samples: int = 8
    steps: int | None = None
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        """Refuse a prior or a device that is not there: a sampler's refusals are no reason to stop, these are."""
        from ..device import choose_device
        from ..priors.store import find_prior

        if isinstance(self.prior, str):
            find_prior(self.prior)
        choose_device(self.device)

    def about(self) -> dict[str, Any]:
        """The settings, the prior's weights and the versions, as JSON types."""
        from importlib.metadata import version

        from ..device import choose_device
        from ..priors.store import find_prior, prior_identity

        named = isinstance(self.prior, str)
        device = choose_device(self.device)
        return {
            "prior": self.prior if named else type(self.prior).__name__,
            "sha256": prior_identity(find_prior(str(self.prior))) if named else None,
            "samples": self.samples,
            "steps": self.steps,
            "seed": self.seed,
            "device": device.name,
            "precision": device.precision,
            "versions": {name: version(name) for name in ("napari-diffprior", "torch", "numpy")},
        }

    def restore(self, task: Task, sampler: str, options: Mapping[str, Any] | None = None) -> Restoration:
        """Restore a task; ``options`` are the sampler's own parameters and go before ``steps``."""
        from ..restoration import restore

        chosen = dict(options or {})
        if self.steps is not None:
            chosen.setdefault("steps", self.steps)
        return restore(
            task.image,
            sampler=sampler,
            prior=self.prior,
            samples=self.samples,
            seed=self.seed,
            device=self.device,
            options=chosen,
            **task.settings(),
        )


@dataclass(frozen=True)
class Score:
    """One result against the truth; NaN where a measure does not apply.

    Parameters
    ----------
    psnr, ssim, lpips : float
        Of the mean of the samples; see ``metrics``.
    misfit : float
        Chi-square over m, the mean over the samples.
    coverage_50, coverage_90 : float
        Share of the pixels of the truth within the interval of that probability.
    seconds : float
        Of all samples.
    calls : float
        Network calls for one sample.
    """

    psnr: float = math.nan
    ssim: float = math.nan
    lpips: float = math.nan
    misfit: float = math.nan
    coverage_50: float = math.nan
    coverage_90: float = math.nan
    seconds: float = math.nan
    calls: float = math.nan


def picture_score(restored: Array, reference: Array, seconds: float = math.nan) -> Score:
    """Score of a picture without samples."""
    try:
        perceptual = lpips(restored, reference)
    except FileNotFoundError:  # the weights are not part of the package
        perceptual = math.nan
    return Score(psnr(restored, reference), ssim(restored, reference), perceptual, seconds=seconds, calls=0)


def score(result: Restoration, reference: Array) -> Score:
    """Score of a restoration."""
    found = asdict(picture_score(result.mean, reference, result.seconds))
    for level in (50, 90):
        found[f"coverage_{level}"] = covered(result, reference, level / 100)
    return Score(**{**found, "misfit": float(np.mean(result.misfit)), "calls": result.calls})


def covered(result: Restoration, reference: Array, level: float, where: Array | None = None) -> float:
    """Share of the truth's pixels between the two quantiles that the restoration itself reports.

    For up to 18 samples they are mean +- t std, with Student's t of N // 2 degrees of freedom (`uncertainty.interval_scale`).
    ``std`` is the reported one, with the prior's coverage factor in it if the prior has one. From 19
    samples on they are the samples' own quantiles, widened by the same factor (`uncertainty.quantile`).

    Parameters
    ----------
    result : Restoration
        Of two samples or more; NaN for one.
    reference : ndarray, shape (H, W)
    level : float
        Probability of the interval.
    where : ndarray of bool, shape (H, W), optional
        Pixels that count; all by default.
    """
    if result.recipe.samples < 2:
        return math.nan
    low, high = (result.quantile((1 + side * level) / 2) for side in (-1, 1))
    kept = ... if where is None else where
    return coverage(low[kept], high[kept], reference[kept])


def attempt(
    tasks: Sequence[Task], sampler: str, settings: Settings, options: Mapping[str, Any] | None = None
) -> tuple[list[Restoration], str]:
    """Restorations of the same task on several pictures; none, and the sampler's sentence, if it refuses the task."""
    try:
        return [settings.restore(task, sampler, options) for task in tasks], ""
    except ValueError as error:
        return [], str(error)


def attempt_score(
    tasks: Sequence[Task], sampler: str, settings: Settings, options: Mapping[str, Any] | None = None
) -> tuple[Score, str]:
    """Mean score of a sampler over the same task on several pictures; all NaN, and its sentence, if it refuses the task."""
    results, refusal = attempt(tasks, sampler, settings, options)
    return mean_score([score(result, task.reference) for result, task in zip(results, tasks, strict=bool(results))]), refusal


def mean_score(scores: Sequence[Score]) -> Score:
    """Mean of each measure over pictures; all NaN for none."""
    if not scores:
        return Score()
    return Score(**{field.name: float(np.mean([getattr(one, field.name) for one in scores])) for field in fields(Score)})


def chosen_samplers(names: Sequence[str]) -> list[str]:
    """The named samplers, or all that are registered.

    Raises
    ------
    ValueError
        If there is no such sampler.
    """
    for name in names:
        find("sampler", name)
    return list(names) or list(registered("sampler"))
