"""The button "Settings": reset, save, load, copy as Python."""

from collections.abc import Callable
from typing import Protocol

from magicgui.widgets import PushButton
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QFileDialog, QMenu

from ..recipe import Recipe
from ..recipe_file import read_recipe, write_recipe

FILES = "Settings (*.yaml *.yml *.json)"
READABLE = "Settings (*.yaml *.yml *.json *.tif *.tiff)"


class HasSettings(Protocol):
    """What the menu works on."""

    def recipe(self) -> Recipe:
        """Settings as they stand."""

    def show_recipe(self, recipe: Recipe) -> None:
        """Show other settings."""


class SettingsMenu:
    """A push button with a menu; what is wrong with a file is raised, and napari shows it.

    Parameters
    ----------
    owner : HasSettings
        Widget whose settings are saved and loaded.
    script : callable, optional
        Gives the Python source of "Copy as Python".
    """

    def __init__(self, owner: HasSettings, script: Callable[[], str] | None = None) -> None:
        self._owner = owner
        self.button = PushButton(text="Settings", tooltip="Reset, save or load the settings, or copy them as a Python script.")
        menu = QMenu(self.button.native)
        self.actions = {
            "Reset": menu.addAction("Reset", self.reset),
            "Save...": menu.addAction("Save...", self._ask_save),
            "Load...": menu.addAction("Load...", self._ask_load),
        }
        if script is not None:
            self._script = script
            self.actions["Copy as Python"] = menu.addAction("Copy as Python", self.copy_script)
        self.button.native.setMenu(menu)

    def reset(self) -> None:
        """Show the defaults."""
        self._owner.show_recipe(Recipe())

    def save(self, path: str) -> None:
        """Write the settings; a name without an ending becomes YAML."""
        write_recipe(path if "." in path.rsplit("/", 1)[-1] else f"{path}.yaml", self._owner.recipe())

    def load(self, path: str) -> None:
        """Show the settings of a file, or of a result that carries them."""
        self._owner.show_recipe(read_recipe(path))

    def copy_script(self) -> None:
        """Put the script on the clipboard."""
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self._script())

    def _ask_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self.button.native, "Save settings", "settings.yaml", FILES)
        if path:
            self.save(path)

    def _ask_load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self.button.native, "Load settings", "", READABLE)
        if path:
            self.load(path)
