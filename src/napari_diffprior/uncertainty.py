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
    """Mean and deviation of samples that come one by one in pairs, in the memory of four images.

    The samples 2 k and 2 k + 1 are antithetic (`rng.KeyedNoise`), so N - 1 in the denominator would be wrong. The variance
    of a sample is that within a pair, of the mean of (a - b)^2 / 4, plus that between the pairs' means: without bias for
    any correlation of a pair. Sums are those of Welford (1962).

    Parameters
    ----------
    shape : tuple of int
        Shape of a sample.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self.count = 0
        self._centre: Array = np.zeros(shape, np.float32)  # mean of all whole pairs
        self._between: Array = np.zeros(shape, np.float32)
        self._within: Array = np.zeros(shape, np.float32)
        self._first: Array | None = None  # of a pair that is not whole yet

    def add(self, sample: Array) -> None:
        """Take one more sample into account."""
        self.count += 1
        if self._first is None:
            self._first = np.array(sample, np.float32)
            return
        pairs, half = np.float32(self.count // 2), (sample - self._first) / 2
        self._within += half * half
        change = self._first + half - self._centre
        self._centre += change / pairs
        self._between += change * (change * (1 - 1 / pairs))
        self._first = None

    @property
    def mean(self) -> Array:
        """Mean of all samples."""
        if self._first is None:
            return self._centre
        mean: Array = self._centre + (self._first - self._centre) / np.float32(self.count)
        return mean

    @property
    def std(self) -> Array:
        """Standard deviation of a sample, from whole pairs; zero without one."""
        pairs = self.count // 2
        variance = self._within / np.float32(max(1, pairs)) + self._between / np.float32(max(1, pairs - 1))
        std: Array = np.sqrt(variance)
        return std


def deviation(samples: Array) -> Array:
    """Standard deviation of a sample, shape (...) of samples (N, ...) in their order."""
    running = Running(samples.shape[1:])
    for sample in samples:
        running.add(sample)
    return running.std


def interval_scale(samples: int, level: float = 0.9) -> float:
    """Half width, in the standard deviation from a few samples, of the interval that holds the truth.

    Parameters
    ----------
    samples : int
        Number N of samples, at least 2.
    level : float
        Share of the cases in which the interval must hold it, between 0 and 1.

    Returns
    -------
    float
        The (1 + level) / 2 quantile of Student's t with N // 2 degrees of freedom: exact for a Gaussian posterior, where
        the mean of a pair is the posterior's, and each pair gives the variance one degree of freedom.

    Raises
    ------
    ValueError
        If there are fewer than two samples, or the level is not between 0 and 1.
    """
    from scipy.special import stdtrit

    if samples < 2 or not 0 < level < 1:
        raise ValueError(f"an interval needs at least 2 samples and a level between 0 and 1, not {samples} and {level:g}.")
    return float(stdtrit(samples // 2, (1 + level) / 2))


def factor_at(level: float, factor_50: float, factor_90: float) -> float:
    """Coverage factor of a central interval: linear in its level from 50 to 90 %, beyond them that of the nearer one."""
    return float(np.interp(level, (0.5, 0.9), (factor_50, factor_90)))


def quantile(
    level: float, mean: Array, std: Array, count: int, samples: Array, factor: float = 1.0, factor_50: float | None = None
) -> Array:
    """Value below which the truth lies with a probability.

    With 19 samples or more at hand, it comes from these, at the positions k / (N + 1): a further draw lies below
    with just that probability. Without them, it is an end of the interval mean +- t std of `interval_scale`.

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
        What the samples' deviations from the mean are multiplied by, for the interval of 90 % and wider ones.
    factor_50 : float, optional
        The same for the interval of 50 % and narrower ones, see ``factor_at``; by default ``factor``.

    Raises
    ------
    ValueError
        If the level is not between 0 and 1, or there is one sample only.
    """
    if not 0 < level < 1:
        raise ValueError(f"a quantile lies between 0 and 1, not at {level}.")
    if count < 2:
        raise ValueError("quantiles need two samples or more: set samples = 16, for example.")
    central = abs(2 * level - 1)
    own = factor_at(central, factor if factor_50 is None else factor_50, factor)
    if len(samples) >= EMPIRICAL:
        found: Array = mean + own * (np.quantile(samples, level, axis=0, method="weibull").astype(np.float32) - mean)
        return found
    width = math.copysign(interval_scale(count, central), level - 0.5) if level != 0.5 else 0.0
    gaussian: Array = mean + np.float32(width * own / factor) * std
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
        Coverage factor of the prior, None if it has none for such a measurement.
    """
    low, high = MISFIT_RANGE
    outside = [value for value in misfits if not low <= value <= high]
    if samples < 2:
        return "one sample has no deviation"
    if outside:
        return f"the misfit {outside[0]:.3f} is outside of {low} to {high}"
    return "" if factor is not None else "the prior was not calibrated for coverage in such a measurement"
