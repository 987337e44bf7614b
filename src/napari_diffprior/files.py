"""An image file restored into files that carry calibration, recipe and the hashes of their inputs."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .io import ZARR_SUFFIXES, Calibration, check_output, file_hash, open_image, read_image, voxels, with_addition, write_image

if TYPE_CHECKING:
    from .axes import Layout
    from .plane import Update
    from .psf import PSF
    from .recipe import Recipe
    from .result import Restoration

Inputs = Mapping[str, Path | None]


@dataclass(frozen=True)
class Outputs:
    """Where results go: OME-TIFFs or OME-Zarrs, by their endings.

    Parameters
    ----------
    mean : Path
    std : Path, optional
        Standard deviation between the samples.
    quantiles : Path, optional
        5 % and 95 % quantiles, as two files: "_05" and "_95" are put behind the name.
    samples : Path, optional
        All samples, along a first axis.
    """

    mean: Path
    std: Path | None = None
    quantiles: Path | None = None
    samples: Path | None = None

    def paths(self) -> dict[str, Path]:
        """Path of each file by its kind: mean, std, low, high, samples."""
        found = {"mean": self.mean, "std": self.std, "samples": self.samples}
        if self.quantiles is not None:
            found |= {kind: with_addition(self.quantiles, addition) for kind, addition in (("low", "_05"), ("high", "_95"))}
        return {kind: path for kind, path in found.items() if path is not None}


@dataclass(frozen=True)
class Opened:
    """What the input files hold, ready to be restored.

    Parameters
    ----------
    image, mask : array_like
        Read when they are asked for.
    psf : PSF, optional
    layout : Layout
    place : Calibration
        Of the image, with the axes that the recipe gives it.
    """

    image: Any
    mask: Any
    psf: PSF | None
    layout: Layout
    place: Calibration


def open_inputs(inputs: Inputs, recipe: Recipe) -> Opened:
    """Open the files of a run.

    Parameters
    ----------
    inputs : mapping
        Files by name: image, mask, psf; None where there is none.
    recipe : Recipe
        Without axes, those of the file count.

    Raises
    ------
    ValueError, OSError
        If a file cannot be read, or they do not fit the recipe.
    """
    from .restoration import layout_of

    image, place, _ = open_image(_needed(inputs))
    axes = layout_of(image, None, recipe, place.axes).axes
    place = Calibration(place.scale, place.units, axes, place.translate)
    mask = None if (path := inputs.get("mask")) is None else open_image(path)[0]
    psf = None if (path := inputs.get("psf")) is None else read_psf(path, place)
    return Opened(image, mask, psf, layout_of(image, psf, recipe, axes), place)


def read_psf(path: Path, image: Calibration) -> PSF:
    """PSF of a file, resampled to an image along the axes where both have a unit of length.

    Parameters
    ----------
    path : Path
    image : Calibration
        Of the image; its letters say which axes are z, y and x.

    Raises
    ------
    ValueError, OSError
        If the file cannot be read, or its PSF cannot be used.
    """
    from .psf import prepare

    values, own, _ = read_image(path)
    return prepare(values, **voxels(own, image))


def restore_files(
    inputs: Inputs,
    outputs: Outputs,
    recipe: Recipe,
    cancelled: Callable[[], bool] | None = None,
    scheduler: str | None = None,
) -> Generator[Update, None, dict[str, Any]]:
    """Restore an image file; the generator's return value is the provenance that the results carry.

    Where all outputs are OME-Zarrs, planes go through a dask scheduler and are written one by one.

    Parameters
    ----------
    inputs : mapping
        Files by name: image, mask, psf; None where there is none.
    outputs : Outputs
    recipe : Recipe
        Without axes, those of the file count.
    cancelled : callable, optional
    scheduler : str, optional
        Address of a dask scheduler; only for OME-Zarr outputs.

    Raises
    ------
    ValueError, OSError
        If a file cannot be read, restored or written; nothing is half-written then.
    """
    from .restoration import restore_iter

    opened, paths = open_inputs(inputs, recipe), outputs.paths()
    image, mask, psf, place = opened.image, opened.mask, opened.psf, opened.place
    _check(paths, recipe, opened.layout.result_shape, place)
    streamed = all(path.suffix.lower() in ZARR_SUFFIXES for path in paths.values())
    if scheduler is not None and not streamed:
        raise ValueError("a scheduler writes chunk by chunk: give outputs that end in .zarr.")
    sources = {"inputs": hashes(inputs)}
    if streamed:
        from .stream import restore_chunks

        return (
            yield from restore_chunks(
                image,
                paths,
                mask,
                psf,
                recipe=recipe,
                calibration=place,
                metadata=sources,
                token=str(sources),
                scheduler=scheduler,
                cancelled=cancelled,
            )
        )
    result = yield from restore_iter(image, mask, psf, recipe=recipe, axes=place.axes, cancelled=cancelled)
    story = {**result.provenance, **sources}
    _write(paths, result, place.of_part(*result.place), {"napari-diffprior": story})
    return story


def _needed(inputs: Inputs) -> Path:
    path = inputs.get("image")
    if path is None:
        raise ValueError("an image file is needed.")
    return path


def _check(paths: Mapping[str, Path], recipe: Recipe, shape: tuple[int, ...], place: Calibration) -> None:
    """Whether all can be written, before any work."""
    if len(set(paths.values())) < len(paths):
        raise ValueError("two outputs have the same name: choose different ones.")
    if "low" in paths and recipe.samples < 2:
        raise ValueError("quantiles need two samples or more: set samples = 16, for example.")
    if "samples" in paths and recipe.keep_samples is False:
        raise ValueError("the samples cannot be written without keeping them: leave keep_samples empty.")
    for kind, path in paths.items():
        extra = kind == "samples"
        check_output(path, (recipe.samples, *shape) if extra else shape, place.with_samples() if extra else place)


def _write(paths: Mapping[str, Path], result: Restoration, place: Calibration, metadata: dict[str, Any]) -> None:
    """Write the mean last: where it is, the others are."""
    if "samples" in paths and not len(result.samples):
        raise ValueError("the samples were not kept: set keep_samples = true, or write them to a .zarr.")
    for kind in sorted(paths, key=lambda kind: kind == "mean"):
        write_image(paths[kind], result.image(kind), place.with_samples() if kind == "samples" else place, metadata)


def hashes(inputs: Inputs) -> dict[str, dict[str, str] | None]:
    """Path and SHA-256 of each input file, as a result remembers them."""
    return {
        name: None if path is None else {"path": str(path.resolve()), "sha256": file_hash(path)} for name, path in inputs.items()
    }
