"""Restoration of every image of a folder: bad files are reported, finished ones are kept, nothing is lost."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from .files import Outputs, hashes, restore_files
from .params import Ui, params

if TYPE_CHECKING:
    from .recipe import Recipe
    from .restoration import Update

REPORT = "report.csv"
Status = Literal["restored", "kept", "failed"]


@params
class FolderSettings:
    """Which files are restored, and where the results go."""

    source: Annotated[Path, Ui("Images", "folder of the images")]
    target: Annotated[Path, Ui("Results", "folder for the results and the report; made if it is not there")]
    pattern: Annotated[str, Ui("Pattern", "which files, for example *.tif; **/*.tif takes subfolders too")] = "*"
    masks: Annotated[
        Path | None, Ui("Masks", "a mask file for all images, or a folder with one of the same name for each; empty: none")
    ] = None
    psf: Annotated[Path | None, Ui("PSF", "file of a point spread function for all images; empty: none")] = None
    std: Annotated[bool, Ui("Std", "also write the standard deviation between the samples, as <name>_std.tif")] = True


@dataclass(frozen=True)
class Outcome:
    """What became of one file; a line of the report.

    Parameters
    ----------
    file, output : str
        Paths below the folders of images and of results.
    status : {"restored", "kept", "failed"}
        "kept": the result was there already, of the same input and settings.
    seconds : float
    misfit : float
        Mean over the samples; NaN if it failed.
    message : str
        Why it failed.
    """

    file: str
    output: str
    status: Status
    seconds: float
    misfit: float
    message: str = ""


@dataclass(frozen=True)
class FolderUpdate:
    """Where a folder stands.

    Parameters
    ----------
    number, total : int
        This file, from 1 on, and all files.
    file : str
    update : Update, optional
        After a step of the sampler.
    outcome : Outcome, optional
        When the file is done.
    """

    number: int
    total: int
    file: str
    update: Update | None = None
    outcome: Outcome | None = None


def restore_folder(
    settings: FolderSettings, recipe: Recipe, cancelled: Callable[[], bool] | None = None
) -> Generator[FolderUpdate, None, list[Outcome]]:
    """Restore a folder file by file; the generator's return value is the report.

    Results are OME-TIFFs with calibration and recipe. A result that is there already, of the same input and the
    same settings, is kept, so that an interrupted run goes on where it was. ``report.csv`` is brought up to date
    after every file.

    Parameters
    ----------
    settings : FolderSettings
    recipe : Recipe
    cancelled : callable, optional
        Asked before each step; True raises Cancelled.

    Yields
    ------
    FolderUpdate

    Raises
    ------
    ValueError
        If there is no file to restore, or the folders are the same.
    Cancelled
        When ``cancelled`` said so; the files that were done stay.
    """
    files = find_images(settings)
    targets = _targets(files, settings)
    settings.target.mkdir(parents=True, exist_ok=True)
    report: list[Outcome] = []
    for number, (file, target) in enumerate(zip(files, targets, strict=True), start=1):
        name = file.relative_to(settings.source).as_posix()
        steps = _one(settings, recipe, file, target, cancelled)
        while True:
            try:
                yield FolderUpdate(number, len(files), name, update=next(steps))
            except StopIteration as end:
                outcome: Outcome = end.value
                break
        report.append(outcome)
        write_report(settings.target / REPORT, report)
        yield FolderUpdate(number, len(files), name, outcome=outcome)
    return report


def find_images(settings: FolderSettings) -> list[Path]:
    """Image files of the folder that fit the pattern, sorted; results below it are left out.

    Raises
    ------
    ValueError
        If the folder is not there, is also the one of the results, or nothing fits.
    """
    from .io import TIFF_SUFFIXES

    suffixes = (*TIFF_SUFFIXES, ".png", ".webp", ".jpg", ".jpeg", ".npy")
    source, target = settings.source, settings.target.resolve()
    if not source.is_dir():
        raise ValueError(f"there is no folder {source}: choose the folder of the images.")
    if source.resolve() == target:
        raise ValueError("the results cannot go into the folder of the images: choose another one.")
    fitting = (path for path in source.glob(settings.pattern) if path.suffix.lower() in suffixes and path.is_file())
    found = sorted(path for path in fitting if target not in path.resolve().parents)
    if not found:
        raise ValueError(f"no image in {source} fits {settings.pattern!r}: TIFF, PNG, WebP, JPEG and NPY are read.")
    return found


def write_report(path: Path, report: Sequence[Outcome]) -> None:
    """Write the outcomes as CSV, one line for each file."""
    from .io import replacing

    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, [field.name for field in fields(Outcome)])
        writer.writeheader()
        writer.writerows(asdict(outcome) for outcome in report)


def _targets(files: Sequence[Path], settings: FolderSettings) -> list[Path]:
    """Where each result goes: the same name as .tif; files that differ in their endings alone keep them."""
    shared = Counter(file.with_suffix(".tif") for file in files)
    names = [Path(f"{file}.tif") if shared[file.with_suffix(".tif")] > 1 else file.with_suffix(".tif") for file in files]
    return [settings.target / name.relative_to(settings.source) for name in names]


def _one(
    settings: FolderSettings, recipe: Recipe, file: Path, target: Path, cancelled: Callable[[], bool] | None
) -> Generator[Update, None, Outcome]:
    """Restore one file, or say why not."""
    name, where = file.relative_to(settings.source).as_posix(), target.relative_to(settings.target).as_posix()
    try:
        inputs = {"image": file, "mask": _mask_of(file, settings), "psf": settings.psf}
        story = _kept(target, inputs, recipe)
        if story is None:
            target.parent.mkdir(parents=True, exist_ok=True)
            std = target.with_name(f"{target.stem}_std.tif") if settings.std and recipe.samples > 1 else None
            story = yield from restore_files(inputs, Outputs(target, std), recipe, cancelled)
            status: Status = "restored"
        else:
            status = "kept"
    except (ValueError, OSError, RuntimeError, MemoryError) as error:  # of one file; the others go on
        text = " ".join(str(error).split()) or type(error).__name__
        return Outcome(name, where, "failed", 0.0, float("nan"), text)
    misfit = sum(story["misfit"]) / len(story["misfit"])
    return Outcome(name, where, status, story["seconds"], misfit)


def _mask_of(file: Path, settings: FolderSettings) -> Path | None:
    """Mask file of an image: the one for all, or the one of its name with any ending."""
    masks = settings.masks
    if masks is None or not masks.is_dir():
        return masks
    place = masks / file.relative_to(settings.source).parent
    found = sorted(path for path in place.glob("*") if path.stem == file.stem and path.is_file())
    if not found:
        raise ValueError(f"there is no mask named {file.stem} in {place}.")
    return found[0]


def _kept(target: Path, inputs: Mapping[str, Path | None], recipe: Recipe) -> dict[str, Any] | None:
    """Story of a result that is there already, if it was made of the same inputs with the same settings."""
    from .io import read_metadata

    try:
        story: dict[str, Any] = read_metadata(target).get("napari-diffprior", {}) if target.is_file() else {}
    except (OSError, ValueError):  # something else of that name, or half of a file
        return None
    same = story.get("fingerprint") == recipe.fingerprint() and story.get("inputs") == hashes(inputs)
    return story if same else None
