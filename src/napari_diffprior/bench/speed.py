"""What a sampler costs beside its bare network calls: each case in a fresh process."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from .scoring import Say, chosen_samplers
from .speed_case import Case
from .tables import Column

COLUMNS = [
    Column("sampler", "sampler"),
    Column("size", "size"),
    Column("batch", "batch"),
    Column("calls", "calls"),
    Column("seconds", "seconds", ".2f"),
    Column("bare_seconds", "bare calls", ".2f"),
    Column("ratio", "ratio", ".3f"),
    Column("plain_seconds", "calls by diffusers", ".2f"),
    Column("plain_ratio", "ratio", ".3f"),
    Column("pixels", "pixels per pixel", ".2f"),
    Column("mebibytes", "MiB", ".0f"),
]


def speed(
    samplers: Sequence[str] = (),
    sizes: Sequence[int] = (256, 1024),
    batches: Sequence[int] = (1, 8),
    say: Say = str,
    **settings: Any,
) -> list[dict[str, Any]]:
    """Time every sampler on every size and batch.

    Parameters
    ----------
    samplers : sequence of str
        Empty for all that are registered.
    sizes : sequence of int
        Sides of the square images.
    batches : sequence of int
        Samples drawn at once.
    say : callable
        Is told each case when it is done.
    **settings
        Other fields of `Case`: steps, repeats, prior, device, precision.

    Returns
    -------
    list of dict
        As `speed_case.measure`, and ``note`` with the last line of a case that failed.
    """
    rows = []
    for size, batch, sampler in product(sizes, batches, chosen_samplers(samplers)):
        row = run_case(Case(sampler=sampler, size=size, batch=batch, **settings))
        rows.append(row)
        say(f"{sampler} {size} x {size}, batch {batch}: {row['note'] or f'''{row['seconds']:.2f} s, ratio {row['ratio']:.3f}'''}")
    return rows


def run_case(case: Case) -> dict[str, Any]:
    """Measure a case in a process of its own, so that its peak memory is its own."""
    from ..params import to_json

    command = [sys.executable, "-m", "napari_diffprior.bench.speed_case", to_json(case)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return {**json.loads(done.stdout.splitlines()[-1]), "note": ""}
    nothing = dict.fromkeys((column.key for column in COLUMNS), float("nan"))
    last = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
    return {**nothing, **json.loads(to_json(case)), "note": last}


def machine() -> dict[str, Any]:
    """Processor, cores, threads and versions: what the figures belong to."""
    from importlib.metadata import version

    import torch

    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": len(names) or None,
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": platform.system(),
        "versions": {name: version(name) for name in ("napari-diffprior", "torch", "diffusers", "numpy")},
    }
