"""Measured PSFs made usable: background, voxel size, centre, size and sum; and what was done is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]

DESIGNED = 9  # sides below this are kernels that somebody wrote down: no background is guessed from so few pixels
NEGLIGIBLE = 1e-3  # background as a share of the peak that is left alone
COARSEST, FINEST = 0.1, 100.0  # the image's step over the PSF's beyond which one of the two has a wrong unit or none


@dataclass(frozen=True, eq=False)
class PSF:
    """A PSF that is ready for use.

    Parameters
    ----------
    values : ndarray, shape (h, w) or (d, h, w)
        Not negative, odd sides, centred on the middle, sum 1.
    done : tuple of str
        One sentence for each change that was made to the measured one.
    """

    values: Array
    done: tuple[str, ...] = ()

    def refined(self, factor: int) -> PSF:
        """The same PSF on pixels ``factor`` times as fine, one of them in the middle."""
        if factor == 1:
            return self
        values = self.values
        for axis, side in enumerate(values.shape):
            values = _integrate(values, axis, 1 / factor, side // 2)
        return PSF(values / values.sum(), self.done)


def prepare(
    psf: Any,
    *,
    voxel: Sequence[float] | None = None,
    image_voxel: Sequence[float] | None = None,
    image_shape: Sequence[int] | None = None,
    background: float | Literal["auto"] = "auto",
) -> PSF:
    """Make a PSF usable: subtract its background, resample, centre, crop and normalise it.

    Parameters
    ----------
    psf : array_like, shape (h, w) or (d, h, w), or PSF
        A PSF that is ready comes back cropped to the image at most.
    voxel, image_voxel : sequence of float, optional
        Voxel sizes of the PSF and of the image in one unit; the PSF is resampled where they differ. Not where the
        image's are a tenth of the PSF's and less, or a hundred times and more: then one of them is taken for wrong.
    image_shape : sequence of int, optional
        Spatial shape of the image; what reaches farther than the image is wide is cut off.
    background : float or "auto"
        Level to subtract, in the PSF's units. "auto": the lowest local mean, which is as much as a constant
        can be; kernels with a side below 9 pixels are taken as they are.

    Returns
    -------
    PSF

    Raises
    ------
    ValueError
        If it is not 2-D or 3-D, not finite, zero, negative, or constant over 9 pixels and more.
    """
    if isinstance(psf, PSF):
        return _finish(psf.values, list(psf.done), image_shape)
    values, done = _checked(psf), list[str]()
    values = _subtract(values, background, done)
    if voxel is not None and image_voxel is not None:
        values = _resample(values, voxel, image_voxel, done)
    return _finish(_centre(values, done), done, image_shape)


def axes_of(psf: Any) -> str:
    """Axes that are restored together with a PSF: a 3-D one blurs planes into each other."""
    return "zyx" if np.ndim(psf.values if isinstance(psf, PSF) else psf) == 3 else "yx"


def prepare_psf(psf: Any) -> Array:
    """Values of the prepared PSF; see `prepare`."""
    return prepare(psf).values


def _checked(psf: Any) -> Array:
    values = np.asarray(psf, dtype=np.float64)
    if values.ndim not in (2, 3):
        raise ValueError(f"the PSF must be a 2-D image or a 3-D stack, not {values.ndim}-D: choose one channel and time of it.")
    if not np.isfinite(values).all():
        raise ValueError("the PSF has pixels that are not finite: replace them first.")
    if not values.any():
        raise ValueError("the PSF is zero everywhere: choose another file or layer.")
    if min(values.shape) >= DESIGNED and np.ptp(values) == 0:
        raise ValueError("the PSF is constant, so it shows no point: choose another file or layer.")
    if values.max() <= 0 or -values.min() > 0.05 * values.max():
        raise ValueError("the PSF has negative pixels below -5 % of its peak: add back what was subtracted, or choose another.")
    return values


def background_level(values: Array) -> float:
    """Largest constant that may lie under a PSF: its lowest mean over a small window, empty rims left out."""
    from scipy.ndimage import uniform_filter

    seen = values > 1e-9 * values.max()
    inner = values[tuple(slice(axis.min(), axis.max() + 1) for axis in np.nonzero(seen))]
    sides = [max(3, side // 8) | 1 for side in inner.shape]
    if any(side < window for side, window in zip(inner.shape, sides, strict=True)):
        return 0.0
    whole = tuple(slice(window // 2, side - window // 2) for side, window in zip(inner.shape, sides, strict=True))
    return float(uniform_filter(inner, sides)[whole].min())


def _subtract(values: Array, background: float | Literal["auto"], done: list[str]) -> Array:
    if background == "auto":
        level = background_level(values) if min(values.shape) >= DESIGNED else 0.0
        level = level if level > NEGLIGIBLE * values.max() else 0.0
    else:
        level = background
    share = level * values.size / values.sum()
    if level:
        done.append(
            f"a background of {level:.3g}, {level / values.max():.1%} of the peak and {share:.0%} of the sum, was subtracted."
        )
    values = values - level
    if not values.max() > 0:
        raise ValueError(f"a background of {level:g} leaves nothing of the PSF: give a lower one.")
    if values.min() < -NEGLIGIBLE * values.max() and not level:
        done.append("its negative pixels were set to zero.")
    positive: Array = values.clip(0)
    return positive


def _resample(values: Array, voxel: Sequence[float], image_voxel: Sequence[float], done: list[str]) -> Array:
    """Integrate the cubic spline of the PSF over the image's voxels, axis by axis."""
    if not len(voxel) == len(image_voxel) == values.ndim:
        raise ValueError(f"the voxel sizes {tuple(voxel)} and {tuple(image_voxel)} do not fit a PSF of {values.ndim} axes.")
    ratios = [to / own for to, own in zip(image_voxel, voxel, strict=True)]
    if all(abs(ratio - 1) < 0.01 for ratio in ratios):
        return values
    sizes = " x ".join(f"{ratio:.3g}" for ratio in ratios)
    if not all(COARSEST < ratio < FINEST for ratio in ratios):
        done.append(f"it was not resampled: the image's voxels would be {sizes} of its own, so one of the sizes is wrong.")
        return values
    for axis, ratio in enumerate(ratios):
        if abs(ratio - 1) >= 0.01:
            values = _integrate(values, axis, ratio, int(np.unravel_index(values.argmax(), values.shape)[axis]))
    done.append(f"it was resampled to the image's voxels, {sizes} of its own.")
    return values


