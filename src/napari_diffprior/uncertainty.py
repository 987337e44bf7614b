"""Mean, deviation and quantiles of posterior samples, and whether they can be trusted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
MISFIT_RANGE = (0.8, 1.25)
KEPT_VALUES = 32_000_000  # samples of a small result are kept: 128 MB of float32
EMPIRICAL = 19  # samples from which on the 5 % and 95 % quantiles lie between two samples


class Running:
    """Mean and deviation of samples that come one by one (Welford 1962), in the memory of two images.

    Parameters
    ----------
    shape : tuple of int
        Shape of a sample.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self.count = 0
        self.mean: Array = np.zeros(shape, np.float32)
        self._squares: Array = np.zeros(shape, np.float32)

    def add(self, sample: Array) -> None:
        """Take one more sample into account."""
        self.count += 1
        change = sample - self.mean
        self.mean += change / np.float32(self.count)
        change *= sample - self.mean
        self._squares += change

    @property
    def std(self) -> Array:
        """Standard deviation between the samples, with N - 1; zero for a single one."""
        std: Array = np.sqrt(self._squares / np.float32(max(1, self.count - 1)))
        return std


def quantile(level: float, mean: Array, std: Array, count: int, samples: Array, factor: float = 1.0) -> Array:
    """Value below which the truth lies with a probability.

    With 19 samples or more at hand, it comes from these, at the positions k / (N + 1): a further draw lies below
    with just that probability. Without them, it is that of a further draw from a Gaussian of which mean and deviation
    are known from N samples: mean + t sqrt(1 + 1/N) std, with Student's t of N - 1 degrees of freedom.

    Parameters
    ----------
    level : float
        Between 0 and 1.
    mean, std : ndarray
        Of the samples; ``std`` with ``factor`` in it.
    count : int
        Number N of samples.
    samples : ndarray, shape (N, ...) or (0, ...)
        The samples, if they were kept.
    factor : float
        What the samples' deviations from the mean are multiplied by.

    Raises
    ------
    ValueError
        If the level is not between 0 and 1, or there is one sample only.
    """
    if not 0 < level < 1:
        raise ValueError(f"a quantile lies between 0 and 1, not at {level}.")
    if count < 2:
        raise ValueError("quantiles need two samples or more: set samples = 16, for example.")
    if len(samples) >= EMPIRICAL:
        found: Array = mean + factor * (np.quantile(samples, level, axis=0, method="weibull").astype(np.float32) - mean)
        return found
    from scipy.special import stdtrit

    gaussian: Array = mean + np.float32(stdtrit(count - 1, level) * math.sqrt(1 + 1 / count)) * std
    return gaussian


def trust(misfits: Sequence[float], samples: int, factor: float | None) -> str:
    """Why a deviation is not calibrated, or nothing if it is.

    Parameters
    ----------
    misfits : sequence of float
        Chi-square over m of samples and planes.
    samples : int
        Number of samples.
    factor : float or None
        Coverage factor of the prior, None if it has none.
    """
    low, high = MISFIT_RANGE
    outside = [value for value in misfits if not low <= value <= high]
    if samples < 2:
        return "one sample has no deviation"
    if outside:
        return f"the misfit {outside[0]:.2f} is outside of {low} to {high}"
    return "" if factor is not None else "the prior was not calibrated for coverage"
