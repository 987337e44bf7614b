"""The estimate line: how much work a run is, and how long it takes by what was measured."""

import math
from typing import TYPE_CHECKING

from ..recipe import Recipe
from ..tiling import GROWN_OVERLAP, LONGEST, lay_out

if TYPE_CHECKING:
    from .worker import Progress


class Pace:
    """Seconds that one step of one tile takes, by the settings that change it; measured while a run goes on."""

    def __init__(self) -> None:
        self._measured: dict[tuple[str, ...], float] = {}

    def describe(self, tiles: int, recipe: Recipe) -> str:
        """Work, and time where a run with such settings was measured: "4 tiles x 4 samples x 20 steps, about 2 min"."""
        steps = getattr(recipe.make_sampler(), "steps", 1)
        counts = ((tiles, "tile"), (recipe.samples, "sample"), (steps, "step"))
        work = " x ".join(f"{count} {name}{'s' * (count != 1)}" for count, name in counts)
        each = self._measured.get(_key(recipe))
        return work if each is None else f"{work}, about {duration(each * tiles * recipe.samples * steps)}"

    def measure(self, tiles: int, recipe: Recipe, progress: "Progress", seconds_left: float) -> None:
        """Learn from where a run stands."""
        if not math.isnan(seconds_left) and progress.step < progress.total:
            steps = getattr(recipe.make_sampler(), "steps", 1)
            whole = seconds_left * progress.total / (progress.total - progress.step)
            self._measured[_key(recipe)] = whole / (tiles * recipe.samples * steps)


def _key(recipe: Recipe) -> tuple[str, ...]:
    return recipe.sampler, recipe.prior, recipe.device, recipe.precision


def count_tiles(shape: tuple[int, ...], patch: tuple[int, ...]) -> int:
    """Tiles of all planes of an image.

    Parameters
    ----------
    shape : tuple of int
        Image, the plane last.
    patch : tuple of int
        Patch of the prior, from which tiles grow.
    """
    *leading, height, width = shape
    along = [len(lay_out(n, p, round(LONGEST * p), GROWN_OVERLAP)[1]) for n, p in ((height, patch[0]), (width, patch[-1]))]
    return math.prod([*leading, *along])


def duration(seconds: float) -> str:
    """A time in words: "8 s", "3 min", "2 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.0f} h"
