"""Coverage: how often intervals made from a few samples hold the truth, measured on images that the prior has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..priors.coverage import CoverageTable

if TYPE_CHECKING:
    from torch import Tensor

    from ..measurement import Measurement
    from ..priors.contract import Denoiser

Array = np.ndarray[Any, Any]
SIGMAS = (0.02, 0.05, 0.1, 0.2)
MISSING = 0.7


def coverage_table(
    prior: Denoiser, clean: Tensor, sigmas: Sequence[float] = SIGMAS, samples: int = 8, steps: int = 16, seed: int = 0
) -> CoverageTable:
    """Restore images whose truth is known and fit the factor that makes intervals cover as often as they say.

    What is calibrated: at each pixel, the interval ``mean +- factor * interval_scale(N, level) * sd`` from the mean and
    the standard deviation (`uncertainty.deviation`) of N samples. The truth must lie in it in a share ``level`` of the
    pixels of an image; the factor is the median of what the single images need, half of them denoised and half filled
    where 70 % were missing. All pixels pooled would let the empty and smooth images decide, of which the samples know
    more than their spread says. Were the samples exact draws from a Gaussian posterior, the factor would be 1 for any N.

    Parameters
    ----------
    prior : Denoiser
    clean : Tensor, shape (P, C, H, W)
        Images that the prior has not seen, model units. They are dealt out to the noise levels and the two tasks in
        turns, so that more different images count; at least two for each level.
    sigmas : sequence of float
        Noise levels, model units.
    samples : int
        Posterior samples N of each image, at least 2.
    steps : int
        Steps of ``decoupled``.
    seed : int

    Returns
    -------
    CoverageTable
    """
    if len(clean) < 2 * len(sigmas):
        raise ValueError(f"the coverage factor needs at least {2 * len(sigmas)} patches, not {len(clean)}.")
    rows = []
    for level, sigma in enumerate(sigmas):
        parts = [clean[2 * level + gaps :: 2 * len(sigmas)] for gaps in (0, 1)]
        images = [
            image
            for gaps, part in enumerate(parts)
            for image in _deviations(prior, part, sigma, samples, steps, (seed, level, gaps))
        ]
        rows.append(_factors(np.stack(images), samples))
    factor, factor_50, covered = zip(*rows, strict=True)
    return CoverageTable(tuple(sigmas), factor, factor_50, covered)


def _factors(deviations: Array, samples: int) -> tuple[float, float, float]:
    """Factors at 90 and 50 %, and the coverage at 90 % without one, from |truth - mean| / sd (images, pixels): medians."""
    from ..uncertainty import interval_scale

    wide, narrow = (deviations / interval_scale(samples, level) for level in (0.9, 0.5))
    each = np.quantile(wide, 0.9, axis=1), np.quantile(narrow, 0.5, axis=1), (wide <= 1).mean(1)
    factor, factor_50, covered = (float(np.median(values)) for values in each)
    return factor, factor_50, covered


def _deviations(prior: Denoiser, clean: Tensor, sigma: float, samples: int, steps: int, key: tuple[int, int, int]) -> list[Array]:
    """|truth - mean of the samples| / their standard deviation at every pixel of each image."""
    from ..rng import KeyedNoise
    from ..samplers.decoupled import Decoupled
    from ..uncertainty import deviation

    seed, level, gaps = key
    found = []
    for number, truth in enumerate(clean):
        position = (level, gaps, number)
        measurement = _measure(truth, sigma, bool(gaps), seed, position)
        *_, state = Decoupled(steps=steps).run(measurement, prior, KeyedNoise(seed, range(samples), position))
        drawn = state.x0.double().cpu().numpy()
        error = np.abs(truth.double().cpu().numpy() - drawn.mean(0))
        found.append((error / np.maximum(deviation(drawn), 1e-9)).ravel())
    return found


def _measure(truth: Tensor, sigma: float, gaps: bool, seed: int, position: tuple[int, ...]) -> Measurement:
    """The noisy image, or what is left of it when most pixels are missing."""
    import torch

    from ..measurement import Measurement
    from ..noise.gaussian import Gaussian
    from ..operators.contract import Operator
    from ..operators.identity import Identity
    from ..operators.mask import Mask
    from ..rng import stream_seed

    generator = torch.Generator().manual_seed(stream_seed(seed, *position, -1))
    noise = torch.randn(truth.shape, generator=generator, dtype=truth.dtype).to(truth.device)
    kept = torch.rand(truth.shape[-2:], generator=generator) >= MISSING
    operator: Operator = Mask(kept.to(truth.device)) if gaps else Identity()
    return Measurement(operator.apply((truth + sigma * noise)[None]), operator, Gaussian(sigma=sigma), tuple(truth.shape))
