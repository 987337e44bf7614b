"""The main job in one call: restore the sample that comes with the package, and make a picture of it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .io import Calibration, check_writable, write_tiff
from .metrics import psnr
from .recipe import Recipe
from .restoration import Restoration, Update, restore_iter
from .samples import bpae

Array = np.ndarray[Any, Any]
Drive = Callable[[Generator[Update, None, Restoration]], Restoration]


def restore_sample(out: Path, samples: int, drive: Drive) -> list[str]:
    """Restore the BPAE sample and write ``restored.tif``, ``std.tif`` and ``picture.png``.

    Parameters
    ----------
    out : Path
        Folder, made if it is missing.
    samples : int
        Posterior samples.
    drive : callable
        Runs the generator to its end and returns its result; shows the progress.

    Returns
    -------
    list of str
        Lines that say PSNR before and after, seconds and paths.
    """
    out.mkdir(parents=True, exist_ok=True)
    paths = {name: out / name for name in ("restored.tif", "std.tif", "picture.png")}
    for path in paths.values():
        check_writable(path)
    image, mask, reference = bpae()
    result = drive(restore_iter(image, mask, recipe=Recipe(samples=samples)))
    place = Calibration.pixels(result.mean.ndim)
    metadata = {"napari-diffprior": result.provenance}
    write_tiff(paths["restored.tif"], result.mean, place, metadata)
    write_tiff(paths["std.tif"], result.std, place, metadata)
    panels = [
        ("measurement", image),
        ("mask", mask),
        ("restored: mean", result.mean),
        ("std", result.std),
        ("reference", reference),
    ]
    save_picture(paths["picture.png"], panels, (float(reference.min()), float(np.percentile(reference, 99.8))))
    return [
        f"PSNR before {psnr(image, reference):.2f} dB, after {psnr(result.mean, reference):.2f} dB",
        f"misfit {np.mean(result.misfit):.2f} (1 = as far from the data as the noise)",
        f"{result.seconds:.1f} s for {samples} samples of {result.calls} network calls on {result.provenance['device']}",
        *(str(path) for path in paths.values()),
    ]


def save_picture(path: Path, panels: Sequence[tuple[str, Array]], limits: tuple[float, float]) -> None:
    """Write grey panels side by side, each with its title; mask and std are stretched on their own."""
    from PIL import Image, ImageDraw

    tiles = []
    for title, pixels in panels:
        low, high = (0.0, float(pixels.max()) or 1.0) if title in ("mask", "std") else limits
        grey = np.clip((pixels - low) / (high - low), 0, 1)
        tile = Image.new("L", (pixels.shape[1] + 8, pixels.shape[0] + 26), 0)
        tile.paste(Image.fromarray(np.rint(grey * np.iinfo(np.uint8).max).astype(np.uint8)), (4, 22))
        ImageDraw.Draw(tile).text((6, 6), title, fill="white")
        tiles.append(tile)
    strip = Image.new("L", (sum(tile.width for tile in tiles), tiles[0].height))
    left = 0
    for tile in tiles:
        strip.paste(tile, (left, 0))
        left += tile.width
    strip.save(path)
