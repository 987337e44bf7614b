"""Restoration of an image of any axes: recipe + arrays -> mean, standard deviation, samples and misfit."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .axes import Layout, Position
from .plane import Cancelled, Engine, PlaneResult, Update, even, is_constant, restore_plane, run_to_end
from .psf import axes_of
from .recipe import Recipe
from .result import Canvas, Restoration

if TYPE_CHECKING:
    from .priors.contract import Denoiser

Array = np.ndarray[Any, Any]
__all__ = ["Cancelled", "Restoration", "Update", "make_recipe", "restore", "restore_iter"]


def restore_iter(
    image: Any,
    mask: Any = None,
    psf: Any = None,
    *,
    recipe: Recipe | None = None,
    prior: Denoiser | None = None,
    axes: str | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Generator[Update, None, Restoration]:
    """Restore an image step by step; the generator's return value is the Restoration.

    Every plane along the leading axes (time, channel, slice, ...) is restored by itself, with its own intensity map
    and noise. One plane at a time is read of the image.

    Parameters
    ----------
    image : array_like, 2 to 7 axes
        Measured image, any unit and any kind of number; ``recipe.axes`` names its axes.
    mask : array_like, optional
        Non-zero where pixels are missing; of the image's shape, or one plane for all.
    psf : array_like, shape (h, w) or (d, h, w), or PSF, optional
        Point spread function; with a 3-D one stacks along z are restored whole.
    recipe : Recipe, optional
        Settings; the default restores with the embedded prior.
    prior : Denoiser, optional
        A denoiser of one's own instead of the recipe's.
    axes : str, optional
        Axes of the image where the recipe does not name them, as its file or layer says.
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
    started = time.monotonic()
    recipe = recipe or Recipe()
    image, mask = _indexable(image), _indexable(mask)
    layout = layout_of(image, psf, recipe, axes)
    if mask is not None:
        layout.mask_of(mask)
    engine = Engine.of(recipe, prior, cancelled)
    canvas = Canvas(layout, recipe)
    for number, position in enumerate(layout.positions()):
        pixels = np.asarray(image[layout.source(position)])
        missing = None if mask is None else np.asarray(mask[layout.mask_source(mask, position)])
        steps = restore_part(layout, pixels, missing, psf, engine, position, canvas.keep)
        plane = yield from _counted(steps, number, layout.count)
        canvas.put(position, plane)
    return canvas.result(engine, time.monotonic() - started)


def layout_of(image: Any, psf: Any, recipe: Recipe, axes: str | None = None) -> Layout:
    """Which parts of an image are restored by themselves: planes, or volumes where the PSF is one."""
    return Layout.of(image, recipe.axes or axes, recipe.region, axes_of(psf), recipe.upsample)


def restore_part(
    layout: Layout, pixels: Array, missing: Array | None, psf: Any, engine: Engine, position: Position, keep: bool
) -> Generator[Update, None, PlaneResult]:
    """Restore what was read at one position; its return value is the plane's result.

    Parameters
    ----------
    layout : Layout
    pixels, missing : ndarray
        As they lie in image and mask.
    psf, engine, position, keep
        As for ``restore_plane``.

    Raises
    ------
    ValueError
        If the plane cannot be used; in a stack the sentence says which.
    """
    pixels, missing = layout.orient(pixels), None if missing is None else layout.orient_mask(missing)
    measured = pixels if missing is None else pixels[missing == 0]
    if layout.count > 1 and is_constant(measured):
        return even(pixels.shape, measured.flat[0] if measured.size else np.nan, layout.upsample)
    try:
        return (yield from restore_plane(pixels, missing, psf, engine, position, keep))
    except ValueError as error:
        if layout.count == 1:
            raise
        where = ", ".join(f"{letter} = {index}" for letter, index in layout.named(position).items())
        raise ValueError(f"at {where}: {error}") from error


def _indexable(array: Any) -> Any:
    """An array that can be asked for its shape and a part of it; lists become one."""
    return array if array is None or (hasattr(array, "shape") and hasattr(array, "__getitem__")) else np.asarray(array)


def _counted(steps: Generator[Update, None, PlaneResult], number: int, count: int) -> Generator[Update, None, PlaneResult]:
    """The updates of one plane, counted among those of all."""
    while True:
        try:
            update = next(steps)
        except StopIteration as end:
            result: PlaneResult = end.value
            return result
        yield replace(update, step=number * update.total + update.step, total=count * update.total)


def restore(
    image: Any, mask: Any = None, psf: Any = None, *, progress: Callable[[Update], None] | None = None, **settings: Any
) -> Restoration:
    """Restore a damaged image by posterior sampling with a diffusion prior.

    Parameters
    ----------
    image : array_like, 2 to 7 axes
        Measured image, any unit and any kind of number; numpy, dask or zarr.
    mask : array_like, optional
        Non-zero where pixels are missing; of the image's shape, or one plane for all.
    psf : array_like, shape (h, w) or (d, h, w), or PSF, optional
        Point spread function; a Gaussian one by ``psf_sigma`` instead. With a 3-D one stacks along z are restored
        whole, with ``anisotropy`` the step between planes over the step between pixels.
    progress : callable, optional
        Receives an Update after each step.
    **settings
        ``axes="tczyx"`` (guessed by default), ``region=((y0, y1), (x0, x1))`` or ``{"z": (3, 4)}``, ``noise="auto"``
        (or a standard deviation in the image's units, ``"poisson"``, or ``"poisson-gaussian"`` with ``gain``, ``offset``
        and ``read_noise`` where they are known), ``saturation="auto"`` (a grey level, or None), ``hot_pixels=True``
        (single ones that stand out are missing), ``prior="microscopy"`` (a name, a folder or a Denoiser),
        ``sampler="decoupled"``, ``steps``, ``samples=4``, ``seed=0``, ``device="auto"``, ``psf_sigma``,
        ``upsample=2`` (or 3, 4: a measured pixel is the mean of 2 x 2 of the result; PSFs stay in measured pixels),
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
    recipe, own = own_prior(settings)
    return run_to_end(restore_iter(image, mask, psf, recipe=recipe, prior=own), progress)


def own_prior(settings: Mapping[str, Any]) -> tuple[Recipe, Denoiser | None]:
    """Recipe of keyword settings, and the prior if it is a Denoiser and not a name."""
    rest = dict(settings)
    prior = rest.pop("prior", "microscopy")
    if isinstance(prior, str | Path):
        return make_recipe(**rest, prior=str(prior)), None
    return make_recipe(**rest), prior


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
    if settings.get("region") is not None and not isinstance(settings["region"], Mapping):
        settings["region"] = dict(zip("yx", settings["region"], strict=True))
    known = {entry.name for entry in fields(Recipe)}
    options |= {key: settings.pop(key) for key in list(settings) if key not in known}
    name = sampler if isinstance(sampler, str) else sampler.name
    return from_dict(Recipe, {"sampler": name, "options": options, **settings})