def _integrate(values: Array, axis: int, ratio: float, centre: int) -> Array:
    """Light in voxels ``ratio`` times as long, one of them centred on the ``centre``."""
    from scipy.interpolate import CubicSpline

    length = values.shape[axis]
    if length < 2:
        return values
    padded = np.pad(values, [(1, 1) if i == axis else (0, 0) for i in range(values.ndim)])  # falls to zero outside
    integral = CubicSpline(np.arange(-1, length + 1), padded, axis=axis).antiderivative()
    before, after = (int(np.ceil(reach / ratio)) for reach in (centre, length - 1 - centre))
    edges = (centre + ratio * (np.arange(-before, after + 2) - 0.5)).clip(-1, length)
    light: Array = np.diff(integral(edges), axis=axis).clip(0)
    return light


def _centre(values: Array, done: list[str]) -> Array:
    """Pad with zeros until the centre of what is above half of the peak is the middle; then trim empty rims."""
    from scipy.ndimage import center_of_mass

    above = (values - values.max() / 2).clip(0)
    found = [round(float(place)) for place in center_of_mass(above)]
    seen = [(int(axis.min()), int(axis.max())) for axis in np.nonzero(values > 1e-9 * values.max())]
    reaches = [max(place - low, high - place) for place, (low, high) in zip(found, seen, strict=True)]
    centred = np.zeros([2 * reach + 1 for reach in reaches])
    ranges = [(low, high + 1) for low, high in seen]
    target = tuple(
        slice(low - place + reach, high - place + reach) for (low, high), place, reach in zip(ranges, found, reaches, strict=True)
    )
    centred[target] = values[tuple(slice(low, high) for low, high in ranges)]
    moved = [place - side // 2 for place, side in zip(found, values.shape, strict=True)]
    if any(side % 2 == 0 for side in values.shape):
        done.append(f"its even size {' x '.join(map(str, values.shape))} became {' x '.join(map(str, centred.shape))}.")
    if any(moved):
        done.append(f"its centre was {' x '.join(f'{step:+d}' for step in moved)} px off the middle and was moved there.")
    return centred


def _finish(values: Array, done: list[str], image_shape: Sequence[int] | None) -> PSF:
    """Cut off what no two pixels of the image are apart, and normalise."""
    if image_shape is not None and len(image_shape) == values.ndim:
        cuts = [max(0, side // 2 - (length - 1)) for side, length in zip(values.shape, image_shape, strict=True)]
        if any(cuts):
            kept = values[tuple(slice(cut, side - cut) for cut, side in zip(cuts, values.shape, strict=True))]
            done.append(
                f"it reaches farther than the image is wide and was cropped to {' x '.join(map(str, kept.shape))} px, "
                f"{kept.sum() / values.sum():.1%} of its light."
            )
            values = kept
    total = values.sum()  # a second division would move the last bits of what is ready
    return PSF(values if abs(total - 1) < 1e-12 else values / total, tuple(done))
