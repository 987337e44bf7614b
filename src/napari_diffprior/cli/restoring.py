"""``diffprior restore``, ``replay`` and ``demo``."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from .app import app
from .terminal import assignment, drive_with_bar, number_or_name, say


@Parameter(name="*")
@dataclass(frozen=True)
class Camera:
    """What is known of the noise and of single pixels.

    Parameters
    ----------
    noise
        Standard deviation of the noise in the image's units, auto, poisson, or poisson-gaussian.
    gain
        Of a camera: grey levels of one photo-electron; estimated by default.
    offset
        Of a camera: grey level without light; estimated by default.
    read_noise
        Of a camera: standard deviation in the dark, in grey levels; estimated by default.
    saturation
        Grey level from which on a pixel only says that there was at least so much light; by default the ceiling of an
        8-, 10-, 12-, 14- or 16-bit camera, if pixels lie at it; none: no such level.
    hot_pixels
        Find single pixels that stand out of their neighbours, and take them as missing.
    """

    noise: str = "auto"
    gain: float | None = None
    offset: float | None = None
    read_noise: float | None = None
    saturation: str = "auto"
    hot_pixels: Annotated[bool, Parameter(negative="")] = False

    def settings(self) -> dict[str, Any]:
        """As ``make_recipe`` takes them."""
        ceiling = None if self.saturation == "none" else number_or_name(self.saturation)
        return {**asdict(self), "noise": number_or_name(self.noise), "saturation": ceiling}


@app.command
def restore(
    image: Path,
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    mask: Path | None = None,
    psf: Path | None = None,
    psf_sigma: float | None = None,
    anisotropy: float | None = None,
    upsample: Literal[1, 2, 3, 4] = 1,
    camera: Camera = Camera(),
    prior: str = "microscopy",
    sampler: str = "decoupled",
    steps: int | None = None,
    samples: int = 4,
    seed: int = 0,
    device: str = "auto",
    axes: str | None = None,
    region: str | None = None,
    std: Path | None = None,
    quantiles: Path | None = None,
    samples_out: Path | None = None,
    scheduler: str | None = None,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Restore an image: fill gaps, deblur, upsample or denoise, or all at once.

    Parameters
    ----------
    image
        Measured image of any axes: TIFF, OME-TIFF, OME-Zarr, PNG, WebP, JPEG or NPY. Each plane is restored by itself.
    output
        .tif or .ome.zarr for the mean of the samples; it carries the recipe. With .zarr nothing is held whole in memory.
    mask
        Image of the same shape, or one plane for all, non-zero where pixels are missing.
    psf
        Point spread function, resampled to the image where both files have a pixel size in a unit of length, else taken as
        sampled like it; with a 3-D one the slices of a stack are restored together.
    psf_sigma
        Instead of --psf: standard deviation of a Gaussian PSF in pixels of the image.
    anisotropy
        With a 3-D --psf: step between planes over step between pixels; by default as the file says.
    upsample
        Pixels of the result along a side of a measured one; a finer grid, whose scale and place are written.
    prior
        Name of an embedded prior, or a folder in the diffusers layout.
    sampler
        Posterior sampler; see diffprior list.
    steps
        Steps of the sampler; by default the method's own.
    samples
        Posterior samples; 2 or more give a standard deviation.
    seed
        Seed of the noise; the same seed gives the same pixels.
    device
        auto, cpu, cuda or mps.
    axes
        A letter for each axis, such as tczyx; by default as the file says.
    region
        Part to restore, such as y=0:512,x=100:612 or z=3:4; by default all.
    std
        .tif or .ome.zarr for the standard deviation between the samples.
    quantiles
        .tif or .ome.zarr for the 5 % and 95 % quantiles: two files, with _05 and _95 in their names.
    samples_out
        .tif or .ome.zarr for all samples.
    scheduler
        Address of a dask scheduler that restores the planes; for .zarr outputs.
    set_
        Parameter of the sampler as name=value; may be given several times.
    json_
        End with one line of JSON.
    """
    from ..files import Outputs
    from ..restoration import make_recipe

    options = dict(assignment(text) for text in set_)
    if psf is not None and anisotropy is None:
        anisotropy = _anisotropy(image, axes)
    model = {"psf_sigma": psf_sigma, "anisotropy": anisotropy or 1.0, "upsample": upsample, **camera.settings()}
    settings = {"prior": prior, "samples": samples, "seed": seed, "device": device, **model}
    part = {"axes": axes, "region": _region(region)}
    recipe = make_recipe(sampler, steps, options=options, **part, **settings)
    outputs = Outputs(mean=output, std=std, quantiles=quantiles, samples=samples_out)
    say(_restore_files({"image": image, "mask": mask, "psf": psf}, outputs, recipe, scheduler), json_)


