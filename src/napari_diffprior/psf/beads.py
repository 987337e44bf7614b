"""PSF from an image of beads: the average of those that stand alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from .reading import PSF, prepare

Array = np.ndarray[Any, np.dtype[np.float64]]

SMOOTHING = 1.5  # pixels
BRIGHTER, DIMMER = 1.7, 0.4  # beads beyond these multiples of the median are clusters or dirt


def find_beads(image: Array) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Bright points of an image, brightest first.

    A point is a local maximum of the smoothed image that stands above the background by six times its scatter and by
    a tenth of what the brightest does.

    Parameters
    ----------
    image : ndarray, shape (H, W) or (D, H, W)

    Returns
    -------
    ndarray of int, shape (N, 2) or (N, 3)
    """
    from scipy.ndimage import gaussian_filter, maximum_filter

    smooth = gaussian_filter(image.astype(np.float64), SMOOTHING)
    ground = float(np.median(smooth))
    scatter = 1.4826 * float(np.median(np.abs(smooth - ground)))
    level = ground + max(6 * scatter, 0.1 * (float(smooth.max()) - ground))
    peaks = np.argwhere((smooth == maximum_filter(smooth, 5)) & (smooth > level))
    return peaks[np.argsort(-smooth[tuple(peaks.T)], kind="stable")].astype(np.int64)


def psf_from_beads(image: Any, size: Sequence[int]) -> PSF:
    """Average of the beads that lie alone, each moved to a common centre by fractions of a pixel.

    Parameters
    ----------
    image : array_like, shape (H, W) or (D, H, W)
        Beads smaller than the resolution, not overlapping.
    size : sequence of int
        Window around a bead along each axis, in pixels; 5 or more, odd.

    Returns
    -------
    PSF
        ``done`` says how many beads were found, and why some were left out.

    Raises
    ------
    ValueError
        If the window does not fit, or no bead can be used.
    """
    values = np.asarray(image)
    if values.ndim not in (2, 3) or len(size) != values.ndim:
        raise ValueError(f"a window of {len(size)} sides does not fit an image of {values.ndim} axes.")
    if any(side < 5 or side % 2 == 0 or side > length for side, length in zip(size, values.shape, strict=True)):
        raise ValueError(f"the window {tuple(size)} must have odd sides of 5 to those of the image, {values.shape}.")
    full = np.iinfo(values.dtype).max if values.dtype.kind in "iu" else np.inf
    peaks = find_beads(values)
    windows, left_out = _alone(values.astype(np.float64), peaks, size, float(full))
    if not windows:
        why = _list(left_out) or "none was found"
        raise ValueError(f"none of {len(peaks)} bright points is a bead that stands alone ({why}): try a smaller window.")
    average = _average(windows)
    said = f"it is the average of {len(windows)} of {len(peaks)} beads{': ' + _list(left_out) if left_out else ''}."
    ready = prepare(average.clip(0))
    return PSF(ready.values, (said, *ready.done))


def _list(left_out: Counter[str]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in left_out.items())


def _alone(
    values: Array, peaks: np.ndarray[Any, np.dtype[np.int64]], size: Sequence[int], full: float
) -> tuple[list[Array], Counter[str]]:
    """Windows around the beads that can be used, without background, and why the others cannot."""
    half = np.asarray(size) // 2
    left_out: Counter[str] = Counter()
    windows = []
    for number, peak in enumerate(peaks):
        others = np.delete(peaks, number, axis=0)
        window = values[tuple(slice(max(0, at - reach), at + reach + 1) for at, reach in zip(peak, half, strict=True))]
        if window.shape != tuple(size):
            left_out["too near an edge"] += 1
        elif (np.abs(others - peak) <= 1.5 * half).all(1).any():
            left_out["too near another"] += 1
        elif window.max() >= full:
            left_out["saturated"] += 1
        else:
            windows.append(window - np.median(_rim(window)))
    light = np.array([window.sum() for window in windows])
    middle = np.median(light) if len(light) else 0.0
    kept = [window for window, sum_ in zip(windows, light, strict=True) if DIMMER * middle <= sum_ <= BRIGHTER * middle]
    if len(kept) < len(windows):
        left_out["far brighter or dimmer than the rest"] += len(windows) - len(kept)
    return kept, left_out


def _rim(window: Array) -> Array:
    """Outermost pixels."""
    inside = np.zeros(window.shape, bool)
    inside[tuple(slice(1, -1) for _ in window.shape)] = True
    return window[~inside]


def _average(windows: Sequence[Array]) -> Array:
    """Mean of the windows: first aligned by their centres of mass, then each to the mean by cross-correlation."""
    from scipy.ndimage import center_of_mass, shift
    from skimage.registration import phase_cross_correlation

    middle = np.asarray(windows[0].shape) // 2
    centred = []
    for window in windows:
        centre = np.asarray(center_of_mass((window - window.max() / 2).clip(0)))
        centred.append(middle - centre)
    mean: Array = np.mean([shift(window / window.sum(), move) for window, move in zip(windows, centred, strict=True)], axis=0)
    aligned = []
    for window, move in zip(windows, centred, strict=True):
        step = phase_cross_correlation(mean, shift(window, move), upsample_factor=20, normalization=None)[0]
        aligned.append(shift(window / window.sum(), move + (step if np.abs(step).max() < 1 else 0)))
    average: Array = np.mean(aligned, axis=0)
    return average
