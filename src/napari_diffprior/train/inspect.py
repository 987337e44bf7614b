"""What is known of a prior, and whether the images it makes up are like those it learned from."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from .card import card_lines


def describe(name: str) -> tuple[list[str], dict[str, Any]]:
    """Card of a prior in Markdown, and its facts as JSON types without the long tables.

    Raises
    ------
    ValueError
        If there is no such prior or it cannot be loaded.
    """
    from ..priors.store import find_prior, load_prior, prior_info

    info, loaded = prior_info(name), load_prior(name)
    facts: dict[str, Any] = {
        "name": info.name,
        "folder": str(find_prior(name)),
        "channels": info.channels,
        "patch": list(info.patch),
        "megabytes": round(info.megabytes, 2),
        "parameters": sum(value.numel() for value in loaded.network.parameters()),
        "predicts": loaded.prediction,
        "sigma_min": float(f"{loaded.sigma_min:.4g}"),
        "sigma_max": float(f"{loaded.sigma_max:.4g}"),
        "licence": info.licence,
    }
    lines = [f"{key}: {value}" for key, value in facts.items()]
    if loaded.spectrum is not None:
        facts["data_std"] = float(f"{loaded.spectrum.error_rms(math.inf):.4g}")
        facts["error_rms"] = [
            [float(f"{s:.4g}"), float(f"{loaded.spectrum.error_rms(s):.4g}")] for s in loaded.spectrum.sigmas[:-1]
        ]
    else:
        lines += ["", "It has no calibration: its error is taken as white, and its deviations are not calibrated."]
    told = ("coverage", "trained_on", "data", "collections", "command", "seconds")
    facts |= {key: info.card[key] for key in told if key in info.card}
    return [*lines, "", *card_lines(info.folder, info.card)], facts


def sample_statistics(name: str, count: int, grid: Path | None = None) -> dict[str, float]:
    """Mean and standard deviation of unconditional samples beside the data's, as far as these are known.

    Parameters
    ----------
    name : str
    count : int
    grid : Path, optional
        PNG of the samples.
    """
    from ..device import choose_device
    from ..io import check_writable
    from ..priors.store import load_prior, prior_info
    from .sampling import draw_samples, write_grid

    if grid is not None:
        check_writable(grid, (".png",))
    device = choose_device()
    prior = load_prior(name, device.name, device.precision)
    side = prior.patch[0] if prior.patch else 64
    samples = draw_samples(prior, count, side, device=device.name)
    if grid is not None:
        write_grid(grid, samples)
    found = {"count": count, "mean": round(float(samples.mean()), 4), "std": round(float(samples.std()), 4)}
    if prior.spectrum is not None:
        found["data_std"] = round(prior.spectrum.error_rms(math.inf), 4)
    card = prior_info(name).card
    known = {"data": card.get("data", {}), "trained_on": card.get("trained_on", {})}
    return found | {f"{of}_{key}": value for of, facts in known.items() for key, value in facts.items()}
