"""The real-FFT grid: half of the frequencies, which stands for all of them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]


def column_weights(width: int) -> Array:
    """How many columns of the full grid of a width each column stands for: all but the outer ones for their mirror images too."""
    weights = np.full(width // 2 + 1, 2.0)
    weights[0] = 1.0
    if width % 2 == 0:
        weights[-1] = 1.0
    return weights


@lru_cache(maxsize=8)
def radius(grid: tuple[int, int]) -> Array:
    """Radial frequency at each point of the half grid, cycles per pixel."""
    found: Array = np.hypot(np.fft.fftfreq(grid[0])[:, None], np.fft.rfftfreq(grid[1])[None])
    return found
