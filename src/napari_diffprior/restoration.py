"""Restoration of an image: recipe + arrays -> samples, mean, standard deviation and misfit."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .job import Job, check_input, make_job
from .recipe import Recipe

if TYPE_CHECKING:
    from .device import Device
    from .priors.contract import Denoiser
    from .samplers.contract import State

Array = np.ndarray[Any, Any]


class Cancelled(Exception):
    """The run was stopped on request; nothing was kept."""


@dataclass(frozen=True)
class Restoration:
    """Result of a run, in the image's own units.

    Parameters
    ----------
    mean : ndarray, shape (H, W)
        Mean of the samples; float32.
    std : ndarray, shape (H, W)
        Standard deviation between the samples; zero for a single sample.
    samples : ndarray, shape (N, H, W)
    misfit : tuple of float
        Chi-square over the number of measurements for each sample; about 1 if sample and data agree.
    calls : int
        Network calls for one sample.
    seconds : float
    recipe : Recipe
    provenance : dict
        JSON types: recipe, prior, versions, device, noise, seconds, misfit; stored with every output.
    """

    mean: Array
    std: Array
    samples: Array
    misfit: tuple[float, ...]
    calls: int
    seconds: float
    recipe: Recipe
    provenance: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Update:
    """Progress of a run after one sampler step.

    Parameters
    ----------
    step, total : int
        Steps done and in all, over all batches of samples.
    sigma : float
        Noise level of the step, model units.
    misfit : float
        Mean chi-square over m of the current estimates.
    preview : callable
        Returns the mean of the current estimates, shape (H, W), in image units.
    """

    step: int
    total: int
    sigma: float
    misfit: float
    preview: Callable[[], Array]


def chunks(samples: int, batch: int | None, pixels: int) -> list[range]:
    """Samples in batches: as asked, or as many as make four million pixels."""
    size = batch or max(1, min(8, 4_000_000 // pixels))
    return [range(first, min(first + size, samples)) for first in range(0, samples, size)]


def restore_iter(
    image: Any,
    mask: Any = None,
    psf: Any = None,
    *,
    recipe: Recipe | None = None,
    prior: Denoiser | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Generator[Update, None, Restoration]:
    """Restore an image step by step; the generator's return value is the Restoration.

    Parameters
    ----------
    image : array_like, shape (H, W)
        Measured image, any unit.
    mask : array_like, shape (H, W), optional
        Non-zero where pixels are missing.
    psf : array_like, shape (h, w), optional
        Point spread function.
    recipe : Recipe, optional
        Settings; the default restores with the embedded prior.
    prior : Denoiser, optional
        A denoiser of one's own instead of the recipe's.
    cancelled : callable, optional
        Asked before each step and each batch of tiles; True raises Cancelled.

    Yields
    ------
    Update
        After each step of the sampler.

    Raises
    ------
    ValueError
        If the input or the settings cannot be used.
    Cancelled
        When ``cancelled`` said so.
    """
    from .device import choose_device
    from .rng import KeyedNoise

    started = time.monotonic()
    recipe = recipe or Recipe()
    check_input(image, mask)
    device = choose_device(recipe.device, recipe.precision)
    denoiser, identity = _tiled(recipe, prior, device, cancelled)
    job = make_job(image, mask, psf, recipe, device.name)
    parts = chunks(recipe.samples, recipe.batch, math.prod(job.measurement.shape))
    images: list[Array] = []
    misfits: list[float] = []
    calls = 0
    for number, part in enumerate(parts):
        noise = KeyedNoise(recipe.seed, part)
        for state in recipe.make_sampler().run(job.measurement, denoiser, noise):
            _poll(cancelled)
            yield _update(job, state, number, len(parts))
        images.extend(job.to_image(state.x0))
        misfits.extend(float(value) for value in state.misfit)
        calls = state.calls
    return _result(images, misfits, calls, time.monotonic() - started, recipe, identity, device, job)


def _poll(cancelled: Callable[[], bool] | None) -> None:
    if cancelled is not None and cancelled():
        raise Cancelled("the restoration was cancelled.")


def _tiled(
    recipe: Recipe, prior: Denoiser | None, device: Device, cancelled: Callable[[], bool] | None
) -> tuple[Denoiser, dict[str, str]]:
    from .priors.store import find_prior, load_prior, prior_identity
    from .tiling import TiledDenoiser

    if prior is not None:
        return prior, {"name": type(prior).__name__}
    folder = find_prior(recipe.prior)
    inner = load_prior(recipe.prior, device.name, device.precision)
    tiled = TiledDenoiser(inner, on_tile=lambda: _poll(cancelled))
    return tiled, {"name": recipe.prior, "sha256": prior_identity(folder)}


def _update(job: Job, state: State, part: int, parts: int) -> Update:
    return Update(
        step=part * state.total + state.step,
        total=parts * state.total,
        sigma=state.sigma,
        misfit=float(state.misfit.mean()),
        preview=lambda: job.to_image(state.x0).mean(0),
    )


def _result(
    images: Sequence[Array],
    misfits: Sequence[float],
    calls: int,
    seconds: float,
    recipe: Recipe,
    identity: dict[str, str],
    device: Device,
    job: Job,
) -> Restoration:
    from .params import to_dict

    samples = np.stack(images)
    provenance = {
        "recipe": to_dict(recipe),
        "fingerprint": recipe.fingerprint(),
        "prior": identity,
        "device": device.name,
        "device_reason": device.reason,
        "precision": device.precision,
        "noise_sigma": job.noise,
        "misfit": [round(value, 6) for value in misfits],
        "calls": calls,
        "seconds": round(seconds, 3),
        "versions": _versions(),
    }
    std = samples.std(0, ddof=1) if len(samples) > 1 else np.zeros_like(samples[0])
    return Restoration(samples.mean(0), std, samples, tuple(misfits), calls, seconds, recipe, provenance)


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("napari-diffprior", "torch", "diffusers", "numpy")}


def restore(
    image: Any, mask: Any = None, psf: Any = None, *, progress: Callable[[Update], None] | None = None, **settings: Any
) -> Restoration:
    """Restore a damaged image by posterior sampling with a diffusion prior.

    Parameters
    ----------
    image : array_like, shape (H, W)
        Measured image, any unit.
    mask : array_like, shape (H, W), optional
        Non-zero where pixels are missing.
    psf : array_like, shape (h, w), optional
        Point spread function; a Gaussian one by ``psf_sigma`` instead.
    progress : callable, optional
        Receives an Update after each step.
    **settings
        ``noise="auto"`` (or a standard deviation in the image's units), ``prior="microscopy"`` (a name, a folder or
        a Denoiser), ``sampler="decoupled"``, ``steps``, ``samples=4``, ``seed=0``, ``device="auto"``, ``psf_sigma``,
        ``precision``, ``batch``, and the sampler's own parameters; see Recipe.

    Returns
    -------
    Restoration
        In the image's units.

    Raises
    ------
    ValueError
        If the input or the settings cannot be used; one sentence says why.

    Examples
    --------
    >>> result = restore(image, mask, noise=12.0, samples=8)  # doctest: +SKIP
    >>> result.mean, result.std, result.misfit  # doctest: +SKIP
    """
    prior = settings.pop("prior", "microscopy")
    own = None if isinstance(prior, str | Path) else prior
    recipe = make_recipe(**settings) if own is not None else make_recipe(**settings, prior=str(prior))
    run = restore_iter(image, mask, psf, recipe=recipe, prior=own)
    while True:
        try:
            update = next(run)
        except StopIteration as end:
            result: Restoration = end.value
            return result
        if progress is not None:
            progress(update)


def make_recipe(sampler: Any = "decoupled", steps: int | None = None, **settings: Any) -> Recipe:
    """Recipe from keyword settings; those that Recipe does not know go to the sampler.

    Parameters
    ----------
    sampler : str or Sampler
        Name, or an instance with its parameters.
    steps : int, optional
        The sampler's steps; None keeps its default.

    Raises
    ------
    ValueError
        For an unknown sampler or parameter, with the nearest names.
    """
    from dataclasses import fields

    from .params import from_dict, to_dict

    options = {} if isinstance(sampler, str) else {k: v for k, v in to_dict(sampler).items() if k != "name"}
    options |= dict(settings.pop("options", {}))
    if steps is not None:
        options["steps"] = steps
    known = {entry.name for entry in fields(Recipe)}
    options |= {key: settings.pop(key) for key in list(settings) if key not in known}
    name = sampler if isinstance(sampler, str) else sampler.name
    return from_dict(Recipe, {"sampler": name, "options": options, **settings})
