"""``diffprior folder``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from .app import app
from .terminal import assignment, number_or_name, say, write_line


@app.command
def folder(
    source: Path,
    target: Path,
    /,
    *,
    pattern: str = "*",
    masks: Path | None = None,
    psf: Path | None = None,
    settings: Path | None = None,
    noise: str | None = None,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    std: bool = True,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Restore every image of a folder; run it again to go on where it was.

    Parameters
    ----------
    source
        Folder of the images: TIFF, PNG, WebP, JPEG, NPY.
    target
        Folder for the results and report.csv.
    pattern
        Which files, for example ``*.tif``; ``**/*.tif`` takes subfolders too.
    masks
        A mask file for all images, or a folder with one of the same name for each.
    psf
        Point spread function for all images.
    settings
        Settings file that the widget saved, YAML or JSON, or a result that carries its recipe.
    noise
        Standard deviation of the noise in the images' units, auto, poisson, or poisson-gaussian.
    set_
        Any other setting of the recipe or of its sampler as name=value; may be given several times.
    std
        Also write <name>_std.tif, the standard deviation between the samples.
    json_
        End with one line of JSON.
    """
    from ..folder import REPORT, FolderSettings, restore_folder

    options = dict(assignment(text) for text in set_)
    if noise is not None:
        options["noise"] = number_or_name(noise)
    where = FolderSettings(source=source, target=target, pattern=pattern, masks=masks, psf=psf, std=std)
    report = _drive(restore_folder(where, _recipe(settings, options)))
    counts = Counter(outcome.status for outcome in report)
    say({**{status: counts[status] for status in ("restored", "kept", "failed")}, "report": str(target / REPORT)}, json_)
    return 1 if counts["failed"] else 0


def _recipe(settings: Path | None, options: dict[str, Any]) -> Any:
    """Recipe of a file, if there is one, with options on top of it."""
    from ..params import to_dict
    from ..recipe import Recipe
    from ..recipe_file import read_recipe
    from ..restoration import make_recipe

    base = to_dict(Recipe() if settings is None else read_recipe(settings))
    if options.get("sampler", base["sampler"]) != base["sampler"]:
        base["options"] = {}
    return make_recipe(**{**base, **options})


def _drive(run: Any) -> Any:
    """Drive a folder, one line for each file that is done."""
    from ..plane import run_to_end

    def tell(progress: Any) -> None:
        if (done := progress.outcome) is not None:
            told = done.message or f"misfit {done.misfit:.2f}, {done.seconds:.1f} s"
            write_line(f"{progress.number}/{progress.total} {done.file}: {done.status}, {told}")

    return run_to_end(run, tell)
