"""The dock widget "Restore folder"."""

import math
from threading import Event
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, ComboBox, Container, Label, LineEdit, PushButton
from qtpy.QtWidgets import QApplication, QTableWidgetItem

from ..params import from_dict
from ..recipe import Recipe
from . import worker
from .open_docks import open_restore
from .pace import duration
from .rows import finish_line, headline, path_box, path_of, row, table
from .run import Run

if TYPE_CHECKING:
    import napari.components

    from ..folder import FolderSettings, Outcome

WIDGET, FILE = "Restore image, as it stands", "Settings file"


class FolderWidget(Container):
    """Restore every image of a folder with the settings of Restore image, or of a file.

    Parameters
    ----------
    napari_viewer : napari.components.ViewerModel
        Viewer whose Restore image has the settings; nothing is added to it.
    """

    def __init__(self, napari_viewer: "napari.components.ViewerModel") -> None:
        super().__init__(labels=False)
        self._viewer = napari_viewer
        self._run: Run | None = None
        self._make_rows()
        self.restore = PushButton(text="Restore folder", tooltip="Restore file by file; what is there already is kept.")
        self.table = table("File", "Status", "Misfit", "Seconds", "Why")
        self.message = Label(value="")
        self._lay_out()
        self.restore.changed.connect(self.start_or_cancel)
        self.settings.changed.connect(self._show_rows)
        self.native.destroyed.connect(self._gone)
        if (application := QApplication.instance()) is not None:
            application.aboutToQuit.connect(self._gone)

    def _make_rows(self) -> None:
        self.source = path_box("source", "Images", "Folder of TIFF, PNG, WebP, JPEG or NPY files.")
        self.pattern = LineEdit(value="*", name="pattern", label="Pattern")
        self.pattern.tooltip = "Which files, for example *.tif; **/*.tif takes subfolders too."
        masks = "Folder with a mask of the same name for each image, non-zero = missing. Optional."
        self.masks = path_box("masks", "Masks", masks, nullable=True)
        self.psf = path_box(
            "psf", "PSF", "File of a point spread function for all images. Optional.", folder=False, nullable=True
        )
        self.target = path_box("target", "Results", "Folder for the results and report.csv.")
        self.std = CheckBox(value=True, name="std", text="Write std", tooltip="Also write <name>_std.tif, in image units.")
        self.settings = ComboBox(choices=[WIDGET, FILE], name="settings", label="Settings")
        self.settings.tooltip = "Settings of the widget Restore image (its defaults if it is not open), or of a file it saved."
        self.file = path_box("file", "File", "Settings file, or a result that carries its recipe.", folder=False)

    def _lay_out(self) -> None:
        rows: Container = Container(labels=True)
        rows.margins = (0, 0, 0, 0)
        rows.extend(
            [self.source, self.pattern, self.masks, self.psf, self.target, self.std, self.settings, self.file, headline()]
        )
        finish_line(self.message)
        self.extend([rows, row("", self.restore)])
        self.native.layout().addWidget(self.table)
        self.append(self.message)
        self._show_rows()

    def _show_rows(self) -> None:
        self.file.visible = self.settings.value == FILE

    def where(self) -> "FolderSettings":
        """Folders and pattern as they stand.

        Raises
        ------
        ValueError
            If one of them is missing.
        """
        from ..folder import FolderSettings

        paths = {name: path_of(getattr(self, name)) for name in ("source", "target", "masks", "psf")}
        for name, what in (("source", "the folder of the images"), ("target", "a folder for the results")):
            if paths[name] is None:
                raise ValueError(f"choose {what}.")
        return from_dict(FolderSettings, {**paths, "pattern": self.pattern.value or "*", "std": self.std.value})

    def recipe(self) -> Recipe:
        """Settings of the open Restore image, or of the file.

        Raises
        ------
        ValueError, OSError
            If they cannot be used.
        """
        from ..recipe_file import read_recipe

        if self.settings.value == FILE:
            path = path_of(self.file)
            if path is None:
                raise ValueError("choose the settings file.")
            return read_recipe(path)
        return next((widget.recipe() for widget in open_restore(self._viewer)), Recipe())

    def start_or_cancel(self) -> None:
        """Start on the folder; while it is at work, cancel."""
        from ..folder import find_images

        if self._run is not None:
            self.restore.text, self.restore.enabled = "Cancelling...", False
            self._run.cancel()
            return
        try:
            where, recipe = self.where(), self.recipe()
            find_images(where)
        except (ValueError, OSError) as error:
            self.message.value = str(error)[:1].upper() + str(error)[1:]
            return
        self.table.setRowCount(0)
        self.message.value = "Loading the prior..."
        self.restore.text = "Cancel"
        stop = Event()
        self._run = Run(worker.folder_steps(where, recipe, stop), stop, f"Restoring {where.source.name}", self)
        self._run.start()

    def progressed(self, progress: worker.FolderProgress, seconds_left: float) -> None:
        """Show which file it is at, and add a line for one that is done."""
        if progress.outcome is not None:
            self._add(progress.outcome)
        left = "" if math.isnan(seconds_left) else f", about {duration(seconds_left)} left"
        self.message.value = f"File {progress.number} of {progress.files}, {progress.file}{left}"

    def _add(self, outcome: "Outcome") -> None:
        last = self.table.rowCount()
        self.table.insertRow(last)
        failed = outcome.status == "failed"
        numbers = ("", "") if failed else (f"{outcome.misfit:.2f}", f"{outcome.seconds:.1f}")
        for column, text in enumerate((outcome.file, outcome.status, *numbers, outcome.message)):
            item = QTableWidgetItem(text)
            item.setToolTip(text)
            self.table.setItem(last, column, item)
        self.table.resizeColumnsToContents()
        self.table.scrollToBottom()

    def finished(self, result: "list[Outcome]") -> None:
        """Say how many of each there are."""
        count = {status: sum(one.status == status for one in result) for status in ("restored", "kept", "failed")}
        self.message.value = ", ".join(f"{number} {status}" for status, number in count.items()) + "; see report.csv"

    def failed(self, error: Exception) -> None:
        """Repeat the notification's sentence."""
        self.message.value = str(error)

    def ended(self) -> None:
        """Make the widget ready for the next run."""
        if self._run is not None and self._run.stop.is_set():
            self.message.value = "Cancelled; the files that were done stay, and are kept when it is started again."
        self._run = None
        self.restore.text, self.restore.enabled = "Restore folder", True

    def _gone(self, *_: Any) -> None:
        if self._run is not None:
            self._run.abandon()
