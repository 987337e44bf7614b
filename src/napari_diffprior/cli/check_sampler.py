"""``diffprior check sampler``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .app import check
from .terminal import write_line


@check.command
def sampler(
    name: str = "all",
    /,
    *,
    draws: int = 1024,
    seed: int = 0,
    json_: bool = False,
    markdown: bool = False,
    output: Path | None = None,
) -> None:
    """Measure what a sampler really samples, at its defaults, on posteriors that are known exactly.

    Bias (in posterior standard deviations) and variance ratios (sampled over exact) are those of a Gaussian
    deconvolution in 32 coordinates; the distance (sliced W1) is that of a mixture of 25 Gaussians, beside that of as
    many exact draws. No trained network is used.

    Parameters
    ----------
    name
        Name of a sampler; all measures every one.
    draws
        Posterior samples on each problem, 32 or more.
    seed
        Seed of the samples.
    json_
        Print JSON instead, one line for each sampler.
    markdown
        Print a table in Markdown instead.
    output
        Write it to this file too.
    """
    from ..bench.tables import markdown as markdown_table
    from ..bench.tables import text as text_table
    from ..io import check_writable, replacing
    from ..registry import find, registered
    from ..testing.verdict import measure_sampler

    if draws < 32:
        raise ValueError(f"draws = {draws} is too few to tell a variance: take 32 or more.")
    if output is not None:
        check_writable(output)
    chosen = list(registered("sampler").values()) if name == "all" else [find("sampler", name)]
    rows: list[dict[str, Any]] = []
    for cls in chosen:
        figures = measure_sampler(cls(), draws, seed)
        rows.append({**asdict(figures), "verdict": figures.verdict})
    table = markdown_table if markdown else text_table
    shown = "\n".join(json.dumps(row) for row in rows) if json_ else table(rows, _columns())
    if output is not None:
        with replacing(output) as temporary:
            temporary.write_text(shown + "\n")
    write_line(shown)


def _columns() -> list[Any]:
    from ..bench.tables import Column

    return [
        Column("sampler", "sampler"),
        Column("bias", "bias", ".2f"),
        Column("variance_ratio", "variance ratio", ".2f"),
        Column("observed_variance_ratio", "observed variance ratio", ".2f"),
        Column("sliced_w1", "sliced W1", ".2f"),
        Column("exact_w1", "W1 of exact draws", ".2f"),
        Column("calls", "network calls", "d"),
        Column("verdict", "what it is"),
    ]