@app.command
def replay(
    output: Path,
    /,
    *,
    image: Path | None = None,
    mask: Path | None = None,
    psf: Path | None = None,
    to: Path | None = None,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Repeat the run that made an output, and say whether the pixels are the same.

    Parameters
    ----------
    output
        TIFF or OME-Zarr that diffprior restore or the plugin wrote.
    image
        File of the image; by default the one that the output names, if it has not changed.
    mask, psf
        Files of mask and PSF, together with --image.
    to
        Also write the repeated result here.
    json_
        End with one line of JSON.
    """
    import numpy as np

    from ..files import hashes
    from ..io import read_image, write_image
    from ..params import from_dict
    from ..recipe import Recipe

    before, calibration, metadata = read_image(output)
    story = metadata.get("napari-diffprior") or {}
    if "recipe" not in story:
        raise ValueError(f"{output} carries no recipe: only what diffprior restore or the plugin wrote can be replayed.")
    given: dict[str, Path | None] = {"image": image, "mask": mask, "psf": psf}
    paths = given if image is not None else _inputs(story, output)
    settings = {**story["recipe"], "device": story["device"], "precision": story["precision"], "axes": story["axes"]}
    result, axes = _run_with_bar(paths, from_dict(Recipe, settings))
    mean = np.transpose(result.mean, [axes.index(letter) for letter in calibration.axes])
    same = bool(np.array_equal(mean, before))
    largest = float(np.abs(mean - before).max())
    if to is not None:
        write_image(to, mean, calibration, {"napari-diffprior": {**result.provenance, "inputs": hashes(paths)}})
    say({"output": str(output), "same": same, "largest_difference": largest}, json_)
    if not same:
        raise ValueError(f"the pixels differ by up to {largest:g}: other versions or another device made {output}.")


def _inputs(story: dict[str, Any], output: Path) -> dict[str, Path | None]:
    """Input files that an output names, unchanged."""
    from ..io import file_hash

    if "inputs" not in story:
        raise ValueError(f"{output} does not know the files that it was made from: give them as --image, --mask and --psf.")
    paths = {name: Path(entry["path"]) if entry else None for name, entry in story["inputs"].items()}
    for name, path in paths.items():
        if path is not None and file_hash(path) != story["inputs"][name]["sha256"]:
            raise ValueError(f"the {name} {path} is not the file that {output} was made from.")
    return paths


def _restore_files(inputs: dict[str, Path | None], outputs: Any, recipe: Any, scheduler: str | None) -> dict[str, Any]:
    """Restore the input files into the output files, and say how it went."""
    from ..files import restore_files
    from ..result import COUNTED, PARTICLES

    story = drive_with_bar(restore_files(inputs, outputs, recipe, scheduler=scheduler))
    reason = story["not_calibrated"]
    return {
        "output": str(outputs.mean),
        "seconds": story["seconds"],
        "calls": story["calls"],
        "misfit": story["misfit"],
        "calibrated": f"not calibrated: {reason}" if reason else "yes",
        "sampler": recipe.sampler,
        "prior": story["prior"],
        "device": story["device"],
        "seed": recipe.seed,
        **{name: story[name] for name in (PARTICLES, *COUNTED) if name in story},
    }


def _anisotropy(image: Path, axes: str | None) -> float:
    """Step between planes over step between pixels, as the file says of these axes."""
    from ..io import open_image

    place = open_image(image)[1]
    fits = axes is not None and len(axes) == len(place.axes)
    return (replace(place, axes=axes.lower()) if axes is not None and fits else place).anisotropy


def _region(text: str | None) -> dict[str, tuple[int, int]] | None:
    """Region of ``axis=start:stop`` parts."""
    if text is None:
        return None
    found = {}
    for part in text.split(","):
        letter, _, span = part.partition("=")
        start, colon, stop = span.partition(":")
        if not (colon and start.strip().isdigit() and stop.strip().isdigit()):
            raise ValueError(f"--region takes axis=start:stop, such as y=0:512,x=100:612, not {part!r}.")
        found[letter.strip()] = (int(start), int(stop))
    return found


def _run_with_bar(inputs: dict[str, Path | None], recipe: Any) -> tuple[Any, str]:
    """Result of the input files, and its axes."""
    from ..files import open_inputs
    from ..restoration import restore_iter

    opened = open_inputs(inputs, recipe)
    result = drive_with_bar(restore_iter(opened.image, opened.mask, opened.psf, recipe=recipe, axes=opened.place.axes))
    return result, opened.layout.axes


@app.command
def demo(*, out: Path = Path("out"), window: Annotated[bool, Parameter(negative="")] = False, samples: int = 4) -> int:
    """Restore the sample that comes with the package.

    Parameters
    ----------
    out
        Folder for the result without a window.
    window
        Open napari with the sample and the widget instead.
    samples
        Posterior samples.
    """
    if window:
        import subprocess

        return subprocess.run([sys.executable, "-m", "napari_diffprior.gui"], check=False).returncode
    from ..demo import restore_sample

    for line in restore_sample(out, samples, drive_with_bar):
        sys.stdout.write(line + "\n")
    return 0
