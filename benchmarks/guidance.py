"""Calibrated DPS beside fixed scales, from three start noises, on the two tasks with gaps.

    python benchmarks/guidance.py --json rows.json [--tasks hole] [--starts 300] [--thin 5] [--size 96] [--samples 2]

Rows are added to the file as they come, and a run goes on where the last one ended: one of another size needs another file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_diffprior.bench.pictures import clean_pictures
from napari_diffprior.bench.scoring import Settings, attempt_score
from napari_diffprior.bench.tasks import make_task

CALIBRATED = "calibrated"
LINE = "| {task} | {start} | {calibrated:.2f} | {best:.2f} | {scale} | {gap:+.2f} | {all} |"
HEAD = "| task | T | calibrated | best fixed | its scale | calibrated ahead by | the ten scales |\n" + "|---" * 7 + "|"


def choices(scales: list[float]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and options of each way to guide."""
    yield CALIBRATED, {"guidance": CALIBRATED}
    yield from ((f"{scale:.3g}", {"guidance": "norm", "scale": scale}) for scale in scales)


def main() -> None:
    """Measure what the file does not hold yet, and print the table of all that it holds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", default=["scattered", "hole"])
    parser.add_argument("--starts", nargs="+", type=int, default=[300, 400, 500])
    parser.add_argument("--pictures", nargs="*", type=Path, default=[])
    parser.add_argument("--thin", type=int, default=5, help="timesteps to a step")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--images", type=int, default=1)
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--scales", nargs=3, default=(0.3, 100.0, 10), type=float, help="lowest, highest, how many")
    given = parser.parse_args()
    rows = json.loads(given.json.read_text()) if given.json.exists() else []
    pictures, settings = clean_pictures(given.pictures, given.size, given.images), Settings(samples=given.samples)
    low, high, count = given.scales
    for name in given.tasks:
        tasks = [make_task(name, picture) for picture in pictures]
        for start in given.starts:
            for guidance, options in choices(np.geomspace(low, high, int(count)).tolist()):
                key = {"task": name, "start": start, "guidance": guidance}
                if any(key.items() <= row.items() for row in rows):
                    continue
                found, _ = attempt_score(tasks, "dps", settings, {"start": start, "steps": start // given.thin, **options})
                rows.append({**key, "psnr": found.psnr, "misfit": found.misfit})
                given.json.write_text(json.dumps(rows, indent=1))
                sys.stderr.write(f"{name} {start} {guidance}: {found.psnr:.2f}\n")
    sys.stdout.write("\n".join([HEAD, *table(rows)]) + "\n")


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """A line for each task and start that was measured."""
    for name, start in dict.fromkeys((row["task"], row["start"]) for row in rows):
        found = {row["guidance"]: row["psnr"] for row in rows if (row["task"], row["start"]) == (name, start)}
        calibrated = found.pop(CALIBRATED)
        scale = max(found, key=lambda scale: found[scale])
        words = " ".join(f"{value:.1f}" for value in found.values())
        gap = calibrated - found[scale]
        yield LINE.format(task=name, start=start, calibrated=calibrated, best=found[scale], scale=scale, gap=gap, all=words)


if __name__ == "__main__":
    main()
