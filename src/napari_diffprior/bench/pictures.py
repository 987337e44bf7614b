"""Clean pictures for the benchmarks: square crops of files, or of the package's BPAE sample."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..noise.estimate import estimate_sigma
from ..samples import bpae
from ..train.calibrate import EMPTY
from ..train.data import normalise, read_folder
from ..train.loop import TrainSettings
from .tasks import TASKS

Array = np.ndarray[Any, Any]

# What a blur leaves of a smaller picture is too little for LPIPS.
SMALLEST = 64
# Range of a whole picture, of which noise is a share.
SPAN = 1.0
# A crop that is noisier than what the tasks put in is no truth; one noisier than training takes, in its own range, neither.
_PUT_IN = SPAN * min(noise for task in TASKS.values() for noise in task.noise)
_TAKEN = TrainSettings().noise_limit


def clean_pictures(paths: Sequence[Path] = (), size: int = 128, count: int = 1) -> list[Array]:
    """Square crops that do not overlap, of as many different pictures as there are.

    Parameters
    ----------
    paths : sequence of Path
        Folders or image files, every channel or page on its own; empty takes the package's BPAE sample.
    size : int
        Side of a crop in pixels, at least 64.
    count : int
        Number of crops.

    Returns
    -------
    list of ndarray, shape (size, size)
        Files are stretched to [0, 1] between their 0.1 and 99.9 percentiles, without clipping; the sample by its extremes.

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
    pictures = [image.pixels for image in read_folder(paths, size)[0]] if paths else [normalise(bpae()[2], 0, 100)]
    return spread(pictures, size, count)


def spread(pictures: Sequence[Array], size: int, count: int) -> list[Array]:
    """Crops evenly chosen: the middle one of so many pictures, or of the crops of all where there are too few pictures.

    Pictures are in units in which their range is `SPAN`.

    Raises
    ------
    ValueError
        If there are fewer crops.
    """
    found = [cut for picture in pictures if (cut := crops(np.asarray(picture, np.float64), size))]
    chosen = [cut[len(cut) // 2] for cut in found] if len(found) >= count else [crop for cut in found for crop in cut]
    if (most := len(chosen)) < count:
        raise ValueError(
            f"there are {most} crops of {size} x {size} pixels, not {count}: set --images {most} or a smaller --size."
        )
    return [chosen[int((number + 0.5) * most / count)] for number in range(count)]


def crops(picture: Array, size: int) -> list[Array]:
    """Crops side by side, as many as fit, centred in the picture; without those that are as good as empty or noise themselves."""
    first = [(length % size) // 2 for length in picture.shape]
    tops, lefts = (range(start, length - size + 1, size) for start, length in zip(first, picture.shape, strict=True))
    found = [picture[top : top + size, left : left + size] for top in tops for left in lefts]
    return [crop for crop in found if _shows(crop)]


def _shows(crop: Array) -> bool:
    """Whether a crop shows enough, and clean enough, to be taken for the truth."""
    span, noise = float(np.ptp(crop)), estimate_sigma(crop.astype(np.float32))
    return span > EMPTY * SPAN and noise <= min(_PUT_IN, _TAKEN * span)
