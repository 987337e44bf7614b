"""Draft, Balanced, Best: presets that only set numbers which can be seen and changed."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from magicgui.widgets import ComboBox
from magicgui.widgets.bases import ValueWidget

from ..recipe import Recipe
from ..registry import find
from .advanced import Advanced
from .worker import Request

CUSTOM, BALANCED = "Custom", "Balanced"
# Share of the sampler's own steps, and samples; a standard deviation needs at least two.
PRESETS: Mapping[str, tuple[float, int]] = MappingProxyType({"Draft": (0.5, 1), BALANCED: (1.0, 4), "Best": (2.0, 16)})
PREVIEW_STEPS = 8


class Quality:
    """Row that sets steps and samples, and says "Custom" when they are those of no preset.

    Parameters
    ----------
    samples : ValueWidget
    advanced : Advanced
    """

    def __init__(self, samples: ValueWidget, advanced: Advanced) -> None:
        self._samples, self._advanced = samples, advanced
        self._busy = False
        self.row = ComboBox(choices=[*PRESETS, CUSTOM], value=BALANCED, name="quality", label="Quality")
        self.row.tooltip = "Sets Samples, and Steps in Advanced: Draft 1 and half of the usual, Balanced 4, Best 16 and twice."
        self.row.changed.connect(self._apply)
        advanced.sampler.changed.connect(self._apply)

    def _apply(self, _: Any = None) -> None:
        """Set the numbers of the chosen preset."""
        if self._busy or self.row.value == CUSTOM:
            return
        self._busy = True
        steps, self._samples.value = self._numbers(self.row.value)
        if steps is not None:
            self._advanced.own["steps"].value = steps
        self._busy = False

    def _numbers(self, preset: str) -> tuple[int | None, int]:
        """Steps and samples of a preset; a sampler may have no steps to set."""
        share, samples = PRESETS[preset]
        usual = getattr(find("sampler", self._advanced.sampler.value)(), "steps", None)
        return None if usual is None else max(1, round(share * usual)), samples

    def show(self, *_: Any) -> None:
        """Name the preset that the numbers are; to be called when any row changes."""
        if self._busy:
            return
        steps = self._advanced.own.get("steps")
        now = None if steps is None else steps.value, self._samples.value
        name = next((preset for preset in PRESETS if self._numbers(preset) == now), CUSTOM)
        if name != self.row.value:
            self._busy = True
            self.row.value = name
            self._busy = False


def sketched(request: Request) -> Request:
    """The same run for a preview, its result kept in memory."""
    return replace(request, recipe=draft(request.recipe), store=None)


def draft(recipe: Recipe) -> Recipe:
    """One sample in few steps, for a preview: a fifth of the steps, at least eight."""
    steps = recipe.make_sampler().steps or 0  # of a method that is not chosen yet
    few = max(PREVIEW_STEPS, steps // 5)
    few = min(steps, few) if steps else few
    return replace(recipe, samples=1, options={**recipe.options, "steps": few})
