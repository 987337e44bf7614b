"""Rows for the prior: embedded and cached ones first, then a folder or a name on the Hugging Face hub."""

from pathlib import Path

from magicgui.widgets import ComboBox, LineEdit
from magicgui.widgets.bases import Widget

from ..priors.hub import PREFIX
from ..priors.store import find_prior, list_priors, prior_info
from .rows import path_box, path_of

LOCAL, HUB = "Local folder...", "Hugging Face..."


class PriorRows:
    """What images look like, learnt from examples."""

    def __init__(self) -> None:
        self._patches = {info.name: info.patch for info in list_priors()}
        self.choice = ComboBox(choices=[*self._patches, LOCAL, HUB], name="prior", label="Prior")
        self.choice.tooltip = "What images look like, learnt from examples: choose the one nearest to yours."
        self.folder = path_box("folder", "Folder", "Folder in the diffusers layout, for example one that was trained here.")
        self.hub = LineEdit(name="hub", label="Id")
        self.hub.tooltip = "owner/repository@ and the 40 digits of a commit; it is downloaded when the run starts, and kept."
        self.rows: list[Widget] = [self.choice, self.folder, self.hub]
        self.choice.changed.connect(self.show_rows)

    def show_rows(self, *_: object) -> None:
        """Show the row that the choice needs."""
        self.folder.visible = self.choice.value == LOCAL
        self.hub.visible = self.choice.value == HUB

    def choose(self, prior: str) -> None:
        """Choose a prior by name, folder or id."""
        if prior in self._patches:
            self.choice.value = prior
        elif prior.startswith(PREFIX):
            self.choice.value, self.hub.value = HUB, prior.removeprefix(PREFIX)
        else:
            self.choice.value, self.folder.value = LOCAL, Path(prior)

    def name(self) -> str:
        """Setting of the recipe; a folder is checked, an id when it is looked up.

        Raises
        ------
        ValueError
            If none is chosen, or the folder is not a prior.
        """
        if self.choice.value == HUB:
            text = str(self.hub.value).strip().removeprefix(PREFIX)
            if not text:
                raise ValueError("write the prior's id: owner/repository@ and the 40 digits of a commit.")
            return PREFIX + text
        if self.choice.value != LOCAL:
            return str(self.choice.value)
        folder = path_of(self.folder)
        if folder is None:
            raise ValueError("choose the folder of the prior.")
        find_prior(folder)
        return str(folder)

    def patch(self) -> tuple[int, ...]:
        """Tile of the chosen prior, pixels; that of the first one where it is not known before it is downloaded."""
        name = str(self.choice.value)
        if name == LOCAL and (folder := path_of(self.folder)) is not None:
            return prior_info(folder).patch
        return self._patches.get(name) or next(iter(self._patches.values()))
