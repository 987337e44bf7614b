"""Coverage: how often intervals made from a few samples hold the truth, measured on images that the prior has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..priors.coverage import CoverageTable
from ..psf import gaussian_psf

if TYPE_CHECKING:
    from torch import Tensor

    from ..measurement import Measurement
    from ..operators.contract import Operator
    from ..priors.contract import Denoiser

Array = np.ndarray[Any, Any]
SIGMAS = (0.02, 0.05, 0.1, 0.2)
MISSING = 0.7
CONTENT = 0.75  # share of the blurred images whose intervals are to hold the truth as often as they say
BLURS = (1.0, 3.0)  # standard deviations in pixels


def coverage_table(
    prior: Denoiser,
    clean: Tensor,
    sigmas: Sequence[float] = SIGMAS,
    blurs: Sequence[float] = BLURS,
    samples: int = 8,
    steps: int = 16,
    seed: int = 0,
) -> CoverageTable:
    """Restore images whose truth is known and fit the factors that make intervals cover as often as they say.

    What is calibrated: at each pixel, the interval ``mean +- factor * interval_scale(N, level) * sd`` from the mean and
    the standard deviation (`uncertainty.deviation`) of N samples. The truth must lie in it in a share ``level`` of the
    pixels of an image; the factor is the median of what the single images need, half of them denoised and half filled
    where 70 % were missing. All pixels pooled would let the empty and smooth images decide, of which the samples know
    more than their spread says. Were the samples exact draws from a Gaussian posterior, the factor would be 1 for any N.
    For what a blur hides the prior alone vouches: each blur has factors of its own, at 90 % the one that three of four
    images are content with, and never below 1: that the held-out images are easy says nothing of others. At 50 % it is
    that of the median image as well, and never below the one without a blur.

    Parameters
    ----------
    prior : Denoiser
    clean : Tensor, shape (P, C, H, W)
        Images that the prior has not seen, model units. They are dealt out to the noise levels and the tasks of
        `tasks_of` in turns, so that more different images count; at least one for each.
    sigmas : sequence of float
        Noise levels, model units.
    blurs : sequence of float
        Standard deviations of Gaussian blurs in pixels, increasing; those that are too wide for the images are left out.
    samples : int
        Posterior samples N of each image, at least 2.
    steps : int
        Steps of ``decoupled``.
    seed : int

    Returns
    -------
    CoverageTable
    """
    tasks = tasks_of(clean.shape[-1], blurs)
    turns = len(tasks) * len(sigmas)
    if len(clean) < turns:
        raise ValueError(f"the coverage factor needs at least {turns} patches, not {len(clean)}.")

    def table(chosen: Sequence[int]) -> CoverageTable:
        rows = []
        for level, sigma in enumerate(sigmas):
            images = [
                _restored(prior, truth, tasks[task], sigma, samples, steps, (seed, level, task, number))
                for task in chosen
                for number, truth in enumerate(clean[len(tasks) * level + task :: turns])
            ]
            rows.append(_fitted(images, samples, chosen[0] > 1))
        sharpness, factor, factor_50, covered = zip(*rows, strict=True)
        return CoverageTable(tuple(sigmas), factor, factor_50, covered, sharpness)

    plain, *blurred = (table(chosen) for chosen in ([0, 1], *([task] for task in range(2, len(tasks)))))
    least = [tuple(map(max, blur.factor_50, plain.factor_50)) for blur in blurred]
    blurred = [replace(blur, factor_50=factors) for blur, factors in zip(blurred, least, strict=True)]
    return replace(plain, sharpness=(), blurred=tuple(blurred))


def tasks_of(side: int, blurs: Sequence[float] = BLURS) -> list[str | float]:
    """What images of a side are restored from: noise, gaps, and the blurs that leave half of the side or more."""
    return ["noise", "gaps", *(width for width in blurs if 2 * (len(gaussian_psf(width)) - 1) <= side)]


def _fitted(images: Sequence[tuple[float, Array]], samples: int, blurred: bool) -> tuple[float, float, float, float]:
    """Sharpness, factors at 90 and 50 %, coverage at 90 % without one, from |truth - mean| / sd of each image."""
    from ..uncertainty import interval_scale

    wide, narrow = interval_scale(samples, 0.9), interval_scale(samples, 0.5)
    each = [
        (sharpness, np.quantile(off, 0.9) / wide, np.quantile(off, 0.5) / narrow, (off <= wide).mean())
        for sharpness, off in images
    ]
    sharpness, factor, factor_50, covered = (float(value) for value in np.median(each, axis=0))
    if blurred:
        factor = max(1.0, float(np.quantile([needed for _, needed, _, _ in each], CONTENT)))
    return sharpness, factor, factor_50, covered


def _restored(
    prior: Denoiser, truth: Tensor, task: str | float, sigma: float, samples: int, steps: int, key: tuple[int, ...]
) -> tuple[float, Array]:
    """Sharpness of the measurement, and |truth - mean of the samples| / their deviation at every measured pixel."""
    from ..rng import KeyedNoise
    from ..samplers.decoupled import Decoupled
    from ..uncertainty import deviation

    measurement, image = _measure(truth, task, sigma, key)
    *_, state = Decoupled(steps=steps).run(measurement, prior, KeyedNoise(key[0], range(samples), key[1:]))
    seen = image if task == "gaps" else measurement.visible(image)
    drawn = (state.x0 if task == "gaps" else measurement.visible(state.x0)).double().cpu().numpy()
    error = np.abs(seen[0].double().cpu().numpy() - drawn.mean(0))
    return measurement.sharpness(prior), (error / np.maximum(deviation(drawn), 1e-9)).ravel()


def _measure(truth: Tensor, task: str | float, sigma: float, key: tuple[int, ...]) -> tuple[Measurement, Tensor]:
    """Measurement of an image, and the image on the operator's canvas, shape (1, C, H, W)."""
    import torch
    from torch.nn.functional import pad

    from ..measurement import Measurement
    from ..noise.gaussian import Gaussian
    from ..operators.contract import domain_of
    from ..rng import stream_seed

    generator = torch.Generator().manual_seed(stream_seed(*key, -1))
    operator = _operator(task, truth, generator)
    height, width = (large - side for large, side in zip(domain_of(operator, truth.shape[-2:]), truth.shape[-2:], strict=True))
    image = pad(truth[None], (0, width, 0, height), mode="reflect")
    expected = operator.apply(image)
    noise = torch.randn(expected.shape, generator=generator, dtype=expected.dtype).to(expected.device)
    return Measurement(expected + sigma * noise, operator, Gaussian(sigma=sigma), tuple(image.shape[1:])), image


def _operator(task: str | float, truth: Tensor, generator: Any) -> Operator:
    """None at all, 70 % of the pixels missing, or a blur whose surroundings are in the picture."""
    import torch

    from ..operators.blur import Blur
    from ..operators.identity import Identity
    from ..operators.mask import Mask

    if task == "noise":
        return Identity()
    if task == "gaps":
        return Mask((torch.rand(truth.shape[-2:], generator=generator) >= MISSING).to(truth.device))
    psf = torch.from_numpy(gaussian_psf(float(task))).to(truth)
    return Blur(psf, [side - len(psf) + 1 for side in truth.shape[-2:]])
