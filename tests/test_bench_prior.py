"""The table of a prior beside classical methods."""

import csv
import json

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_diffprior import cli
from napari_diffprior.bench import prior as bench
from napari_diffprior.bench.baselines import best, wavelet, wiener, wiener_unpadded
from napari_diffprior.bench.tasks import make_task
from napari_diffprior.metrics import psnr


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for number in range(4):
        np.save(place / f"scan_z000{number}.npy", gaussian_filter(rng.standard_normal((80, 80)), 3))
    return place


def test_related_pictures_are_left_out(folder, tmp_path):
    assert len(bench.unseen_pictures([folder], 64, 4)) == 4
    for path in folder.glob("*.npy"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    rows = [
        ("val", "scan_z0000.npy", "a/scan_z0000.npy"),
        ("train", "other.npy", "a/scan_z0007.npy"),
        ("val", "scan_z0001.npy", "b"),
    ]
    with (tmp_path / "manifest.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerows([("split", "file", "collection", "source"), *((s, f, "c", source) for s, f, source in rows)])
    assert len(bench.unseen_pictures([tmp_path], 64, 3)) == 3  # the first has a sister that was trained on
    with pytest.raises(ValueError, match="there are 3 crops of 64 x 64 pixels, not 4: set --images 3"):
        bench.unseen_pictures([tmp_path], 64, 4)


def test_few_pictures_give_several_crops(folder):
    assert len({crop.tobytes() for crop in bench.unseen_pictures([folder], 32, 10)}) == 10
    with pytest.raises(ValueError, match="there are 16 crops of 32 x 32 pixels, not 17: set --images 16"):
        bench.unseen_pictures([folder], 32, 17)


def test_a_baseline_helps_and_a_border_matters(folder):
    (picture,) = bench.unseen_pictures([folder], 64, 1)
    assert picture.min() < -0.5 < 0.5 < picture.max()
    noisy = make_task("denoise", picture, 0.1)
    assert psnr(best(noisy, wavelet).restored, picture) > psnr(noisy.image, picture) + 3
    blurred = make_task("deblur", picture, 0.01)
    padded, bare = (psnr(best(blurred, method).restored, blurred.reference) for method in (wiener, wiener_unpadded))
    assert padded > bare + 1


def test_the_command_writes_the_table(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "ROWS", (("denoise", 0.2), ("hole", 0.02)))
    arguments = ["--data", str(folder), "--images", "1", "--size", "64", "--samples", "1"]
    files = ["--json", str(tmp_path / "t.json"), "--markdown", str(tmp_path / "t.md")]
    assert cli.run(["bench", "prior", *arguments, *files]) == 0
    found = json.loads((tmp_path / "t.json").read_text())
    assert [row["task"] for row in found["rows"]] == ["denoise 0.2", "hole 0.02"]
    assert {row["method"] for row in found["rows"]} <= {"non local means", "total variation", "wavelet", "biharmonic"}
    for row in found["rows"]:
        assert row["gain"] == pytest.approx(row["prior"] - row["baseline"])
    assert found["rows"][0]["gain"] > -3
    assert found["about"]["samples"] == 1
    assert "best baseline" in capsys.readouterr().out
    assert (tmp_path / "t.md").read_text().startswith("| data |")
    capsys.readouterr()
    assert cli.run(["bench", "prior", *arguments, "--tasks", "hole", "--sampler", "auto"]) == 0
    out = capsys.readouterr().out
    assert "hole 0.02" in out and "denoise" not in out
    assert cli.run(["bench", "prior", *arguments, "--tasks", "whole"]) == 2
    assert "there is no task 'whole'; did you mean hole?" in capsys.readouterr().err
    assert cli.run(["bench", "prior"]) == 2
