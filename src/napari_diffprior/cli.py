"""The command line ``diffprior``: the same core as the widget and the scripts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter

app = App(name="diffprior", help="Restore scientific images with diffusion priors, and say how sure it is.", version_flags=[])
MISTAKE = 2


def main() -> None:
    """Entry point: a mistake of the caller's is one sentence on stderr and exit code 2."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    from .restoration import Cancelled

    try:
        code = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except (CycloptsError, ValueError, OSError, Cancelled) as error:
        sys.stderr.write(f"diffprior: {' '.join(str(error).split())}\n")
        return MISTAKE
    except KeyboardInterrupt:
        sys.stderr.write("diffprior: stopped; nothing was written.\n")
        return 130
    return code if isinstance(code, int) else 0


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
        Standard deviation of the noise in the image's units, or auto.
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
    from .restoration import make_recipe

    options = dict(_assignment(text) for text in set_)
    level: float | str = noise if noise == "auto" else _number(noise, "--noise")
    recipe = make_recipe(
        sampler, steps, options=options, noise=level, psf_sigma=psf_sigma, prior=prior, samples=samples, seed=seed, device=device
    )
    report = _restore_files({"image": image, "mask": mask, "psf": psf}, output, std, recipe)
    _say(report, json_)


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

    from .io import file_hash, read_image, write_tiff
    from .params import from_dict
    from .recipe import Recipe

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
    _say({"output": str(output), "same": same, "largest_difference": largest}, json_)
    if not same:
        raise ValueError(f"the pixels differ by up to {largest:g}: other versions or another device made {output}.")


@app.command(name="list")
def list_() -> None:
    """List priors, samplers and operators."""
    from rich.console import Console
    from rich.table import Table

    from .priors.store import list_priors
    from .registry import registered

    console = Console()
    priors = Table("prior", "channels", "patch", "MB", "licence", "folder")
    for info in list_priors():
        patch = " x ".join(map(str, info.patch))
        priors.add_row(info.name, str(info.channels), patch, f"{info.megabytes:.1f}", info.licence, str(info.folder))
    methods = Table("sampler", "what it is")
    for name, cls in registered("sampler").items():
        methods.add_row(name, (cls.__doc__ or "").splitlines()[0])
    console.print(priors, methods, f"operators: {', '.join(registered('operator'))}")


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
    from .demo import restore_sample

    for line in restore_sample(out, samples, _bar):
        sys.stdout.write(line + "\n")
    return 0


@app.command
def train(
    data: Annotated[tuple[Path, ...], Parameter(negative="", consume_multiple=True)],
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    size: str = "s",
    minutes: float = 60.0,
    licence: str = "unknown",
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
) -> None:
    """Train a prior on folders of images; run the same command again to continue.

    Parameters
    ----------
    data
        Folders or files: TIFF, PNG, WebP, JPEG, NPY.
    output
        Folder of the prior; the run's state lies beside it in <output>.run.
    size
        s: about 3 million parameters, for a CPU; m: 12 million, for a GPU.
    minutes
        Time to train; the learning rate ends with it.
    licence
        Licence of the data, for the prior's card.
    set_
        Any other training setting as name=value.
    """
    from .params import from_dict
    from .train.command import train_prior
    from .train.loop import TrainSettings

    options = dict(_assignment(text) for text in set_)
    settings = from_dict(TrainSettings, {"size": size, "minutes": minutes, **options})
    train_prior(data, output, settings, licence, lambda event: _write_line(json.dumps(event)))


def _write_line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _assignment(text: str) -> tuple[str, Any]:
    """``name=value`` with the value read as JSON where it is JSON."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"--set takes name=value, not {text!r}.")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def _number(text: str, option: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ValueError(f"{option} takes a number or auto, not {text!r}.") from error


def _restore_files(inputs: dict[str, Path | None], output: Path, std: Path | None, recipe: Any) -> dict[str, Any]:
    """Restore the input files into the output files; nothing is left half-written."""
    from .io import TIFF_SUFFIXES, check_writable, file_hash, read_image, write_tiff

    for target in (output, std):
        if target is not None:
            check_writable(target, TIFF_SUFFIXES)
    result = _run_with_bar(inputs, recipe)
    image = inputs["image"]
    assert image is not None
    sources = {
        name: None if path is None else {"path": str(path.resolve()), "sha256": file_hash(path)} for name, path in inputs.items()
    }
    metadata = {"napari-diffprior": {**result.provenance, "inputs": sources}}
    calibration = read_image(image)[1]
    write_tiff(output, result.mean, calibration, metadata)
    if std is not None:
        write_tiff(std, result.std, calibration, metadata)
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
    from .io import read_image
    from .restoration import restore_iter

    arrays = {name: None if path is None else read_image(path)[0] for name, path in inputs.items()}
    return _bar(restore_iter(arrays["image"], arrays["mask"], arrays["psf"], recipe=recipe))


def _bar(run: Any) -> Any:
    """Drive a restoration with a progress bar on stderr; returns its result."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("restoring"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("misfit {task.fields[misfit]:.2f}"),
    )
    update = next(run)  # mistakes in the input end the run here, before there is a bar
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("restoring", total=update.total, misfit=update.misfit)
        while True:
            bar.update(task, completed=update.step, misfit=update.misfit)
            try:
                update = next(run)
            except StopIteration as end:
                return end.value


def _say(report: dict[str, Any], as_json: bool) -> None:
    if as_json:
        _write_line(json.dumps(report))
    else:
        _write_line("\n".join(f"{name}: {value}" for name, value in report.items()))
