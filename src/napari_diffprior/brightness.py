"""Where in an image the denoiser's error is larger: where it is bright."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

TILT = 1.0  # of the error's variance with brightness, in units of its own standard deviation, among images
LEAST = 0.1  # share of the mean variance in a pixel


def follow_brightness(mean: Tensor, expected: Tensor, energy: Tensor, worth: Tensor) -> Tensor:
    """Share of the error's variance in each pixel: 1 + c u, with u its brightness in standard deviations from the mean.

    c is the slope of the residual's squares with brightness, by weighted least squares, with a prior of 0 +- ``TILT``. A
    filter that keeps brightness keeps such a slope, so that it can be read after a blur; see docs/decisions/0013.

    Parameters
    ----------
    mean : Tensor, shape (B, C, H, W)
        Denoised images D.
    expected : Tensor, shape (B, ...) of a measurement
        A D.
    energy : Tensor, shape of ``expected``
        Squares of the residual in units of the noise.
    worth : Tensor, shape of ``expected``
        What the error adds to them on average, where its variance is the mean; the noise adds 1.

    Returns
    -------
    Tensor, shape (B, C, H, W)
        At least ``LEAST``.
    """
    seen, worth = expected.flatten(1), worth.flatten(1)
    centre, spread = seen.mean(1, keepdim=True), seen.std(1, correction=0, keepdim=True).clamp_min(1e-6)
    excess = energy.flatten(1) - 1 - worth
    slope = worth * (seen - centre) / spread / (1 + worth)
    tilt = (slope * excess / (1 + worth)).sum(1) / (slope.square().sum(1) + 2 / TILT**2)
    tilt = tilt.clamp_min(0.0)  # a wide blur carries the errors of what is bright into the dark around it
    bright = (mean.flatten(1) - centre) / spread
    return (1 + tilt[:, None] * bright).clamp_min(LEAST).view(-1, *mean.shape[1:])
