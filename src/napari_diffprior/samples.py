"""Two damaged images with the truth beside them, always the same pixels; no torch and no Qt."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Sample = tuple[Array, Array, Array]

SYNTHETIC_SCALE = (0.1, 0.1)
SYNTHETIC_UNITS = ("um", "um")
_NOISE = 0.01


def bpae() -> Sample:
    """Actin of a BPAE cell with scratches, 5 % dead pixels and noise of 1 % of the range.

    Returns
    -------
    image : ndarray of float32, shape (256, 256)
        Measurement in camera counts; missing pixels hold the lowest value of the reference.
    mask : ndarray of uint8, shape (256, 256)
        1 where a pixel is missing, else 0.
    reference : ndarray of float32, shape (256, 256)
        The picture before the damage. Its pixel size is not known.

    Notes
    -----
    CC BY 4.0; see ``sample_data/README.md`` in the package.
    """
    from tifffile import imread

    with (files(__package__) / "sample_data" / "bpae_actin.tif").open("rb") as stream:
        reference = np.asarray(imread(stream), dtype=np.float32)
    rng = np.random.default_rng(0)
    mask = _scratches(reference.shape, rng, count=5) | (rng.random(reference.shape) < 0.05)
    return _damaged(reference, mask, rng), mask.astype(np.uint8), reference


def synthetic() -> Sample:
    """A drawn cell layer, nuclei and filaments, with round and long gaps and noise of 1 % of the range.

    Returns
    -------
    image : ndarray of float32, shape (256, 256)
        Measurement in counts; missing pixels hold the lowest value of the reference.
    mask : ndarray of uint8, shape (256, 256)
        1 where a pixel is missing, else 0.
    reference : ndarray of float32, shape (256, 256)
        The picture before the damage.

    Notes
    -----
    A pixel is `SYNTHETIC_SCALE` wide, in `SYNTHETIC_UNITS`.
    """
    rng = np.random.default_rng(1)
    shape = (256, 256)
    reference = (200 + 2600 * _nuclei(shape, rng) + 1500 * _filaments(shape, rng)).astype(np.float32)
    mask = _scratches(shape, rng, count=2) | _holes(shape, rng, count=14)
    return _damaged(reference, mask, rng), mask.astype(np.uint8), reference


def _damaged(reference: Array, mask: Array, rng: np.random.Generator) -> Array:
    """The measurement: noise everywhere, and nothing to see where the mask is."""
    noise = rng.standard_normal(reference.shape) * _NOISE * np.ptp(reference)
    return np.asarray(np.where(mask, reference.min(), reference + noise), dtype=np.float32)


def _scratches(shape: tuple[int, ...], rng: np.random.Generator, count: int) -> Array:
    """Bent lines of 3 to 6 pixels' width across the image, True inside."""
    from scipy.ndimage import distance_transform_edt
    from skimage.draw import line

    mask = np.zeros(shape, bool)
    for _ in range(count):
        start, end = rng.uniform(0, 1, 2), rng.uniform(0, 1, 2)
        side = rng.integers(2)
        start[side], end[side] = 0, 1
        bend = (start + end) / 2 + rng.uniform(-0.12, 0.12, 2)
        stops = np.clip(np.stack([start, bend, end]), 0, 1) * (np.array(shape) - 1)
        thread = np.zeros(shape, bool)
        for (y0, x0), (y1, x1) in zip(stops.astype(int)[:-1], stops.astype(int)[1:], strict=True):
            thread[line(y0, x0, y1, x1)] = True
        mask |= distance_transform_edt(~thread) <= (rng.integers(3, 7) - 1) / 2
    return mask


def _holes(shape: tuple[int, int], rng: np.random.Generator, count: int) -> Array:
    """Discs of 5 to 11 pixels' radius, True inside."""
    from skimage.draw import disk

    mask = np.zeros(shape, bool)
    for _ in range(count):
        mask[disk(tuple(rng.uniform(0, shape)), rng.uniform(5, 11), shape=shape)] = True
    return mask


def _nuclei(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """Soft, mottled ellipses that do not touch, in [0, 1]."""
    from scipy.ndimage import gaussian_filter
    from skimage.draw import ellipse

    picture, centres = np.zeros(shape), np.empty((0, 2))
    for centre in rng.uniform(20, np.array(shape) - 20, (60, 2)):
        if len(centres) < 9 and all(np.hypot(*(centres - centre).T) > 62):
            axes = rng.uniform(15, 26, 2)
            picture[ellipse(*centre, *axes, shape=shape, rotation=rng.uniform(0, np.pi))] = rng.uniform(0.5, 1)
            centres = np.vstack([centres, centre])
    mottle = gaussian_filter(rng.standard_normal(shape), 4)
    return np.asarray(np.clip(gaussian_filter(picture, 2) * (1 + 0.15 * mottle / mottle.std()), 0, 1))


def _filaments(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """Thin bent threads, as sharp as a microscope shows them, in [0, 1]."""
    from scipy.ndimage import gaussian_filter
    from skimage.draw import bezier_curve

    picture = np.zeros(shape)
    for _ in range(70):
        start = rng.uniform(-0.1, 1.1, 2) * shape
        angle, length = rng.normal(0.6, 0.5), rng.uniform(60, 200)
        end = start + length * np.array([np.sin(angle), np.cos(angle)])
        bend = (start + end) / 2 + rng.normal(0, 12, 2)
        stops = np.concatenate([start, bend, end]).astype(int).tolist()
        rows, columns = bezier_curve(*stops, weight=1, shape=shape)
        np.maximum.at(picture, (rows, columns), rng.uniform(0.3, 1))
    soft = gaussian_filter(picture, 1.2)
    return np.asarray(soft / soft.max())
