"""Results as rows: aligned text, Markdown, CSV and JSON, with the best of each column marked."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..io import check_writable, replacing

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """How a value of the rows is shown.

    Parameters
    ----------
    key : str
        Its name in the rows.
    title : str
        Heading.
    spec : str
        Format, as in ``format``.
    best : {"", "high", "low"}
        Which value of the column, within the rows of one task, is marked.
    """

    key: str
    title: str
    spec: str = ""
    best: Literal["", "high", "low"] = ""


@dataclass(frozen=True)
class Files:
    """Where a table is written beside the screen.

    Parameters
    ----------
    csv, json, markdown : Path, optional
        None is not written.
    """

    csv: Path | None = None
    json: Path | None = None
    markdown: Path | None = None

    def check(self) -> None:
        """Make sure, before any work, that the files can be written."""
        for path in (self.csv, self.json, self.markdown):
            if path is not None:
                check_writable(path)

    def write(self, rows: Sequence[Row], columns: Sequence[Column], about: Row) -> None:
        """Write the files; JSON also holds what the run was about."""
        plain = [{key: _json_value(value) for key, value in row.items()} for row in rows]
        _write(self.json, json.dumps({"about": dict(about), "rows": plain}, indent=1) + "\n")
        _write(self.markdown, markdown(rows, columns) + "\n")
        if self.csv is not None:
            with replacing(self.csv) as temporary, temporary.open("w", newline="") as stream:
                table = csv.DictWriter(stream, list(rows[0]))
                table.writeheader()
                table.writerows(plain)


def markdown(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """Table in Markdown; the best are bold."""
    head = f"| {' | '.join(column.title for column in columns)} |"
    cells = _cells(rows, columns, lambda text: f"**{text}**")
    return "\n".join([head, "|" + "---|" * len(columns), *(f"| {' | '.join(line)} |" for line in cells)])


def text(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """Aligned columns; the best have a star."""
    cells = [[column.title for column in columns], *_cells(rows, columns, lambda value: f"{value}*")]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells)


def _cells(rows: Sequence[Row], columns: Sequence[Column], mark: Callable[[str], str]) -> list[list[str]]:
    return [[_cell(row, column, rows, mark) for column in columns] for row in rows]


def _cell(row: Row, column: Column, rows: Sequence[Row], mark: Callable[[str], str]) -> str:
    shown = _shown(row[column.key], column)
    if not column.best or shown == "-":
        return shown
    group = [other[column.key] for other in rows if other.get("task") == row.get("task") and _is_number(other[column.key])]
    best = max(group) if column.best == "high" else min(group)
    return mark(shown) if shown == _shown(best, column) else shown


def _shown(value: Any, column: Column) -> str:
    return "-" if value is None or (isinstance(value, float) and math.isnan(value)) else format(value, column.spec)


def _is_number(value: Any) -> bool:
    return value is not None and not math.isnan(value)


def _json_value(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write(path: Path | None, content: str) -> None:
    if path is not None:
        with replacing(path) as temporary:
            temporary.write_text(content)
