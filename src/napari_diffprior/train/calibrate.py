"""After training: what the denoiser gets wrong, measured on held-out images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..priors.contract import Denoiser, denoise
from ..priors.covariance import SpectrumTable, radial_power
from ..rng import stream_seed
from .data import TrainingImage, batch


def error_spectrum(
    prior: Denoiser,
    held: Sequence[TrainingImage],
    count: int = 64,
    levels: int = 24,
    seed: int = 0,
    device: str = "cpu",
) -> SpectrumTable:
    """Radial power spectrum of D(x0 + sigma n, sigma) - x0 at several noise levels, and of the data.

    Parameters
    ----------
    prior : Denoiser
    held : sequence of TrainingImage
        Images that it was not trained on.
    count : int
        Patches.
    levels : int
        Noise levels, log-spaced over the prior's range.
    seed : int
        Seed of patches and noise.
    device : str
        Torch device of the prior.

    Returns
    -------
    SpectrumTable
        Its last row, at sigma = infinity, is the spectrum of the data around their mean.
    """
    import torch

    assert prior.patch is not None
    clean = batch(held, prior.patch[0], count, [seed], augment=False)
    sigmas = np.geomspace(prior.sigma_min, prior.sigma_max, levels)
    frequencies, data = radial_power((clean - clean.mean())[:, 0].numpy())
    rows = []
    for level, sigma in enumerate(sigmas):
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(stream_seed(seed, level)))
        noisy = clean + float(sigma) * noise
        parts = [noisy[first : first + 8].to(device) for first in range(0, count, 8)]
        denoised = torch.cat([denoise(prior, part, float(sigma)).cpu() for part in parts])
        rows.append(radial_power((denoised - clean)[:, 0].numpy())[1])
    return SpectrumTable(np.append(sigmas, math.inf), frequencies, np.stack([*rows, data]))
