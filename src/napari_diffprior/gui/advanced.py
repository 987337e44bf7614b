"""The collapsed part of the restore widget: sampler with its own parameters, seed, precision, device."""

import secrets
from typing import Any

from magicgui.widgets import ComboBox, Container, PushButton
from magicgui.widgets.bases import ValueWidget, Widget

from ..params import to_dict
from ..recipe import Recipe
from ..registry import find, registered
from .form import editor, form, read

CLOSED, OPEN = "▸  Advanced", "▾  Advanced"


class Advanced:
    """Rows that are hidden until asked for.

    Parameters
    ----------
    parent : Container
        Where the rows are; the sampler's own follow the choice of the sampler.
    """

    def __init__(self, parent: Container) -> None:
        self._parent = parent
        start = Recipe()
        self.toggle = PushButton(text=CLOSED, tooltip="Sampler, seed, precision and device.")
        self.sampler = ComboBox(choices=list(registered("sampler")), value=start.sampler, name="sampler", label="Sampler")
        self.seed: Any = editor(Recipe, "seed", start.seed)
        self.dice = PushButton(text="⚂", tooltip="Another seed.")
        self.dice.max_width = 36
        self.precision = editor(Recipe, "precision", start.precision)
        self.device = ComboBox(choices=["auto", "cpu"], value=start.device, name="device", label="Device")
        self.device.tooltip = "Where the network runs; auto takes the GPU if there is one."
        seed = Container(widgets=[self.seed, self.dice], layout="horizontal", labels=False, label=self.seed.label)
        seed.margins = (0, 0, 0, 0)
        self.own: dict[str, ValueWidget] = {}
        self._fixed: list[Widget] = [self.sampler, seed, self.precision, self.device]
        self.rows: list[Widget] = [self.toggle, *self._fixed]
        self.open = False
        self.toggle.changed.connect(self._toggle)
        self.dice.changed.connect(self._roll)
        self.sampler.changed.connect(self.show_sampler)

    def _toggle(self) -> None:
        self.open = not self.open
        self.toggle.text = OPEN if self.open else CLOSED
        self.show_rows()

    def show_rows(self) -> None:
        """Show or hide all rows but the headline."""
        for row in (*self._fixed, *self.own.values()):
            row.visible = self.open

    def show_sampler(self) -> None:
        """Replace the sampler's own rows by those of the chosen one."""
        for row in self.own.values():
            self._parent.remove(row)
        cls = find("sampler", self.sampler.value)
        self.sampler.tooltip = " ".join((cls.__doc__ or "").split("\n\n")[0].split())
        self.own = form(cls())
        place = self._parent.index(self.sampler) + 1
        for offset, row in enumerate(self.own.values()):
            self._parent.insert(place + offset, row)
        self.show_rows()

    def _roll(self) -> None:
        self.seed.value = secrets.randbelow(1_000_000)

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
            "seed": self.seed.value,
            "precision": self.precision.value,
            "device": self.device.value,
        }
