"""Images that a prior makes up without any data: what it has learned, to be looked at."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..intensity import Intensity
from ..io import replacing
from ..priors.contract import denoise
from ..samplers.schedules import karras

if TYPE_CHECKING:
    from torch import Tensor

    from ..priors.contract import Denoiser
    from ..priors.levels import Levels

Array = np.ndarray[Any, Any]


def draw_samples(
    prior: Denoiser, count: int, side: int, steps: int = 32, seed: int = 0, device: str = "cpu", batch: int = 16
) -> Array:
    """Unconditional samples by Heun's deterministic path from the highest noise level (Karras et al. 2022, algorithm 1).

    Euler's (DDIM) with as many steps lacks a tenth of the contrast, whatever the prior. The mean of an image follows
    ``prior.levels``, where it has them: the start has it under the noise, and it is denoised exactly. See docs/decisions/0015.

    Parameters
    ----------
    prior : Denoiser
    count : int
    side : int
        Pixels.
    steps : int
        Two network calls each, but for the last.
    seed : int
        Each sample has its own stream.
    device : str
    batch : int
        Samples in one call.

    Returns
    -------
    ndarray, shape (count, C, side, side)
        float32, model range [-1, 1], not clipped.
    """
    import torch

    from ..rng import KeyedNoise

    sigmas = karras(prior.sigma_max, prior.sigma_min, steps)
    levels: Levels | None = getattr(prior, "levels", None)
    parts = []
    for first in range(0, count, batch):
        numbers = range(first, min(first + batch, count))
        x = sigmas[0] * KeyedNoise(seed, numbers).normal((prior.channels, side, side), torch.zeros(1, device=device))
        if levels is not None:
            drawn = x.new_tensor(levels.draw(numbers, seed, sigmas[0] / side))[:, None, None, None]
            x = x - x.mean((1, 2, 3), keepdim=True) + drawn
        for sigma, lower in pairwise(sigmas):
            slope = (x - _denoised(prior, levels, x, sigma)) / sigma
            ahead = x + (lower - sigma) * slope
            if lower > 0:
                slope = (slope + (ahead - _denoised(prior, levels, ahead, lower)) / lower) / 2
            x = x + (lower - sigma) * slope
        parts.append(x.cpu())
    return np.asarray(torch.cat(parts).float().numpy())


def _denoised(prior: Denoiser, levels: Levels | None, x: Tensor, sigma: float) -> Tensor:
    """D(x, sigma); with levels, the mean of each image is the expected one given the mean of x."""
    found = denoise(prior, x, sigma)
    if levels is None:
        return found
    before, after = (images.mean((1, 2, 3), keepdim=True) for images in (x, found))
    return found + levels.posterior_mean(before, sigma / math.sqrt(x[0].numel())) - after


def write_grid(path: Path, samples: Array) -> None:
    """Write samples side by side as an 8-bit PNG, [-1, 1] as black to white; the file appears whole or not at all.

    Parameters
    ----------
    path : Path
    samples : ndarray, shape (N, C, H, W)
        One channel, or three for colour.
    """
    from PIL import Image

    columns = math.ceil(math.sqrt(len(samples)))
    height, width = samples.shape[-2:]
    pixels = np.clip(Intensity(0, 255).to_image(samples), 0, 255).round().astype(np.uint8)
    sheet = np.zeros((math.ceil(len(samples) / columns) * height, columns * width, samples.shape[1]), np.uint8)
    for number, sample in enumerate(pixels):
        top, left = number // columns * height, number % columns * width
        sheet[top : top + height, left : left + width] = np.moveaxis(sample, 0, -1)
    with replacing(path) as temporary:
        Image.fromarray(sheet if sheet.shape[-1] == 3 else sheet[..., 0]).save(temporary, format="PNG", optimize=True)
