"""How much wider than the samples' spread an interval must be, so that it covers the truth as often as it says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..uncertainty import factor_at

COLUMNS = ("sigmas", "sharpness", "factor", "factor_50", "covered")
BEYOND = 0.5  # an operator may pass this share of what the widest blur of the table passed


@dataclass(frozen=True)
class CoverageTable:
    """Factors on the samples' standard deviation, measured on held-out images at several noise levels.

    Parameters
    ----------
    sigmas : tuple of float
        Standard deviation of the measurement's noise, model units, increasing.
    factor : tuple of float
        With it the central 90 % interval ``mean +- factor * uncertainty.interval_scale(N, 0.9) * sd`` of N samples covered
        90 % of the true pixels of the median image, after a blur of three of four images or more; 1 if the samples are
        exact draws from a Gaussian posterior.
    factor_50 : tuple of float
        The same for the central 50 % interval, after a blur of the median image too, but at least as without one.
    covered : tuple of float
        Share of the true pixels that the 90 % interval covered with a factor of 1.
    sharpness : tuple of float
        Share of the fine detail that the operator passed, ``Measurement.sharpness``; empty means 1: pixels as they are.
    blurred : tuple of CoverageTable
        The same after blurs, from narrow to wide.
    """

    sigmas: tuple[float, ...]
    factor: tuple[float, ...]
    factor_50: tuple[float, ...] = ()
    covered: tuple[float, ...] = ()
    sharpness: tuple[float, ...] = ()
    blurred: tuple[CoverageTable, ...] = ()

    @classmethod
    def from_card(cls, card: dict[str, Any]) -> CoverageTable | None:
        """Table in a prior.json, if it has one."""
        stored = card.get("coverage")
        return cls._read(stored) if stored else None

    @classmethod
    def _read(cls, stored: dict[str, Any]) -> CoverageTable:
        columns = {name: tuple(stored[name]) for name in COLUMNS if name in stored}
        return cls(**columns, blurred=tuple(cls._read(table) for table in stored.get("blurred", ())))

    def to_json(self) -> dict[str, Any]:
        """JSON types, four digits."""
        columns: dict[str, Any] = {
            name: [float(f"{v:.4g}") for v in getattr(self, name)] for name in COLUMNS if getattr(self, name)
        }
        return columns | ({"blurred": [table.to_json() for table in self.blurred]} if self.blurred else {})

    def at(self, sigma: float, sharpness: float = 1.0, level: float = 0.9) -> float | None:
        """Factor at a noise level, linear in the logarithms of sigma and sharpness; the nearest level's outside.

        For the interval of a ``level``, see ``uncertainty.factor_at``. None if the operator passes less than half of the detail
        that the widest blur did.
        """
        tables = (self, *self.blurred)
        lost = [table._between(sigma, -np.log(table.sharpness or 1.0)) for table in tables]
        if sharpness < BEYOND * math.exp(-lost[-1]):
            return None
        return float(np.interp(-math.log(sharpness), lost, [table._of_level(sigma, level) for table in tables]))

    def _of_level(self, sigma: float, level: float) -> float:
        narrow, wide = (self._between(sigma, factors) for factors in (self.factor_50 or self.factor, self.factor))
        return factor_at(level, narrow, wide)

    def _between(self, sigma: float, values: Any) -> float:
        return float(np.interp(math.log(sigma), np.log(self.sigmas), np.broadcast_to(values, len(self.sigmas))))
