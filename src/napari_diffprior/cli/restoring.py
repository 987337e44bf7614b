"""``diffprior restore``, ``replay`` and ``demo``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from .app import app
from .terminal import assignment, drive_with_bar, number_or_name, say


@app.command
def restore(
    image: Path,
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    mask: Path | None = None,
    psf: Path | None = None,
    psf_sigma: float | None = None,
    noise: str = "auto",
    gain: float | None = None,
    offset: float | None = None,
    read_noise: float | None = None,
    prior: str = "microscopy",
    sampler: str = "decoupled",
    steps: int | None = None,
    samples: int = 4,
    seed: int = 0,
    device: str = "auto",
    std: Path | None = None,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Restore an image: fill gaps, deblur or denoise.

    Parameters
    ----------
    image
        Measured image, a 2-D grey TIFF, PNG, WebP, JPEG or NPY file.
    output
        TIFF for the mean of the samples; it carries the recipe.
    mask
        Image of the same shape, non-zero where pixels are missing.
    psf
        Point spread function, a 2-D image.
    psf_sigma
        Instead of --psf: standard deviation of a Gaussian PSF in pixels.
    noise
        Standard deviation of the noise in the image's units, auto, poisson, or poisson-gaussian.
    gain
        Of a camera: grey levels of one photo-electron; estimated by default.
    offset
        Of a camera: grey level without light; estimated by default.
    read_noise
        Of a camera: standard deviation in the dark, in grey levels; estimated by default.
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
    std
        TIFF for the standard deviation between the samples.
    set_
        Parameter of the sampler as name=value; may be given several times.
    json_
        End with one line of JSON.
    """
    from ..restoration import make_recipe

    options = dict(assignment(text) for text in set_)
    camera = {"gain": gain, "offset": offset, "read_noise": read_noise}
    settings = {"psf_sigma": psf_sigma, "prior": prior, "samples": samples, "seed": seed, "device": device}
    recipe = make_recipe(sampler, steps, options=options, noise=number_or_name(noise), **camera, **settings)
    report = _restore_files({"image": image, "mask": mask, "psf": psf}, output, std, recipe)
    say(report, json_)


@app.command
def replay(
    output: Path, /, *, to: Path | None = None, json_: Annotated[bool, Parameter(name="--json", negative="")] = False
) -> None:
    """Repeat the run that made an output, and say whether the pixels are the same.

    Parameters
    ----------
    output
        TIFF that diffprior restore or the plugin wrote.
    to
        Also write the repeated result here.
    json_
        End with one line of JSON.
    """
    import numpy as np

    from ..io import file_hash, read_image, write_tiff
    from ..params import from_dict
    from ..recipe import Recipe

    before, calibration, metadata = read_image(output)
    story = metadata.get("napari-diffprior") or {}
    if "recipe" not in story or "inputs" not in story:
        raise ValueError(f"{output} carries no recipe with input files: only outputs of diffprior restore can be replayed.")
    paths = {name: Path(entry["path"]) if entry else None for name, entry in story["inputs"].items()}
    for name, path in paths.items():
        if path is not None and file_hash(path) != story["inputs"][name]["sha256"]:
            raise ValueError(f"the {name} {path} is not the file that {output} was made from.")
    settings = {**story["recipe"], "device": story["device"], "precision": story["precision"]}
    result = _run_with_bar(paths, from_dict(Recipe, settings))
    same = bool(np.array_equal(result.mean, before))
    largest = float(np.abs(result.mean - before).max())
    if to is not None:
        write_tiff(to, result.mean, calibration, {"napari-diffprior": {**result.provenance, "inputs": story["inputs"]}})
    say({"output": str(output), "same": same, "largest_difference": largest}, json_)
    if not same:
        raise ValueError(f"the pixels differ by up to {largest:g}: other versions or another device made {output}.")


def _restore_files(inputs: dict[str, Path | None], output: Path, std: Path | None, recipe: Any) -> dict[str, Any]:
    """Restore the input files into the output files; nothing is left half-written."""
    from ..folder import restore_files

    result = drive_with_bar(restore_files(inputs, output, std, recipe))
    story = result.provenance
    return {
        "output": str(output),
        "seconds": story["seconds"],
        "calls": result.calls,
        "misfit": story["misfit"],
        "sampler": recipe.sampler,
        "prior": story["prior"],
        "device": story["device"],
        "seed": recipe.seed,
    }


def _run_with_bar(inputs: dict[str, Path | None], recipe: Any) -> Any:
    from ..io import read_image
    from ..restoration import restore_iter

    arrays = {name: None if path is None else read_image(path)[0] for name, path in inputs.items()}
    return drive_with_bar(restore_iter(arrays["image"], arrays["mask"], arrays["psf"], recipe=recipe))


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
