"""The collapsed part of the restore widget: the sampler with its own parameters, and the rest of the recipe."""

import secrets
from typing import Any

from magicgui.widgets import CheckBox, ComboBox, Container, PushButton
from magicgui.widgets.bases import ValueWidget, Widget

from ..params import from_dict, to_dict
from ..recipe import Recipe
from ..registry import find, registered
from .form import editor, fields_of, fill, form, read, value_of
from .rows import row

CLOSED, OPEN = "▸  Advanced", "▾  Advanced"


class Advanced:
    """Rows that are hidden until asked for: every field of a recipe that is not shown elsewhere.

    Parameters
    ----------
    parent : Container
        Where the rows are; the sampler's own follow the choice of the sampler.
    elsewhere : collection of str
        Fields of the recipe that other rows edit.
    """

    def __init__(self, parent: Container, elsewhere: frozenset[str]) -> None:
        self._parent = parent
        start = Recipe()
        self.toggle = PushButton(text=CLOSED, tooltip="Sampler, seed, precision, device and more.")
        self.sampler = ComboBox(choices=list(registered("sampler")), value=start.sampler, name="sampler", label="Sampler")
        self.device: Any = ComboBox(choices=["auto", "cpu"], value=start.device, name="device", label="Device")
        self.device.tooltip = "Where the network runs; auto takes the GPU if there is one."
        names = [name for name in fields_of(Recipe) if name not in {*elsewhere, "sampler", "options", "device"}]
        self.fixed: dict[str, Any] = {name: editor(Recipe, name, getattr(start, name)) for name in names}
        self.fixed["device"] = self.device
        self.seed = self.fixed["seed"]
        self.own: dict[str, ValueWidget] = {}
        self._own_rows: list[Widget] = []
        self._rows: list[Widget] = [self._row_of(name, each) for name, each in self.fixed.items()]
        self.rows: list[Widget] = [self.toggle, self.sampler, *self._rows]
        self.open = False
        self.toggle.changed.connect(self._toggle)
        self.sampler.changed.connect(self.show_sampler)

    def _row_of(self, name: str, each: Widget) -> Widget:
        if name == "seed":
            return self._with_dice()
        return row("", each) if isinstance(each, CheckBox) else each  # a box carries its own label

    def _with_dice(self) -> Container:
        self.dice = PushButton(text="⚂", tooltip="Another seed.")
        self.dice.max_width = 36
        self.dice.changed.connect(self._roll)
        return row(self.seed.label, self.seed, self.dice)

    def _toggle(self) -> None:
        self.open = not self.open
        self.toggle.text = OPEN if self.open else CLOSED
        self.show_rows()

    def show_rows(self) -> None:
        """Show or hide all rows but the headline."""
        for each in (self.sampler, *self._rows, *self._own_rows):
            each.visible = self.open

    def show_sampler(self) -> None:
        """Replace the sampler's own rows by those of the chosen one."""
        for each in self._own_rows:
            self._parent.remove(each)
        cls = find("sampler", self.sampler.value)
        self.sampler.tooltip = " ".join((cls.__doc__ or "").split("\n\n")[0].split())
        self.own = form(cls())
        self._own_rows = [self._row_of(name, each) for name, each in self.own.items()]
        place = self._parent.index(self.sampler) + 1
        for offset, each in enumerate(self._own_rows):
            self._parent.insert(place + offset, each)
        self.show_rows()

    def _roll(self) -> None:
        self.seed.value = secrets.randbelow(1_000_000)

    def suit_samples(self, samples: int) -> None:
        """Quantiles need two samples."""
        self.fixed["quantiles"].enabled = samples > 1

    def offer_device(self, name: str) -> None:
        """Add a device that was found to the choices."""
        if name not in self.device.choices:
            self.device.choices = (*self.device.choices, name)

    def settings(self) -> dict[str, Any]:
        """Recipe settings of these rows; of the sampler's parameters those that are not its defaults.

        Raises
        ------
        ValueError
            If a parameter cannot be what was typed.
        """
        cls = find("sampler", self.sampler.value)
        chosen, defaults = to_dict(read(cls, self.own)), to_dict(cls())
        return {
            "sampler": self.sampler.value,
            "options": {name: value for name, value in chosen.items() if value != defaults[name]},
            **{name: value_of(each) for name, each in self.fixed.items()},
        }

    def fill(self, recipe: Recipe) -> None:
        """Show the settings of a recipe; the inverse of ``settings``."""
        self.offer_device(recipe.device)
        for name, each in self.fixed.items():
            fill(each, getattr(recipe, name))
        if self.sampler.value != recipe.sampler:
            self.sampler.value = recipe.sampler
        sampler = from_dict(find("sampler", recipe.sampler), recipe.options)
        for name, each in self.own.items():
            fill(each, getattr(sampler, name))
