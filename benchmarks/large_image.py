"""Large planes: peak memory, time per pixel from size to size, and seams at the borders of tiles.

    python benchmarks/large_image.py                                  # 1024, 2048 and 4096, decoupled
    python benchmarks/large_image.py --sampler dps --sides 4096 --steps 4
    python benchmarks/large_image.py --without-network                # memory of all but the network, in a minute

Every size runs in a process of its own, so that its peak memory is its own. The picture is the BPAE sample, mirrored
to the size, as uint16 with noise of 1 % of the range and 5 % of the pixels missing.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np


def picture(side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Measurement, mask and truth."""
    from napari_diffprior.samples import bpae

    truth = np.pad(bpae()[2], ((37, max(0, side - 256)), (91, max(0, side - 256))), mode="reflect")[:side, :side]
    rng = np.random.default_rng(0)
    low, high = np.percentile(truth, [0.1, 99.9])
    counts = 400 + 4000 * (truth - low) / (high - low)
    image = np.clip(counts + 40 * rng.standard_normal(truth.shape, np.float32), 0, 65535).astype(np.uint16)
    return image, rng.random(truth.shape, np.float32) < 0.05, counts.astype(np.float32)


def seam(image: np.ndarray, borders: tuple[list[int], list[int]]) -> float:
    """Mean absolute jump across the lines of tile borders over that elsewhere."""
    ratios = []
    for axis, lines in enumerate(borders):
        jumps = np.abs(np.diff(image, axis=axis)).mean(1 - axis)
        at = np.zeros(len(jumps), bool)
        at[[line - 1 for line in lines]] = True
        ratios.append(jumps[at].mean() / jumps[~at].mean())
    return float(np.mean(ratios))


def borders_of(denoiser: object, side: int) -> tuple[list[int], list[int]]:
    """Rows and columns at which a tile begins or ends within the image."""
    import torch

    cover = denoiser.cover(torch.zeros(1, 1, side, side))
    ends = [sorted({p[axis] + k * cover.tile[axis] for p in cover.places for k in (0, 1)} - {0, side}) for axis in (0, 1)]
    return ends[0], ends[1]


class Shrink:
    """A stand-in for the network that costs next to nothing: what is left is the memory of everything else."""

    sigma_min, sigma_max, channels, ndim, patch = 0.002, 100.0, 1, 2, (128, 128)

    def __call__(self, x, sigma):
        return x / (1 + sigma.view(-1, 1, 1, 1) ** 2)

    def error(self, sigma, shape, like):
        from napari_diffprior.priors.spectrum import white_spectrum

        return white_spectrum(self.sigma_min, self.sigma_max).covariance(sigma, shape, like)


def one(side: int, options: argparse.Namespace) -> dict[str, object]:
    """Restore one size and measure."""
    from napari_diffprior import restore
    from napari_diffprior.priors.store import load_prior
    from napari_diffprior.tiling import TiledDenoiser

    image, mask, truth = picture(side)
    settings = {"sampler": options.sampler, "samples": options.samples, "noise": 40.0, "device": options.device}
    if options.steps:
        settings["steps"] = options.steps
    if options.without_network:
        settings["prior"] = TiledDenoiser.grown(Shrink())
    restore(image[:128, :128], **settings)  # loads the network, which is no matter of the image's size
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    result = restore(image, mask, **settings)
    seconds = time.perf_counter() - started
    borders = borders_of(TiledDenoiser.grown(Shrink() if options.without_network else load_prior()), side)
    found = {"side": side, "sampler": options.sampler, "steps": options.steps, "samples": options.samples}
    found |= {"peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 3), "base_gb": round(base / 1e6, 3)}
    found |= {"seconds": round(seconds, 1), "microseconds_per_pixel": round(1e6 * seconds / side**2, 3)}
    if all(borders):
        found |= {"seam": round(seam(result.mean, borders), 4), "seam_of_truth": round(seam(truth, borders), 4)}
    return found | {"rmse": round(float(np.sqrt(np.mean((result.mean - truth) ** 2))), 2), "misfit": result.misfit}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[1024, 2048, 4096])
    parser.add_argument("--sampler", default="decoupled")
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--samples", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--without-network", action="store_true")
    parser.add_argument("--here", action="store_true", help="in this process; one size")
    options = parser.parse_args()
    if options.here:
        print(json.dumps(one(options.sides[0], options)))
        return
    given = sys.argv[1:]
    if "--sides" in given:
        first = given.index("--sides")
        given[first : first + 1 + len(options.sides)] = []
    for side in options.sides:
        subprocess.run([sys.executable, __file__, "--here", "--sides", str(side), *given], check=True)


if __name__ == "__main__":
    main()
