"""How much wider than the samples' spread an interval must be, so that it covers the truth as often as it says."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class CoverageTable:
    """Factors on the samples' standard deviation, measured on held-out images at several noise levels.

    Parameters
    ----------
    sigmas : tuple of float
        Standard deviation of the measurement's noise, model units, increasing.
    factor : tuple of float
        With it the central 90 % interval ``mean +- factor * uncertainty.interval_scale(N, 0.9) * sd`` of N samples covered
        90 % of the true pixels of the median image; 1 if the samples are exact draws from a Gaussian posterior.
    factor_50 : tuple of float
        The same for the central 50 % interval.
    covered : tuple of float
        Share of the true pixels that the 90 % interval covered with a factor of 1.
    """

    sigmas: tuple[float, ...]
    factor: tuple[float, ...]
    factor_50: tuple[float, ...] = ()
    covered: tuple[float, ...] = ()

    @classmethod
    def from_card(cls, card: dict[str, Any]) -> CoverageTable | None:
        """Table in a prior.json, if it has one."""
        stored = card.get("coverage")
        return cls(**{name: tuple(values) for name, values in stored.items()}) if stored else None

    def to_json(self) -> dict[str, list[float]]:
        """JSON types, four digits."""
        return {name: [float(f"{value:.4g}") for value in values] for name, values in asdict(self).items()}

    def at(self, sigma: float) -> float:
        """Factor at a noise level, linear in log sigma; the nearest level's outside of the table."""
        return float(np.interp(math.log(sigma), np.log(self.sigmas), self.factor))
