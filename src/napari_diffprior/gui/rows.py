"""What the widgets lay out alike."""

from pathlib import Path
from typing import Any

from magicgui.types import FileDialogMode
from magicgui.widgets import Container, FileEdit, Label
from magicgui.widgets.bases import Widget
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QSizePolicy, QTableWidget

RULER = "M" * 11  # as wide as the widest label in napari's font
MESSAGE_LINES = 4


def row(label: str, *widgets: Widget) -> Container:
    """Widgets side by side in one labelled row."""
    made = Container(widgets=list(widgets), layout="horizontal", labels=False, label=label)
    made.margins = (0, 0, 0, 0)
    made.tooltip = widgets[0].tooltip
    return made


def headline() -> Label:
    """Hidden row as wide as the widest label, so that all rows are in line whichever are shown."""
    return Label(label=RULER, visible=False)


def wrap(line: Label) -> None:
    """Let a label take the width that there is, and break its lines."""
    line.native.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
    line.native.setWordWrap(True)


def finish_line(line: Label) -> None:
    """Make a label the last line of a widget: room for a sentence, so that nothing moves when one appears."""
    wrap(line)
    line.native.setAlignment(Qt.AlignmentFlag.AlignTop)
    line.min_height = MESSAGE_LINES * line.native.fontMetrics().lineSpacing()


def table(*columns: str) -> Any:
    """Table to be read, with these columns; the last one takes the width that is left."""
    made: Any = QTableWidget(0, len(columns))
    made.setHorizontalHeaderLabels(list(columns))
    made.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    made.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    made.setTabKeyNavigation(False)
    made.verticalHeader().setVisible(False)
    made.horizontalHeader().setStretchLastSection(True)
    made.resizeColumnsToContents()
    made.setMinimumHeight(6 * made.fontMetrics().lineSpacing())
    return made


def path_box(name: str, label: str, tooltip: str, folder: bool = True, **options: Any) -> Any:
    """Row for an existing folder, or an existing file."""
    mode = FileDialogMode.EXISTING_DIRECTORY if folder else FileDialogMode.EXISTING_FILE
    return FileEdit(mode=mode, name=name, label=label, tooltip=tooltip, **options)


def path_of(box: Any) -> Path | None:
    """Path in such a row; None if it is empty."""
    return Path(str(box.value)) if box.line_edit.value.strip() else None  # the value of an empty line is the working folder
