"""A restoration in another thread: cancellable, throttled, and with errors that reach the user.

A RuntimeError in a generator worker vanishes without a signal, and quitting the worker does not close the
generator; both are put right here.
"""

import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..axes import Layout
from ..recipe import Recipe

if TYPE_CHECKING:
    from ..device import Device
    from ..folder import FolderSettings, FolderUpdate, Outcome
    from ..restoration import Restoration, Update
    from .store import Store

U = TypeVar("U")
R = TypeVar("R")
Array = np.ndarray[Any, Any]
PROGRESS_SECONDS = 0.7
PREVIEW_SECONDS = 1.0
PREVIEW_SHARE = 0.02


class RestorationFailed(Exception):
    """The restoration stopped on an error; the message says what would help."""


@dataclass(frozen=True)
class Request:
    """All that a run needs: settings and arrays, no widget and no layer.

    Parameters
    ----------
    image : array_like, 2 to 7 axes
    mask : array_like, optional
        Non-zero where pixels are missing.
    psf : PSF, optional
    layout : Layout
        How the axes lie, and which part is restored.
    recipe : Recipe
    live : bool
        Whether images are wanted on the way.
    files : mapping of str to Path, optional
        Files that hold image, mask and PSF as they are; the result remembers them, so that it can be repeated.
    store : Store, optional
        Where results are written plane by plane; by default they stay in memory.
    """

    image: Any = field(repr=False)
    mask: Any = field(repr=False)
    psf: Any = field(repr=False)
    layout: Layout
    recipe: Recipe
    live: bool = True
    files: Mapping[str, Path | None] | None = None
    store: "Store | None" = None


@dataclass(frozen=True)
class Progress:
    """Where a run stands.

    Parameters
    ----------
    step, total : int
        Steps done, and in all.
    misfit : float
        Chi-square over the number of measurements of the current estimate.
    preview : ndarray, shape (H, W), optional
        Current estimate in image units, about once a second.
    position : tuple of int
        Plane that is at work, along the leading axes.
    """

    step: int
    total: int
    misfit: float
    preview: Array | None
    position: tuple[int, ...] = ()


class LivePace:
    """When the next live image is due: once a second, or more seldom where drawing one would slow the run down."""

    def __init__(self) -> None:
        self._seconds = PREVIEW_SECONDS
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether it is time for one; if so, the next waits from now on."""
        now = time.monotonic()
        if now - self._last < self._seconds:
            return False
        self._last = now
        return True

    def took(self, seconds: float) -> None:
        """Learn how long one took to be drawn: they may use 2 % of the time."""
        self._seconds = max(PREVIEW_SECONDS, seconds / PREVIEW_SHARE)


def open_run(request: Request, stop: Event) -> "Generator[Update, None, Restoration]":
    """Start the core's generator; the stop event is polled at each step and each batch of tiles."""
    from ..restoration import restore_iter
    from ..stored import restore_stored

    image, mask, psf, recipe, cancelled = request.image, request.mask, request.psf, request.recipe, stop.is_set
    if (store := request.store) is None:
        return restore_iter(image, mask, psf, recipe=recipe, cancelled=cancelled)
    place = store.calibration
    return restore_stored(image, store.path, mask, psf, recipe=recipe, calibration=place, cancelled=cancelled)


def restore_steps(request: Request, stop: Event, pace: LivePace | None = None) -> "Generator[Progress, None, Restoration | None]":
    """Run a restoration, reporting at most every 0.7 seconds, with an image when the pace says so.

    Returns
    -------
    Restoration or None
        None when it was stopped.

    Raises
    ------
    RestorationFailed
        For every RuntimeError of the core, which the worker would swallow, and when memory runs out.
    """
    inner = open_run(request, stop)
    pace = pace or LivePace()
    reported = float("-inf")  # the first step is told at once
    try:
        while not stop.is_set():
            update, result = _next(inner)
            if update is None:
                return result if result is None else remember_files(result, request)
            now = time.monotonic()
            if now - reported < PROGRESS_SECONDS:
                continue
            reported = now
            image = update.preview() if request.live and pace.due() else None
            yield Progress(update.step, update.total, update.misfit, image, update.position)
        return None
    finally:
        inner.close()


def remember_files(result: "Restoration", request: Request) -> "Restoration":
    """The result with paths and hashes of its input files, as ``diffprior restore`` writes them."""
    from ..files import hashes
    from ..io import open_image

    if request.files is None:
        return result
    try:
        image = request.files["image"]
        if image is None or tuple(open_image(image)[0].shape) != tuple(request.image.shape):  # a part of the file
            return result
        return replace(result, provenance={**result.provenance, "inputs": hashes(request.files)})
    except (ValueError, OSError):  # no file that the command line could read: the result stands without
        return result


@dataclass(frozen=True)
class FolderProgress:
    """Where a folder stands.

    Parameters
    ----------
    step, total : int
        In hundredths of a file.
    file : str
        At work, or just done.
    number, files : int
        Its number from 1 on, and all files.
    outcome : Outcome, optional
        When it is done.
    """

    step: int
    total: int
    file: str
    number: int
    files: int
    outcome: "Outcome | None"


def open_folder(settings: "FolderSettings", recipe: Recipe, stop: Event) -> "Generator[FolderUpdate, None, list[Outcome]]":
    """Start the core's generator over the files of a folder."""
    from ..folder import restore_folder

    return restore_folder(settings, recipe, stop.is_set)


def folder_steps(
    settings: "FolderSettings", recipe: Recipe, stop: Event
) -> "Generator[FolderProgress, None, list[Outcome] | None]":
    """Restore a folder, reporting every file that is done, and between them at most every 0.7 seconds."""
    inner = open_folder(settings, recipe, stop)
    reported = float("-inf")  # the first step is told at once
    try:
        while not stop.is_set():
            update, report = _next(inner)
            if update is None:
                return report
            now = time.monotonic()
            if update.outcome is None and now - reported < PROGRESS_SECONDS:
                continue
            reported = now
            share = 1.0 if update.update is None else update.update.step / update.update.total
            done = round(100 * (update.number - 1 + share))
            yield FolderProgress(done, 100 * update.total, update.file, update.number, update.total, update.outcome)
        return None
    finally:
        inner.close()


def _next(inner: Generator[U, None, R]) -> tuple[U | None, R | None]:
    """Next update, or the result at the end, or neither when it was cancelled."""
    from ..restoration import Cancelled

    try:
        return next(inner), None
    except StopIteration as end:
        return None, end.value
    except Cancelled:
        return None, None
    except (RuntimeError, MemoryError) as error:
        raise RestorationFailed(explain(error)) from error


def explain(error: RuntimeError | MemoryError) -> str:
    """One sentence that says what went wrong and what would help."""
    from ..tiling import lacks_memory

    text = str(error).strip()
    if isinstance(error, MemoryError) or lacks_memory(error):
        return "The memory did not suffice: set fewer samples, restore a smaller image, or choose another device in Advanced."
    first = text.splitlines()[0] if text else type(error).__name__
    return f"The restoration failed ({first}): choose another device or precision float32 in Advanced and run it again."


def warm_up() -> "Device":
    """Import what a run needs and say where it would run; takes seconds, so not in the main thread."""
    from ..device import choose_device, let_threads_sleep

    let_threads_sleep()
    import diffusers  # noqa: F401

    return choose_device()
