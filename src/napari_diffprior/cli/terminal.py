"""What the commands share: reading options, a progress bar, and saying what came out."""

from __future__ import annotations

import json
import sys
from typing import Any


def say(report: dict[str, Any], as_json: bool) -> None:
    """Print a report, as lines or as one line of JSON."""
    if as_json:
        write_line(json.dumps(report))
    else:
        write_line("\n".join(f"{name}: {value}" for name, value in report.items()))


def drive_with_bar(run: Any) -> Any:
    """Drive a restoration with a progress bar on stderr; returns its result."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("restoring"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("misfit {task.fields[misfit]:.2f}"),
    )
    update = next(run)  # mistakes in the input end the run here, before there is a bar
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("restoring", total=update.total, misfit=update.misfit)
        while True:
            bar.update(task, completed=update.step, misfit=update.misfit)
            try:
                update = next(run)
            except StopIteration as end:
                return end.value


def number_or_name(text: str) -> float | str:
    """Number of an option that also takes names, such as ``auto``."""
    try:
        return float(text)
    except ValueError:
        return text


def assignment(text: str) -> tuple[str, Any]:
    """``name=value`` with the value read as JSON where it is JSON."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"--set takes name=value, not {text!r}.")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def write_line(text: str) -> None:
    """Write a line to standard output at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
