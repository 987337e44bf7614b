"""The model card: what a prior was trained on, how, and what that means."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .data import TrainingImage

LIMITS = """It knows what it has seen. On other kinds of images, modalities or pixel sizes it can invent structure, and the
standard deviation between samples does not show that. Compare `misfit` with 1, and train a prior of your own when your
images differ.
"""


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
    data = [f"| {row['collection']} | {row['licence']} | {row['images']} |" for row in facts["collections"]]
    spectrum = facts["error_spectrum"]
    levels = zip(spectrum["sigmas"], facts["error_rms"], strict=False)
    errors = [f"| {sigma:.4g} | {rms:.4g} |" for sigma, rms in levels]
    settings = ", ".join(f"{name} {value}" for name, value in facts["settings"].items())
    lines = [
        f"# Diffusion prior `{folder.name.removeprefix('.').removesuffix('.tmp')}`",
        "",
        f"Grey images, model range {facts['range']}, patches of {facts['patch'][0]} pixels, noise sigma "
        f"{spectrum['sigmas'][0]:.3g} to {spectrum['sigmas'][-2]:.3g}. Licence: {facts['licence']}.",
        "",
        "## Training",
        "",
        f"Command: `{facts['command']}`",
        "",
        f"Settings: {settings}.",
        "",
        f"{facts['steps']} steps, {facts['patches_seen']} patches, {facts['seconds'] / 60:.0f} minutes on {facts['machine']}.",
        "",
        "## Data",
        "",
        "| collection | licence | images |",
        "|---|---|---|",
        *data,
        "",
        f"{facts['held_out_images']} more images, from other sources, were held out for the calibration.",
        "",
        "## Calibration: root mean square error of one denoising call, on held-out images",
        "",
        "| sigma | error |",
        "|---|---|",
        *errors,
        "",
        "## Limits",
        "",
        LIMITS,
    ]
    (folder / "README.md").write_text("\n".join(lines))
