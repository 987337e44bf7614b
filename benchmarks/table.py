"""All samplers beside the classical baselines on one damaged picture: PSNR, SSIM, LPIPS, seconds, network calls.

Two tasks are made of a clean picture: 70 % of the pixels missing with 1 % noise, and a Gaussian blur of sigma 2 with
1 % noise. The picture is the package's BPAE sample, or a crop of a file: ``--picture FILE --channel 1 --crop 200 200 256``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.restoration import inpaint_biharmonic, richardson_lucy, wiener

from napari_diffprior import restore
from napari_diffprior.io import read_image
from napari_diffprior.metrics import lpips, psnr, ssim
from napari_diffprior.psf import gaussian_psf
from napari_diffprior.samples import bpae

Array = np.ndarray[Any, Any]
SAMPLERS: dict[str, dict[str, Any]] = {
    "decoupled": {"steps": 20, "samples": 8},
    "dps": {"steps": 100, "samples": 2},
    "score_ald": {"steps": 100, "samples": 2},
    "sdedit": {"steps": 20, "samples": 2},
}
SIGMA, NOISE, MISSING = 2.0, 0.01, 0.7


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    task: str
    method: str
    psnr: float
    ssim: float
    lpips: float
    seconds: float
    calls: int


@dataclass(frozen=True)
class Task:
    """A damaged picture: measurement, settings for ``restore``, and what it should have been."""

    name: str
    image: Array
    settings: dict[str, Any]
    reference: Array


def tasks(picture: Array) -> Iterator[Task]:
    """Gap filling and deblurring of a clean picture; blurred pixels whose surroundings are unknown are cut off."""
    rng = np.random.default_rng(0)
    noise = NOISE * np.ptp(picture)
    damaged = picture + noise * rng.standard_normal(picture.shape)
    mask = rng.random(picture.shape) < MISSING
    yield Task("gaps", np.where(mask, 0, damaged), {"mask": mask, "noise": noise}, picture)
    edge = 8
    blurred = gaussian_filter(picture, SIGMA) + noise * rng.standard_normal(picture.shape)
    inner = (slice(edge, -edge), slice(edge, -edge))
    yield Task("blur", blurred[inner], {"psf_sigma": SIGMA, "noise": noise}, picture[inner])


def biharmonic(task: Task) -> Iterator[tuple[str, Array]]:
    """Biharmonic inpainting."""
    yield "biharmonic", inpaint_biharmonic(task.image, task.settings["mask"])


def wiener_filters(task: Task) -> Iterator[tuple[str, Array]]:
    """Wiener filters over a range of balances; the border is padded by reflection."""
    low, span, pad = float(task.image.min()), float(np.ptp(task.image)), 16
    padded = np.pad((task.image - low) / span, pad, mode="reflect")
    for balance in np.geomspace(1e-4, 1, 17):
        out = wiener(padded, gaussian_psf(SIGMA), balance, clip=False)
        yield f"wiener {balance:.2g}", out[pad:-pad, pad:-pad] * span + low


def lucy(task: Task) -> Iterator[tuple[str, Array]]:
    """Richardson-Lucy at 5 to 50 iterations; the border is padded by reflection."""
    low, span, pad = float(task.image.min()), float(np.ptp(task.image)), 16
    padded = np.pad((task.image - low) / span, pad, mode="reflect") + 1e-3
    for iterations in range(5, 55, 5):
        out = richardson_lucy(padded, gaussian_psf(SIGMA), iterations, clip=False)
        yield f"richardson-lucy {iterations}", (out[pad:-pad, pad:-pad] - 1e-3) * span + low


def score(task: Task, method: str, restored: Array, seconds: float, calls: int) -> Row:
    """Row of one result."""
    reference = task.reference
    return Row(
        task.name, method, psnr(restored, reference), ssim(restored, reference), lpips(restored, reference), seconds, calls
    )


def best(task: Task, candidates: Callable[[Task], Iterator[tuple[str, Array]]]) -> Row:
    """Best setting of a baseline, chosen with the truth in hand."""
    started = time.perf_counter()
    tried = list(candidates(task))
    name, restored = max(tried, key=lambda pair: psnr(pair[1], task.reference))
    return score(task, f"{name} (best of {len(tried)})", restored, (time.perf_counter() - started) / len(tried), 0)


def rows(task: Task, samplers: Sequence[str]) -> Iterator[Row]:
    """Baselines first, then the samplers."""
    for baseline in (biharmonic,) if task.name == "gaps" else (wiener_filters, lucy):
        yield best(task, baseline)
    for name in samplers:
        chosen = SAMPLERS[name]
        result = restore(task.image, sampler=name, **task.settings, **chosen)
        yield score(task, f"{name} (mean of {chosen['samples']})", result.mean, result.seconds, result.calls)


def clean_picture(path: Path | None, channel: int, crop: Sequence[int]) -> Array:
    """Sample of the package, or a square crop of a file's channel."""
    if path is None:
        return np.asarray(bpae()[2], float)
    picture = np.asarray(read_image(path)[0], float)
    top, left, side = crop
    return (picture[channel] if picture.ndim == 3 else picture)[top : top + side, left : left + side]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--channel", type=int, default=2)
    parser.add_argument("--crop", type=int, nargs=3, default=(200, 200, 256), metavar=("TOP", "LEFT", "SIDE"))
    parser.add_argument("--samplers", nargs="+", default=list(SAMPLERS))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    picture = clean_picture(options.picture, options.channel, options.crop)
    found = []
    for task in tasks(picture):
        for row in rows(task, options.samplers):
            found.append(row)
            sys.stdout.write(
                f"{row.task:6s} {row.method:34s} {row.psnr:6.2f} dB  SSIM {row.ssim:.3f}  LPIPS {row.lpips:.3f} "
                f"{row.seconds:7.1f} s  {row.calls:4d} calls\n"
            )
            sys.stdout.flush()
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in found], indent=1))


if __name__ == "__main__":
    main()
