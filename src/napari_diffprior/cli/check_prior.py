"""``diffprior check prior``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .app import check
from .terminal import write_line


@check.command
def prior(name: str = "microscopy", /, *, samples: int = 0, grid: Path | None = None, json_: bool = False) -> None:
    """Print what a prior is: data, licences, training, calibration, limits.

    Parameters
    ----------
    name
        Name of a prior, hf:owner/repository@commit, or a folder.
    samples
        Draw so many images without any data and compare their mean and deviation with the data's; 64 is a good number.
    grid
        Write these samples side by side to this PNG.
    json_
        Print one line of JSON instead.
    """
    from ..train.inspect import describe, sample_statistics

    if grid is not None and samples < 1:
        raise ValueError("--grid needs --samples: say how many to draw, for example 64.")
    lines, facts = describe(name)
    drawn: dict[str, Any] = sample_statistics(name, samples, grid) if samples else {}
    if json_:
        write_line(json.dumps({**facts, **({"samples": drawn} if drawn else {})}))
        return
    write_line("\n".join(lines).rstrip())
    if drawn:
        write_line("\n## Samples without any data\n\n" + "\n".join(f"{key}: {value}" for key, value in drawn.items()))
