"""Deconvolution with measured PSFs, beside Richardson-Lucy at its best iteration.

Simulated: crops of the BPAE picture in 2-D, and in 3-D its three channels on curved sheets, blurred by measured PSFs
and taken by a camera (Poisson and read noise) at 20, 100 and 1000 photo-electrons in the brightest pixel. The
iteration of Richardson-Lucy is chosen with the truth in hand, with either of two treatments of the border; "plain" is
scikit-image's function without one.
Real: the confocal stack of parallel lines; the contrast of the profile across the lines, before and after.

    python benchmarks/deconvolution.py --data FOLDER --kind 2d 3d grid [--peaks 20 100 1000] [--pictures OUT]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_diffprior import restore
from napari_diffprior.io import read_image
from napari_diffprior.metrics import psnr
from napari_diffprior.operators.blur import Blur
from napari_diffprior.psf import PSF, prepare

Array = np.ndarray[Any, Any]
GAIN, OFFSET, READ = 2.0, 100.0, 1.5  # grey levels of an electron, grey level of the dark, electrons
PSFS = {"widefield": "redlionfish_measured_psf.tif", "confocal": "confocal_beads_psf.tif"}
ASPECT = {"widefield": 1.0, "confocal": 0.125 / 0.022}  # step between planes over pixel step, as the files say
MARKS = [1, 2, 3, 5, 7, 10, 14, 20, 28, 40, 57, 80, 113, 160, 226, 320, 453, 640]


@dataclass(frozen=True)
class Case:
    """A simulated measurement in grey levels, its PSF and the truth in photo-electrons."""

    name: str
    image: Array
    psf: PSF
    truth: Array
    aspect: float = 1.0

    @property
    def electrons(self) -> Array:
        """Measured photo-electrons."""
        return (self.image - OFFSET) / GAIN


def psf_for(data: Path, name: str, shape: tuple[int, ...]) -> PSF:
    """Measured PSF, prepared for an image; in 2-D its plane in focus."""
    whole = prepare(read_image(data / "psf" / PSFS[name])[0])
    if len(shape) == 2:
        return prepare(whole.values[whole.values.shape[0] // 2], image_shape=shape, background=0.0)
    return prepare(whole, image_shape=shape)


def channels(data: Path) -> Array:
    """BPAE channels from 0 to about 1."""
    stack = read_image(data / "bpae" / "bpae_cells_nuclei_mito_actin.tif")[0].astype(float)
    low, high = (np.percentile(stack, level, axis=(1, 2), keepdims=True) for level in (0.1, 99.9))
    return np.clip((stack - low) / (high - low), 0, None)


def scene_2d(data: Path, shape: tuple[int, ...]) -> Array:
    """A crop of the actin."""
    return channels(data)[2, 150 : 150 + shape[0], 200 : 200 + shape[1]]


def scene_3d(data: Path, shape: tuple[int, ...]) -> Array:
    """The channels on three curved sheets, a few planes thick."""
    depth, height, width = shape
    z, y, x = np.ogrid[:depth, :height, :width]
    flat = channels(data)[:, 180 : 180 + height, 220 : 220 + width]
    scene = np.zeros(shape)
    for number, sheet in enumerate(flat):
        centre = depth / 2 + 4 * (number - 1) + 3 * np.sin(y / 17 + number) * np.cos(x / 23 - number)
        scene += sheet * np.exp(-0.5 * ((z - centre) / 1.2) ** 2)
    return scene


def simulate(name: str, scene: Array, psf: PSF, peak: float, aspect: float, seed: int = 0) -> Case:
    """Blur a scene as large as the operator's canvas, and photograph it."""
    rng = np.random.default_rng(seed)
    shape = tuple(n - 2 * (side // 2) for n, side in zip(scene.shape, psf.values.shape, strict=True))
    blur = Blur(torch.from_numpy(psf.values), shape)
    pad = [(0, larger - n) for larger, n in zip(blur.domain, scene.shape, strict=True)]
    canvas = torch.from_numpy(np.pad(scene, pad, mode="reflect"))[None, None]
    blurred = blur.apply(canvas)[0, 0].numpy().clip(0)
    scale = peak / blurred.max()
    counts = rng.poisson(scale * blurred) + READ * rng.standard_normal(shape)
    return Case(name, OFFSET + GAIN * counts, psf, scale * blur.extract(canvas)[0, 0].numpy(), aspect)


def cases(data: Path, kinds: list[str], peaks: list[float]) -> Iterator[Case]:
    """Measured PSFs in 2-D and 3-D at each level of light."""
    for kind, shape, scene in (("2d", (128, 128), scene_2d), ("3d", (16, 64, 64), scene_3d)):
        for name in PSFS if kind in kinds else ():
            psf = psf_for(data, name, shape)
            around = tuple(n + 2 * (side // 2) for n, side in zip(shape, psf.values.shape, strict=True))
            for peak in peaks:
                aspect = ASPECT[name] if kind == "3d" else 1.0
                yield simulate(f"{kind} {name} {peak:g}", scene(data, around), psf, peak, aspect)


def richardson_lucy(electrons: Array, psf: PSF, dark: float, iterations: int, border: str) -> Iterator[tuple[int, Array]]:
    """Estimates at the marked iterations; the border unknown (Bertero & Boccacci 2005) or reflected.

    ``dark`` is the variance of the read noise, which is added to the counts (Snyder et al. 1995).
    """
    reach = [side // 2 for side in psf.values.shape]
    if border == "reflected":
        electrons = np.pad(electrons, [(n, n) for n in reach], mode="symmetric")
    blur = Blur(torch.from_numpy(psf.values), electrons.shape)
    counts = torch.from_numpy(electrons).clamp_min(-dark + 1e-6)[None, None] + dark
    share = blur.adjoint(torch.ones_like(counts)).clamp_min(1e-3)
    x = torch.full((1, 1, *blur.domain), float(counts.mean() - dark) + 1e-3, dtype=torch.float64)
    inner = tuple(slice(n, -n or None) for n in reach) if border == "reflected" else ()
    for number in range(1, iterations + 1):
        x = (x * blur.adjoint(counts / (blur.apply(x).clamp_min(0) + dark + 1e-9)) / share).clamp_min(0)
        if number in MARKS or number == iterations:
            yield number, blur.extract(x)[0, 0].numpy()[inner]


def best_lucy(case: Case) -> tuple[str, Array]:
    """The iteration and border of the highest PSNR."""
    found = []
    for border in ("unknown", "reflected"):
        for number, estimate in richardson_lucy(case.electrons, case.psf, READ**2, MARKS[-1], border):
            found.append((psnr(estimate, case.truth), f"{border} border, {number} iterations", estimate))
    _, name, estimate = max(found, key=lambda entry: entry[0])
    return name, estimate


def plain_lucy(case: Case) -> Array:
    """scikit-image's function as it is called, dark outside: the iteration of the highest PSNR."""
    from skimage.restoration import richardson_lucy as lucy

    counts = case.electrons.clip(0)
    tried = (lucy(counts, case.psf.values, num_iter=number, clip=False) for number in MARKS)
    return max(tried, key=lambda estimate: psnr(estimate, case.truth))


def compare(case: Case, options: argparse.Namespace) -> None:
    """Print one line, and keep the pictures if asked."""
    (name, lucy), plain = best_lucy(case), plain_lucy(case)
    started = time.perf_counter()
    result = restore(
        case.image.astype(np.float32),
        psf=case.psf,
        noise="poisson-gaussian",
        gain=GAIN,
        offset=OFFSET,
        read_noise=READ * GAIN,
        anisotropy=case.aspect,
        samples=options.samples,
        steps=options.steps,
        prior=options.prior,
        **solver(options),
    )
    mean = (result.mean - OFFSET) / GAIN
    ours, theirs, bare = (psnr(estimate, case.truth) for estimate in (mean, lucy, plain))
    say(
        f"{case.name:20s} blurred {psnr(case.electrons, case.truth):6.2f}  Richardson-Lucy {theirs:6.2f} ({name}), "
        f"plain {bare:6.2f}  decoupled {ours:6.2f}  gain {ours - theirs:+5.2f} dB  misfit {np.mean(result.misfit):.2f}  "
        f"{time.perf_counter() - started:.0f} s"
    )
    show(options.pictures, case.name, [case.electrons, lucy, mean, case.truth])


def solver(options: argparse.Namespace) -> dict[str, float]:
    """Settings of the data step's solver, if it is not to be the sampler's own."""
    return {} if options.iterations is None else {"iterations": options.iterations, "tolerance": 1e-3}


def line_contrast(stack: Array) -> float:
    """Michelson contrast of the profile across the lines, averaged along them in the plane in focus: 95 % against 5 %."""
    profile = stack[stack.shape[0] // 2].mean(0)
    dark, bright = np.percentile(profile, [5, 95])
    return float((bright - dark) / (bright + dark))


def grid(options: argparse.Namespace) -> None:
    """The real stack of lines, with the beads of the same microscope."""
    stack = read_image(options.data / "psf" / "confocal_grid_measured.tif")[0].astype(np.float32)[:, 40:104, :]
    psf = prepare(read_image(options.data / "psf" / PSFS["confocal"])[0], image_shape=stack.shape)
    *_, (_, lucy) = richardson_lucy(stack.astype(float), psf, 0.0, 30, "reflected")
    started = time.perf_counter()
    settings = {"samples": options.samples, "steps": options.steps, "prior": options.prior, **solver(options)}
    result = restore(stack, psf=psf, noise=options.grid_noise, anisotropy=ASPECT["confocal"], **settings)
    say(
        f"grid contrast: measured {line_contrast(stack):.3f}  Richardson-Lucy (30) {line_contrast(lucy):.3f}  "
        f"decoupled {line_contrast(result.mean):.3f}  misfit {np.mean(result.misfit):.2f}  {time.perf_counter() - started:.0f} s"
    )
    for name, values in (("measured", stack), ("lucy", lucy), ("decoupled", result.mean)):
        say(f"  {name:9s} profile {np.round(values[values.shape[0] // 2].mean(0)[34:124:3], 1).tolist()}")
    show(options.pictures, "grid", [stack, lucy, result.mean])


def show(folder: Path | None, name: str, images: list[Array]) -> None:
    """Write the images side by side on one scale: the middle plane, and under it a section along z."""
    if folder is None:
        return
    from skimage.io import imsave

    folder.mkdir(parents=True, exist_ok=True)
    high = np.percentile(images[-1], 99.9)
    rows = [np.hstack([image[image.shape[0] // 2] if image.ndim == 3 else image for image in images])]
    if images[0].ndim == 3:
        rows.append(np.hstack([np.repeat(image[:, image.shape[1] // 2], 3, axis=0) for image in images]))
    pixels = (np.clip(np.vstack(rows) / high, 0, 1) * 255).astype(np.uint8)
    imsave(folder / f"{name.replace(' ', '_')}.png", np.kron(pixels, np.ones((3, 3), np.uint8)), check_contrast=False)


def say(line: str) -> None:
    """Print at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--kind", nargs="+", default=["2d", "3d", "grid"], choices=["2d", "3d", "grid"])
    parser.add_argument("--peaks", nargs="+", type=float, default=[20, 100, 1000])
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--iterations", type=int, help="of a data step, to a tolerance of 0.001; by default the sampler's own")
    parser.add_argument("--prior", default="microscopy")
    parser.add_argument("--grid-noise", default="auto")
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    for case in cases(options.data, options.kind, options.peaks):
        compare(case, options)
    if "grid" in options.kind:
        grid(options)


if __name__ == "__main__":
    main()
