"""Restoration of one plane: samples drawn in batches, their mean and deviation kept on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .axes import Position
from .job import Job, make_job
from .recipe import Recipe
from .uncertainty import KEPT_VALUES, Running, quantile

if TYPE_CHECKING:
    from .device import Device
    from .measurement import Measurement
    from .priors.contract import Denoiser
    from .samplers.contract import State

Array = np.ndarray[Any, Any]
R = TypeVar("R")
U = TypeVar("U")


class Cancelled(Exception):
    """The run was stopped on request; nothing was kept."""


@dataclass(frozen=True)
class Update:
    """Progress of a run after one sampler step.

    Parameters
    ----------
    step, total : int
        Steps done and in all, over all batches of samples and all planes.
    sigma : float
        Noise level of the step, model units.
    misfit : float
        Mean chi-square over m of the current estimates.
    preview : callable
        Returns the mean of the current estimates, shape (H, W), in image units.
    position : tuple of int
        Index of the plane along the leading axes, see ``Layout.leading``.
    """

    step: int
    total: int
    sigma: float
    misfit: float
    preview: Callable[[], Array]
    position: Position = ()


@dataclass(frozen=True)
class Engine:
    """What all planes of a run share: settings, device and denoiser."""

    recipe: Recipe
    device: Device
    denoiser: Denoiser
    identity: dict[str, str]
    cancelled: Callable[[], bool] | None = None

    @classmethod
    def of(cls, recipe: Recipe, prior: Denoiser | None = None, cancelled: Callable[[], bool] | None = None) -> Engine:
        """Load the recipe's prior, or take one's own."""
        from .device import choose_device
        from .priors.store import find_prior, load_prior, prior_identity
        from .tiling import TiledDenoiser

        device = choose_device(recipe.device, recipe.precision)
        if prior is not None:
            return cls(recipe, device, prior, {"name": type(prior).__name__}, cancelled)
        folder = find_prior(recipe.prior)
        inner = load_prior(recipe.prior, device.name, device.precision)
        tiled = TiledDenoiser.grown(inner, lambda: poll(cancelled))
        return cls(recipe, device, tiled, {"name": recipe.prior, "sha256": prior_identity(folder)}, cancelled)

    def denoiser_of(self, job: Job) -> Denoiser:
        """The prior for planes, or made one for volumes where the job is one."""
        from .volume import VolumeDenoiser

        volume = len(job.measurement.shape) == 4
        return VolumeDenoiser(self.denoiser, self.recipe.anisotropy) if volume else self.denoiser

    def provenance(self) -> dict[str, Any]:
        """What decided the pixels, as JSON types."""
        import torch

        from .params import to_dict

        return {
            "recipe": to_dict(self.recipe),
            "fingerprint": self.recipe.fingerprint(),
            "prior": self.identity,
            "device": self.device.name,
            "device_reason": self.device.reason,
            "precision": self.device.precision,
            "threads": torch.get_num_threads(),
            "versions": dict(_versions()),
        }


@dataclass(frozen=True)
class PlaneResult:
    """One restored plane, in image units.

    Parameters
    ----------
    mean, std : ndarray, shape (H, W)
        Of the samples; ``std`` times the coverage factor.
    samples : ndarray, shape (N, H, W) or (0, H, W)
        Empty if they were not kept.
    misfit : tuple of float
        Chi-square over m of each sample; empty for a plane of one value, which was not sampled.
    calls : int
        Network calls for one sample.
    noise : float
        Standard deviation of the noise.
    factor : float or None
        Coverage factor of the prior at this noise; None if the prior has none.
    facts : dict
        What was found out about the plane's data, see ``Job.facts``.
    effective : tuple of float
        Effective number of particles of each sample, see ``State.effective``; empty for methods without particles.
    factor_50 : float or None
        Coverage factor for the interval of 50 %.
    """

    mean: Array
    std: Array
    samples: Array = field(repr=False)
    misfit: tuple[float, ...]
    calls: int
    noise: float
    factor: float | None
    facts: dict[str, Any] = field(default_factory=dict)
    effective: tuple[float, ...] = ()
    factor_50: float | None = None

    def quantile(self, level: float) -> Array:
        """Value below which the truth lies with a probability; see ``uncertainty.quantile``."""
        if not self.misfit:
            return self.mean
        return quantile(level, self.mean, self.std, len(self.misfit), self.samples, self.factor or 1.0, self.factor_50)

    def record(self) -> dict[str, Any]:
        """What is said of the plane in the provenance."""
        found: dict[str, Any] = {"noise_sigma": self.noise, "misfit": [round(value, 6) for value in self.misfit]}
        particles = {"effective_particles": [round(value, 3) for value in self.effective]} if self.effective else {}
        factors = {"coverage_factor": self.factor, "coverage_factor_50": self.factor_50}
        return found | particles | {"calls": self.calls, **factors, **self.facts}


def run_to_end(run: Generator[U, None, R], progress: Callable[[U], object] | None = None) -> R:
    """Return value of a run whose updates go to ``progress``."""
    while True:
        try:
            update = next(run)
        except StopIteration as end:
            result: R = end.value
            return result
        if progress is not None:
            progress(update)


def poll(cancelled: Callable[[], bool] | None) -> None:
    """Raise Cancelled if that is wanted."""
    if cancelled is not None and cancelled():
        raise Cancelled("the restoration was cancelled.")


def chunks(samples: int, batch: int | None, pixels: int) -> list[range]:
    """Samples in batches: as asked, or as many as make four million pixels."""
    size = batch or max(1, min(8, 4_000_000 // pixels))
    return [range(first, min(first + size, samples)) for first in range(0, samples, size)]


def keeps_samples(recipe: Recipe, pixels: int) -> bool:
    """Whether the samples of a result of so many pixels are kept: as asked, or if they are few enough."""
    return recipe.samples * pixels <= KEPT_VALUES if recipe.keep_samples is None else recipe.keep_samples


def restore_plane(
    image: Array, mask: Array | None, psf: Any, engine: Engine, position: Position = (), keep: bool = True
) -> Generator[Update, None, PlaneResult]:
    """Restore one plane step by step; the generator's return value is its result.

    Parameters
    ----------
    image : ndarray, shape (H, W)
    mask : ndarray, shape (H, W), optional
        Non-zero where pixels are missing.
    psf : array_like, optional
    engine : Engine
    position : tuple of int
        Keys the noise together with the seed, so that neither the order of the planes nor who restores them matters.
    keep : bool
        Keep the samples.
    """
    from .rng import KeyedNoise
    from .samplers.contract import chosen

    recipe = engine.recipe
    if getattr(engine.denoiser, "channels", 1) != 1:
        raise ValueError(f"the prior is one of {engine.denoiser.channels} colours: choose one of grey images, or train one.")
    job = make_job(image, mask, psf, recipe, engine.device.name, lambda: poll(engine.cancelled))
    denoiser = engine.denoiser_of(job)
    sampler, said = chosen(recipe.make_sampler(), job.measurement, denoiser)
    parts = chunks(recipe.samples, recipe.batch, math.prod(job.measurement.shape))
    running, calls = Running(job.shape), 0
    kept: list[Array] = []
    misfits: list[float] = []
    effective: list[float] = []
    for number, part in enumerate(parts):
        noise = KeyedNoise(recipe.seed, part, position)
        for state in sampler.run(job.measurement, denoiser, noise):
            poll(engine.cancelled)
            yield _update(job, state, number, len(parts), position)
        for sample in job.to_image(state.x0):
            running.add(sample)
            if keep:
                kept.append(sample)
        misfits.extend(state.misfit.tolist())
        effective.extend([] if state.effective is None else state.effective.tolist())
        calls = state.calls
    factor, factor_50 = _coverage_factors(engine.denoiser, job.measurement, denoiser)
    samples = np.stack(kept) if kept else np.zeros((0, *job.shape), np.float32)
    std = running.std if factor is None else running.std * np.float32(factor)
    facts = {**job.facts, **_tiles(engine.denoiser), **said}
    return PlaneResult(running.mean, std, samples, tuple(misfits), calls, job.noise, factor, facts, tuple(effective), factor_50)


def even(shape: tuple[int, ...], value: float, upsample: int = 1) -> PlaneResult:
    """A plane that needs no restoration: in a stack it must not end the run. NaN where nothing was measured."""
    flat = np.full((*shape[:-2], *(upsample * side for side in shape[-2:])), value, np.float32)
    return PlaneResult(flat, 0 * flat, np.zeros((0, *flat.shape), np.float32), (), 0, 0.0, None)


def is_constant(measured: Array) -> bool:
    """Whether all measured pixels, if there are any, have one value."""
    return bool((measured == measured.flat[0]).all()) if measured.size else True


def _tiles(prior: Denoiser) -> dict[str, Any]:
    """How a tiled prior was called."""
    ask = getattr(prior, "report", None)
    return {} if ask is None else {"tiles": ask()}


def _coverage_factors(prior: Denoiser, measurement: Measurement, denoiser: Denoiser) -> tuple[float | None, float | None]:
    """For intervals of 90 and 50 %, what the prior knows of such a measurement; ``denoiser`` is it for images of that shape.

    None for volumes: what a PSF hides between planes is not in the samples, and the factors come from planes.
    """
    ask = getattr(prior, "coverage_factor", None)
    if ask is None or len(measurement.shape) > 3:
        return None, None
    sharpness = measurement.sharpness(denoiser)
    return ask(measurement.sigma, sharpness, 0.9), ask(measurement.sigma, sharpness, 0.5)


def _update(job: Job, state: State, part: int, parts: int, position: Position) -> Update:
    return Update(
        step=part * state.total + state.step,
        total=parts * state.total,
        sigma=state.sigma,
        misfit=float(state.misfit.mean()),
        preview=lambda: job.to_image(state.x0).mean(0),
        position=position,
    )


@cache
def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("napari-diffprior", "torch", "diffusers", "numpy")}
