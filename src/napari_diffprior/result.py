"""What a run hands back, put together plane by plane."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .axes import Layout, Place, Position, place_of
from .plane import Engine, PlaneResult, keeps_samples
from .recipe import Recipe
from .registry import find
from .uncertainty import quantile, trust

Array = np.ndarray[Any, Any]
COUNTED = ("saturated_pixels", "hot_pixels")  # of all planes
PARTICLES = "effective_particles"
QUANTILES = {"low": 0.05, "high": 0.95}


@dataclass(frozen=True)
class Restoration:
    """Result of a run, in the image's own units and with its axes.

    Parameters
    ----------
    mean : ndarray
        Mean of the samples; float32, of the shape of the image or of its region.
    std : ndarray
        Standard deviation between the samples times the prior's coverage factor; zero for a single sample.
    samples : ndarray, shape (N, ...)
        Empty, (0, ...), where they were not kept: see ``Recipe.keep_samples``.
    misfit : tuple of float
        Chi-square over the number of measurements for each sample, over all planes; about 1 if sample and data agree.
    calls : int
        Network calls for one sample of a plane.
    seconds : float
    recipe : Recipe
    provenance : dict
        JSON types: recipe, prior, versions, device, noise, seconds, misfit; stored with every output.
    reason : str
        Why the deviation is not calibrated; empty if it is.
    quantiles : mapping of str to ndarray
        Those that were written with the result, "low" and "high"; others are made when they are asked for.
    """

    mean: Array
    std: Array
    samples: Array
    misfit: tuple[float, ...]
    calls: int
    seconds: float
    recipe: Recipe
    provenance: dict[str, Any] = field(repr=False)
    reason: str = ""
    quantiles: Mapping[str, Array] = field(default_factory=dict, repr=False)

    @property
    def place(self) -> Place:
        """Where the result lies in the image: centre of its first pixel, and its steps, in pixels of the image."""
        axes, region = self.provenance["axes"], self.recipe.region or {}
        return place_of(axes, [region.get(letter, (0, 0))[0] for letter in axes], self.recipe.upsample)

    @property
    def effective(self) -> tuple[float, ...]:
        """Effective number of particles of each sample (Kong 1992), the mean over planes; empty without particles."""
        return tuple(self.provenance.get(PARTICLES, ()))

    @property
    def calibrated(self) -> bool:
        """Whether the deviation can be read as one: the data agree, and the prior knows its coverage."""
        return not self.reason

    def image(self, kind: str) -> Array:
        """Mean, std, samples, low or high (5 % and 95 % quantiles), by name."""
        if kind in self.quantiles:
            return self.quantiles[kind]
        return self.quantile(QUANTILES[kind]) if kind in QUANTILES else np.asarray(getattr(self, kind))

    def quantile(self, level: float) -> Array:
        """Value below which the truth lies with a probability, from the samples or from mean and deviation.

        Parameters
        ----------
        level : float
            Between 0 and 1, for example 0.05 and 0.95.

        Raises
        ------
        ValueError
            If the level is not possible, or there is one sample only.

        See Also
        --------
        napari_diffprior.uncertainty.quantile : The formulas.
        """
        factor, factor_50 = self.provenance.get("coverage_factor") or 1.0, self.provenance.get("coverage_factor_50")
        return quantile(level, self.mean, self.std, self.recipe.samples, self.samples, factor, factor_50)


class Canvas:
    """Arrays that the restored planes are put into.

    Parameters
    ----------
    layout : Layout
    recipe : Recipe
    """

    def __init__(self, layout: Layout, recipe: Recipe) -> None:
        self._layout, self._recipe = layout, recipe
        shape = layout.result_shape
        self.keep = keeps_samples(recipe, math.prod(shape))
        self.mean, self.std = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self.samples = np.zeros((recipe.samples if self.keep else 0, *shape), np.float32)
        self.planes: list[tuple[Position, PlaneResult]] = []

    def put(self, position: Position, plane: PlaneResult) -> None:
        """Take over a restored plane."""
        target = self._layout.target(position)
        self.mean[target] = self._layout.arrange(plane.mean)
        self.std[target] = self._layout.arrange(plane.std)
        if self.keep:
            self.samples[(slice(None), *target)] = self._layout.arrange(plane.samples if len(plane.samples) else plane.mean[None])
        self.planes.append((position, replace(plane, mean=plane.mean[:0], std=plane.std[:0], samples=plane.samples[:0])))

    def result(self, engine: Engine, seconds: float) -> Restoration:
        """What has been put together."""
        summary = summarise(self._layout, [(position, plane.record()) for position, plane in self.planes], engine.recipe)
        provenance = {**engine.provenance(), **summary, "seconds": round(seconds, 3)}
        return Restoration(
            mean=self.mean,
            std=self.std,
            samples=self.samples,
            misfit=tuple(summary["misfit"]),
            calls=summary["calls"],
            seconds=seconds,
            recipe=engine.recipe,
            provenance=provenance,
            reason=summary["not_calibrated"],
        )


def _spread_of(recipe: Recipe) -> str:
    """Why the samples' spread says nothing whatever the data are, or nothing if it may."""
    is_point = getattr(find("sampler", recipe.sampler), "point_estimate", False)
    return f"{recipe.sampler} is a point estimate: its samples differ by chance alone" if is_point else ""


def _all_known(factors: Sequence[float | None]) -> float | None:
    """Mean of the factors of all planes; None if one of them has none."""
    known = [factor for factor in factors if factor is not None]
    return sum(known) / len(known) if len(known) == len(factors) else None


def summarise(layout: Layout, records: Sequence[tuple[Position, Mapping[str, Any]]], recipe: Recipe) -> dict[str, Any]:
    """What is said of all planes together, and of each where there are several; JSON types."""
    restored = [record for _, record in records if record["misfit"]]
    if not restored:
        raise ValueError("every plane of the image is constant, or masked as a whole: there is nothing to restore.")
    known, narrow = (_all_known([record.get(key) for record in restored]) for key in ("coverage_factor", "coverage_factor_50"))
    misfits = [value for record in restored for value in record["misfit"]]
    particles = [record[PARTICLES] for record in restored if PARTICLES in record]
    summary = {
        "axes": layout.axes,
        "noise_sigma": float(np.mean([record["noise_sigma"] for record in restored])),
        "misfit": [round(float(value), 6) for value in np.mean([record["misfit"] for record in restored], axis=0)],
        "calls": max(record["calls"] for record in restored),
        "coverage_factor": known,
        "coverage_factor_50": narrow,
        "not_calibrated": _spread_of(recipe) or trust(misfits, recipe.samples, known),
        **({PARTICLES: [round(float(value), 3) for value in np.mean(particles, axis=0)]} if particles else {}),
        **{name: sum(r.get(name, 0) for r in restored) for name in COUNTED if any(name in r for r in restored)},
    }
    if layout.count == 1:
        return {**records[0][1], **summary}
    return {**summary, "planes": [{**record, "position": layout.named(position)} for position, record in records]}
