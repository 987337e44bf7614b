"""After training: what the denoiser gets wrong, measured on held-out images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..intensity import Intensity
from ..noise.estimate import estimate_sigma
from ..priors.contract import Denoiser, denoise
from ..priors.spectrum import SpectrumTable, radial_power
from ..priors.store import write_spectrum
from ..rng import stream_seed
from .coverage import SIGMAS, coverage_table, tasks_of
from .data import TrainingImage, batch, statistics

if TYPE_CHECKING:
    from torch import Tensor

    from ..priors.network import NetworkPrior


EMPTY = 0.1  # share of its image's range below which a patch shows next to nothing, here and in the benchmarks


def calibrate(
    prior: NetworkPrior, held: Sequence[TrainingImage], patches: int, seed: int = 0, device: str = "cpu"
) -> dict[str, Any]:
    """Everything that ``prior.json`` says about how wrong and how sure a prior is, as JSON types.

    Parameters
    ----------
    prior : NetworkPrior
        It is given the spectrum that is measured: the coverage depends on it.
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
    prior.spectrum = spectrum
    found: dict[str, Any] = {
        "data": statistics(clean),
        "error_spectrum": write_spectrum(spectrum),
        "error_rms": [float(f"{spectrum.error_rms(float(sigma)):.4g}") for sigma in spectrum.sigmas[:-1]],
    }
    if patches:
        found["coverage"] = coverage(prior, held, patches, seed, device)
    return found


def coverage(prior: Denoiser, held: Sequence[TrainingImage], patches: int, seed: int = 0, device: str = "cpu") -> dict[str, Any]:
    """The coverage factors alone, as ``prior.json`` stores them; arguments as `calibrate`."""
    assert prior.patch is not None
    side = prior.patch[0]
    truths = shown(held, side, len(tasks_of(side)) * len(SIGMAS) * patches, [seed, 1])
    return coverage_table(prior, truths.to(device), seed=seed).to_json()


def shown(images: Sequence[TrainingImage], side: int, count: int, key: Sequence[int]) -> Tensor:
    """Patches as a restoration sees an image: stretched to [-1, 1], and none that shows next to nothing, or noise.

    One that is noisier by itself than the least noise put in is no truth. Where there are too few, they are taken as they come.
    """
    import torch

    found: list[Tensor] = []
    for draw in range(8):
        for patch in batch(images, side, count, [*key, draw], augment=False):
            low, high = (float(value) for value in np.percentile(patch.numpy(), [0.1, 99.9]))
            if high - low > 2 * EMPTY and estimate_sigma(patch[0].numpy()) <= min(SIGMAS) * (high - low) / 2:
                found.append(Intensity(low, high).to_model(patch))
        if len(found) >= count:
            return torch.stack(found[:count])
    return batch(images, side, count, key, augment=False)


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
