"""The verdict on a sampler, the command that prints it, and the table in the documentation."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from napari_diffprior import cli
from napari_diffprior.registry import registered
from napari_diffprior.samplers.decoupled import Decoupled
from napari_diffprior.samplers.sdedit import SDEdit
from napari_diffprior.testing import SamplerFigures, measure_sampler

TABLE = Path(__file__).parents[1] / "docs" / "samplers-table.md"
PERFECT = SamplerFigures("any", 0.0, 1.0, 1.0, 0.3, 0.3, 4.2, 10)


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "exact"),
        ({"bias": 0.11}, "approximate"),
        ({"observed_variance_ratio": 0.85}, "approximate"),
        ({"sliced_w1": 0.7}, "approximate"),
        ({"bias": 0.6}, "not a posterior sampler"),
        ({"variance_ratio": 2.1}, "not a posterior sampler"),
        ({"observed_variance_ratio": 0.4}, "not a posterior sampler"),
        ({"sliced_w1": 4.3}, "not a posterior sampler"),
        ({"variance_ratio": 0.04, "observed_variance_ratio": 0.04}, "point estimate"),
        ({"variance_ratio": 0.5, "observed_variance_ratio": 0.04}, "not a posterior sampler"),
    ],
)
def test_the_verdict_follows_from_the_figures(change: dict[str, float], verdict: str) -> None:
    assert replace(PERFECT, **change).verdict == verdict  # type: ignore[arg-type]


def test_figures_of_samplers() -> None:
    good, bad = measure_sampler(Decoupled(), 256), measure_sampler(SDEdit(steps=10), 256)
    assert good.bias < 0.15 and good.verdict == "approximate"
    assert bad.verdict == "not a posterior sampler"
    assert good.exact_w1 < 1 < good.sliced_w1 < good.prior_w1 < bad.sliced_w1


def test_the_command_prints_one_line_of_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["check", "sampler", "decoupled", "--draws", "32"]
    assert cli.run([*arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["sampler"], report["calls"]) == ("decoupled", 20)
    assert cli.run([*arguments, "--markdown", "--output", str(tmp_path / "table.md")]) == 0
    written = (tmp_path / "table.md").read_text()
    assert written == capsys.readouterr().out and written.splitlines()[2].startswith("| decoupled |")


@pytest.mark.parametrize(
    ("arguments", "sentence"), [(["decopled"], "did you mean decoupled"), (["decoupled", "--draws", "3"], "take 32 or more")]
)
def test_mistakes_are_one_sentence(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["check", "sampler", *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_the_table_names_every_sampler_of_the_package() -> None:
    rows = [line.split("|")[1].strip() for line in TABLE.read_text().splitlines()[2:]]
    ours = [name for name, cls in registered("sampler").items() if cls.__module__.startswith("napari_diffprior.")]
    assert rows == ours, "write it anew: diffprior check sampler all --markdown --output docs/samplers-table.md"
