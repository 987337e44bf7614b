"""The model card: what a prior was trained on, how, and what that means."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .data import TrainingImage

LIMITS = """It knows what it has seen. On other kinds of images, modalities or pixel sizes it can invent structure, and the
standard deviation between samples does not show that. Compare `misfit` with 1, and train a prior of your own when your
images differ.
"""
BENCHMARK = """PSNR in dB, means over square crops of pictures that it was not trained on (`diffprior bench prior`); noise
in units of the model's range [-1, 1]. Denoising is one network call, gaps and blur are the mean of 8 samples; a baseline has the
best setting of each single picture, chosen with the truth in hand. In deblurring it has a reflected border; "unpadded" is called
without one."""
COVERAGE = """Restored with `decoupled` (8 samples, 16 steps): noise alone and 70 % of the pixels missing (sharpness 1),
and Gaussian blurs; sharpness is the share of the fine detail that the blur passes. An interval is
mean +- factor * t * standard deviation from the N samples, with Student's t of N // 2 degrees of freedom;
with the factor it covers 90 % (50 %) of the true pixels of the median image; 90 % after a blur those of three of four
images. "Covered" is the share in the 90 % interval with a factor of 1, in the median image."""


def collections(images: Sequence[TrainingImage]) -> list[dict[str, Any]]:
    """Collections, licences and numbers of images, from the ``manifest.csv`` beside the images, if there is one."""
    rows: dict[str, tuple[str, str]] = {}
    for manifest in {place / "manifest.csv" for image in images for place in image.path.parents[:2]}:
        if manifest.is_file():
            with manifest.open(newline="") as lines:
                rows |= {row["file"]: (row["collection"], row["licence"]) for row in csv.DictReader(lines)}
    counts = Counter(rows.get(image.path.name, ("own images", "unknown")) for image in images)
    return [{"collection": name, "licence": licence, "images": count} for (name, licence), count in sorted(counts.items())]


def write_card(folder: Path, facts: dict[str, Any]) -> None:
    """Write the prior's README.md from the facts in ``prior.json``."""
    (folder / "README.md").write_text("\n".join(card_lines(folder, facts)))


def card_lines(folder: Path, facts: dict[str, Any]) -> list[str]:
    """Card in Markdown; parts of which nothing is known are left out."""
    name = folder.name.removeprefix(".").removesuffix(".tmp")
    patch = facts.get("patch", ["unknown"])[0]
    lines = [
        f"# Diffusion prior `{name}`",
        "",
        f"Grey images, model range {facts.get('range', 'unknown')}, patches of {patch} pixels.",
    ]
    lines += ["", f"Licence: {facts.get('licence', 'unknown')}."]
    if facts.get("attribution"):
        lines += ["", facts["attribution"]]
    lines += [*_training(facts), *_data(facts), *_calibration(facts), *_benchmark(facts)]
    if (folder / "samples.png").is_file():
        lines += ["", "## Samples", "", "Made up without any data, to show what it has learned; none of them is a real image."]
        lines += ["", "![16 samples without any data](samples.png)"]
    return [*lines, "", "## Limits", "", LIMITS]


def _training(facts: dict[str, Any]) -> list[str]:
    if "command" not in facts:
        return []
    settings = ", ".join(f"{name} {value}" for name, value in facts["settings"].items())
    lines = ["", "## Training", "", f"Command: `{facts['command']}`", "", f"Settings: {settings}.", "", _amount(facts)]
    for before in facts.get("started_from", []):
        lines += ["", f"It started from the weights of `{before['command']}`: {_amount(before)}"]
    return lines


def _amount(facts: dict[str, Any]) -> str:
    return f"{facts['steps']} steps, {facts['patches_seen']} patches, {facts['seconds'] / 60:.0f} minutes on {facts['machine']}."


def _data(facts: dict[str, Any]) -> list[str]:
    if "collections" not in facts:
        return []
    rows = [(row["collection"], row["licence"], row["images"]) for row in facts["collections"]]
    held = f"{facts['held_out_images']} more images, from other sources, were held out for the calibration."
    known = {"trained on": facts.get("trained_on"), "held out": facts.get("data")}
    spread = [f"of the patches {name} {found['mean']:.3f} +- {found['std']:.3f}" for name, found in known.items() if found]
    lines = ["", f"Mean and standard deviation {', '.join(spread)}."] if spread else []
    return ["", "## Data", "", *_table(("collection", "licence", "images"), rows), "", held, *lines]


def _calibration(facts: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    if "error_spectrum" in facts:
        sigmas = facts["error_spectrum"]["sigmas"][:-1]
        rows = [[f"{sigma:.4g}", f"{rms:.4g}"] for sigma, rms in zip(sigmas, facts["error_rms"], strict=True)]
        title = "## Calibration: root mean square error of one denoising call, on held-out images"
        lines += ["", title, "", *_table(("noise sigma", "error"), rows)]
    if "coverage" in facts:
        lines += ["", "## Calibration: coverage, on held-out images", "", COVERAGE, "", *_coverage(facts["coverage"])]
    return lines


def _coverage(stored: dict[str, Any]) -> list[str]:
    """Table of the factors: of pixels measured as they are, then of the blurs."""
    rows = []
    for table in (stored, *stored.get("blurred", [])):
        sharpness = table.get("sharpness") or [1.0] * len(table["sigmas"])
        columns = (table[name] for name in ("factor", "factor_50", "covered"))
        rows += [[f"{value:.3g}" for value in row] for row in zip(sharpness, table["sigmas"], *columns, strict=True)]
    return _table(("sharpness", "noise sigma", "factor, 90 %", "factor, 50 %", "covered"), rows)


def _benchmark(facts: dict[str, Any]) -> list[str]:
    """What ``diffprior bench prior`` found, if its rows were put into the facts."""
    numbers = {"prior": ".2f", "baseline": ".2f", "gain": "+.2f"}
    columns = ("data", "images", "task", *numbers, "method", "others")
    rows = [[format(row.get(name, ""), numbers.get(name, "")) for name in columns] for row in facts.get("benchmark", [])]
    if not rows:
        return []
    head = ("data", "images", "task, noise", "prior", "best baseline", "gain", "which is", "other baselines")
    return ["", "## What it is worth", "", BENCHMARK, "", *_table(head, rows)]


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    return [_row(head), "|" + "---|" * len(head), *(_row(row) for row in rows)]


def _row(cells: Sequence[Any]) -> str:
    return f"| {' | '.join(map(str, cells))} |"
