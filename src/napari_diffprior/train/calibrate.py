"""After training: what the denoiser gets wrong, measured on held-out images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..priors.contract import Denoiser, denoise
from ..priors.covariance import SpectrumTable, radial_power
from ..priors.store import write_spectrum
from ..rng import stream_seed
from .coverage import SIGMAS, coverage_table
from .data import TrainingImage, batch

if TYPE_CHECKING:
    from torch import Tensor


def calibrate(prior: Denoiser, held: Sequence[TrainingImage], patches: int, seed: int = 0, device: str = "cpu") -> dict[str, Any]:
    """Everything that ``prior.json`` says about how wrong and how sure a prior is, as JSON types.

    Parameters
    ----------
    prior : Denoiser
    held : sequence of TrainingImage
        Images that it was not trained on.
    patches : int
        Patches for each noise level and task of the coverage factor; 0 leaves it out.
    seed : int
    device : str
        Torch device of the prior.
    """
    assert prior.patch is not None
    clean = batch(held, prior.patch[0], 64, [seed], augment=False)
    spectrum = error_spectrum(prior, clean, seed=seed, device=device)
    found: dict[str, Any] = {
        "data": {"mean": round(float(clean.mean()), 4), "std": round(float(clean.std()), 4)},
        "error_spectrum": write_spectrum(spectrum),
        "error_rms": [float(f"{spectrum.error_rms(float(sigma)):.4g}") for sigma in spectrum.sigmas[:-1]],
    }
    if patches:
        truths = batch(held, prior.patch[0], 2 * len(SIGMAS) * patches, [seed, 1], augment=False)
        found["coverage"] = coverage_table(prior, truths.to(device), seed=seed).to_json()
    return found


def error_spectrum(prior: Denoiser, clean: Tensor, levels: int = 24, seed: int = 0, device: str = "cpu") -> SpectrumTable:
    """Radial power spectrum of D(x0 + sigma n, sigma) - x0 at several noise levels, and of the data.

    Parameters
    ----------
    prior : Denoiser
    clean : Tensor, shape (N, 1, P, P)
        Patches that it was not trained on, model units.
    levels : int
        Noise levels, log-spaced over the prior's range.
    seed : int
        Seed of the noise.
    device : str
        Torch device of the prior.

    Returns
    -------
    SpectrumTable
        Its last row, at sigma = infinity, is the spectrum of the data around their mean.
    """
    import torch

    sigmas = np.geomspace(prior.sigma_min, prior.sigma_max, levels)
    frequencies, data = radial_power((clean - clean.mean())[:, 0].numpy())
    rows = []
    for level, sigma in enumerate(sigmas):
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(stream_seed(seed, level)))
        noisy = clean + float(sigma) * noise
        parts = [noisy[first : first + 8].to(device) for first in range(0, len(clean), 8)]
        denoised = torch.cat([denoise(prior, part, float(sigma)).cpu() for part in parts])
        rows.append(radial_power((denoised - clean)[:, 0].numpy())[1])
    return SpectrumTable(np.append(sigmas, math.inf), frequencies, np.stack([*rows, data]))
