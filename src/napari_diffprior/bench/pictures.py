"""Clean pictures for the benchmarks: square crops of files, or of the package's BPAE sample."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..noise.estimate import estimate_sigma
from ..samples import bpae
from ..train.data import read_folder
from ..train.loop import TrainSettings

Array = np.ndarray[Any, Any]

# What a blur leaves of a smaller picture is too little for LPIPS.
SMALLEST = 64
# A crop whose range is below this share of its picture's shows next to nothing.
_EMPTY = 0.1
# A truth with more noise than this share of its range is none: what training leaves out of its images.
NOISE_LIMIT = TrainSettings().noise_limit


def clean_pictures(paths: Sequence[Path] = (), size: int = 128, count: int = 1, own_noise: float = NOISE_LIMIT) -> list[Array]:
    """Square crops that do not overlap, of as many different pictures as there are.

    Parameters
    ----------
    paths : sequence of Path
        Folders or image files, every channel or page on its own; empty takes the package's BPAE sample.
    size : int
        Side of a crop in pixels, at least 64.
    count : int
        Number of crops.
    own_noise : float
        Most noise of a crop's own, in shares of its range.

    Returns
    -------
    list of ndarray, shape (size, size)
        Files are stretched to [0, 1] between their 0.1 and 99.9 percentiles, without clipping.

    Raises
    ------
    ValueError
        If there are fewer crops than asked for, or a path cannot be read.
    """
    for path in paths:
        if not path.exists():
            raise ValueError(f"there is no file or folder {path}.")
    if size < SMALLEST or count < 1:
        raise ValueError(f"a benchmark needs one picture or more of at least {SMALLEST} pixels, not {count} of {size}.")
    pictures = [image.pixels for image in read_folder(paths, size)[0]] if paths else [bpae()[2]]
    return spread(pictures, size, count, own_noise)


def spread(pictures: Sequence[Array], size: int, count: int, own_noise: float = NOISE_LIMIT) -> list[Array]:
    """Crops evenly chosen: the middle one of so many pictures, or of the crops of all where there are too few pictures.

    Raises
    ------
    ValueError
        If there are fewer crops.
    """
    found = [cut for picture in pictures if (cut := crops(np.asarray(picture, np.float64), size, own_noise))]
    chosen = [cut[len(cut) // 2] for cut in found] if len(found) >= count else [crop for cut in found for crop in cut]
    if (most := len(chosen)) < count:
        raise ValueError(
            f"there are {most} crops of {size} x {size} pixels, not {count}: set --images {most} or a smaller --size."
        )
    return [chosen[int((number + 0.5) * most / count)] for number in range(count)]


def crops(picture: Array, size: int, own_noise: float) -> list[Array]:
    """Crops side by side, as many as fit, centred in the picture; without those that are as good as empty or noise themselves."""
    first = [(length % size) // 2 for length in picture.shape]
    tops, lefts = (range(start, length - size + 1, size) for start, length in zip(first, picture.shape, strict=True))
    found = [picture[top : top + size, left : left + size] for top in tops for left in lefts]
    return [crop for crop in found if np.ptp(crop) > _EMPTY * np.ptp(picture) and _own_noise(crop) <= own_noise * np.ptp(crop)]


def _own_noise(crop: Array) -> float:
    """Noise of a picture that is taken for the truth, in its units."""
    return estimate_sigma(crop.astype(np.float32), np.ones(crop.shape, bool))
