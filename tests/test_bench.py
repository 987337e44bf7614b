"""Benchmarks: tasks are what they say, baselines improve on the damage, intervals cover, tables come out."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_diffprior import cli
from napari_diffprior.bench.baselines import baselines
from napari_diffprior.bench.coverage import coverage_table
from napari_diffprior.bench.grid import grid, settings_of
from napari_diffprior.bench.pictures import clean_pictures
from napari_diffprior.bench.poster import poster
from napari_diffprior.bench.quality import quality
from napari_diffprior.bench.scoring import Settings, covered
from napari_diffprior.bench.speed import run_case
from napari_diffprior.bench.speed_case import Case, needed
from napari_diffprior.bench.tables import Column, Files, markdown, text
from napari_diffprior.bench.tasks import TASKS, make_task, make_tasks, motion_psf
from napari_diffprior.metrics import psnr
from napari_diffprior.recipe import Recipe
from napari_diffprior.registry import registered
from napari_diffprior.restoration import Restoration


def flat_prior():
    """White Gaussian pixels: the denoiser is one multiplication, for images of any shape."""
    import torch

    from napari_diffprior.priors.analytic import GaussianPrior

    class Flat(GaussianPrior):
        def error(self, sigma, shape, like):
            return GaussianPrior(self.variance.expand(*shape)).error(sigma, shape, like)

    return Flat(torch.full((1, 1, 1), 0.3))


@pytest.fixture(scope="module")
def picture():
    """Soft discs of 64 x 64 pixels in camera counts."""
    rows, columns = np.mgrid[:64, :64]
    rng = np.random.default_rng(3)
    discs = (np.hypot(rows - top, columns - left) < radius for top, left, radius in rng.uniform(5, 60, (8, 3)) * (1, 1, 0.2))
    return 100.0 + 1000 * sum(np.asarray(disc, float) for disc in discs)


def test_six_tasks_know_their_noise_and_truth(picture):
    tasks = make_tasks(picture)
    assert len(tasks) == len(TASKS) == 6
    for task in tasks:
        assert task.image.shape == task.reference.shape
        assert task.noise == pytest.approx(TASKS[task.name].noise[0] * np.ptp(picture))
        if task.psf is None:
            known = np.ones(task.image.shape, bool) if task.mask is None else ~task.mask
            assert (task.image - task.reference)[known].std() == pytest.approx(task.noise, rel=0.1)


def test_masks(picture):
    scattered, hole = (make_task(name, picture).mask for name in ("scattered", "hole"))
    assert scattered.mean() == pytest.approx(0.7, abs=0.03)
    assert hole.sum() == 16**2  # a quarter of the side of so small a picture
    assert make_task("hole", np.tile(picture, (2, 2))).mask.sum() == 32**2


def test_a_blur_is_seen_where_its_surroundings_are_known():
    ramp = np.add.outer(np.arange(64.0), 2 * np.arange(64.0))  # a symmetric blur leaves a ramp as it is
    for name in ("deblur", "motion"):
        task = make_task(name, ramp, noise=1e-9)
        np.testing.assert_allclose(task.image, task.reference, atol=1e-4)


def test_motion_psf_is_a_line_of_its_length():
    psf = motion_psf(11, 0.0)
    assert psf.sum() == pytest.approx(1)
    assert (psf.sum(1) > 1e-9).sum() == 1
    spread = np.sqrt((psf.sum(0) * (np.arange(13) - 6) ** 2).sum())
    assert spread == pytest.approx(np.sqrt((10**2) / 12), rel=0.03)


def test_the_seed_decides(picture):
    first, again, other = (make_task("scattered", picture, seed=seed).image for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 100


@pytest.mark.parametrize("name", TASKS)
def test_baselines_improve_on_the_damage(name, picture):
    task = make_task(name, picture)
    found = [baseline for baseline in baselines(task) if "unpadded" not in baseline.family]  # those may harm a small picture
    assert found
    for baseline in found:
        assert psnr(baseline.restored, task.reference) > psnr(task.image, task.reference) + 0.3, baseline


@pytest.mark.parametrize(
    ("sentence", "name", "picture_of"),
    [
        ("there is no task 'hle'; did you mean hole", "hle", np.eye(64)),
        ("at least 32 x 32", "hole", np.eye(16)),
        ("is constant", "hole", np.ones((64, 64))),
    ],
)
def test_mistakes_are_one_sentence(sentence, name, picture_of):
    with pytest.raises(ValueError, match=sentence):
        make_task(name, picture_of)


def test_pictures_are_crops_of_the_package_or_of_files(tmp_path):
    first, last = clean_pictures(size=128, count=2)
    assert first.shape == last.shape == (128, 128)
    assert not np.array_equal(first, last)
    smooth = gaussian_filter(np.random.default_rng(0).standard_normal((70, 210)), 3)
    smooth[:, 142:] += 0.1 * np.ptp(smooth) * np.random.default_rng(1).standard_normal((70, 68))  # noise that nobody can restore
    np.save(tmp_path / "big.npy", smooth)
    assert len(clean_pictures([tmp_path], size=64, count=2)) == 2
    for paths, size, count, sentence in (
        ([tmp_path], 64, 3, "there are 2 crops"),
        ([tmp_path / "no"], 64, 1, "there is no file"),
        ([], 32, 1, "at least 64 pixels"),
    ):
        with pytest.raises(ValueError, match=sentence):
            clean_pictures(paths, size, count)


def restoration(mean, std, samples):
    """A result of which only mean and std are left."""
    return Restoration(mean, std, np.zeros((0, *mean.shape)), (1.0,) * samples, 1, 1.0, Recipe(samples=samples), {})


def test_the_interval_covers_one_more_draw_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(5, 2, (5, 200, 200))
    mean, std = np.full((200, 200), 5.0), np.sqrt(np.square(draws[:4] - 5).mean(0))  # of four antithetic pairs
    for level in (0.5, 0.9):
        assert covered(restoration(mean, std, 8), draws[4], level) == pytest.approx(level, abs=0.01)
    assert covered(restoration(mean, 0.5 * std, 8), draws[4], 0.9) < 0.75
    assert math.isnan(covered(restoration(mean, 0 * std, 1), draws[4], 0.9))


def test_only_the_chosen_pixels_count():
    where = np.eye(8, dtype=bool)
    assert covered(restoration(np.zeros((8, 8)), np.ones((8, 8)), 2), np.where(where, 0.0, 1e6), 0.9, where) == 1


@pytest.fixture(scope="module")
def quick():
    return Settings(prior=flat_prior(), samples=2, steps=3)


def test_poster_has_its_rows_for_each_start_and_one_for_each_sampler(quick, picture):
    rows = poster([picture], quick, ["decoupled"], starts=(4, 5, 6), thin=2)
    assert [row["method"] for row in rows[:4]] == ["sdedit", "score_ald", "dps, fixed scale", "dps, calibrated"]
    assert [row["start"] for row in rows] == [4] * 4 + [5] * 4 + [6] * 4 + [None]
    assert rows[-1]["start"] is None
    assert all(math.isfinite(row[f"{task}_psnr"]) for row in rows for task in ("deblur", "scattered", "hole"))


def test_quality_has_baselines_and_samplers_on_every_task(quick, picture):
    rows = quality([picture, picture[::-1]], quick, ["decoupled"])
    assert {row["task"] for row in rows} == set(TASKS)
    for row in rows:
        if row["method"] == "decoupled":
            assert row["calls"] == 3
            assert row["misfit"] > 0
            assert 0 < row["coverage_50"] <= row["coverage_90"]
        else:
            assert math.isnan(row["misfit"])
    classical = {"biharmonic", "wiener, best of 17", "richardson lucy, best of 10", "richardson lucy unpadded, best of 10"}
    assert classical < {row["method"] for row in rows}


def test_coverage_takes_two_noise_levels_and_counts_missing_pixels_apart(quick, picture):
    rows = coverage_table([picture], quick, ["decoupled"], ["hole", "denoise"])
    assert [(row["task"], row["noise"]) for row in rows] == [("hole", 0.01), ("hole", 0.05), ("denoise", 0.05), ("denoise", 0.1)]
    assert all(math.isnan(row["missing_90"]) == (row["task"] == "denoise") for row in rows)
    with pytest.raises(ValueError, match="two samples"):
        coverage_table([picture], Settings(prior=flat_prior(), samples=1), ["decoupled"])


def test_the_grid_tries_each_mode_at_each_number_of_steps_beside_auto(quick, picture):
    chosen = list(settings_of(["auto", "decoupled", "dps"], [2, 4]))
    assert sorted(name for name, _ in chosen) == ["decoupled"] * 2 + ["dps"] * 6
    assert ("dps", {"steps": 4, "guidance": "norm"}) in chosen
    numbers = {"weights": "published", "lambda_": 7.0, "zeta": 1.0}
    assert ("diffpir", {"steps": 2, **numbers}) in list(settings_of(["diffpir"], [2]))
    rows = grid([picture], Settings(prior=flat_prior(), samples=2), ["sdedit"], ["denoise"], [2])
    assert [row["sampler"] for row in rows] == ["auto", *["sdedit"] * 3]
    assert rows[0]["behind"] == 0
    assert rows[1]["behind"] == pytest.approx(rows[0]["psnr"] - rows[1]["psnr"])


def test_a_refusal_is_a_row_with_its_sentence(picture, monkeypatch):
    def refuse(self, *_):
        raise ValueError("it takes no gaps; choose decoupled or dps.")

    monkeypatch.setattr(registered("sampler")["sdedit"], "run", refuse)
    (row,) = [row for row in quality([picture], Settings(prior=flat_prior()), ["sdedit"], ["hole"]) if row["method"] == "sdedit"]
    assert row["note"] == "it takes no gaps; choose decoupled or dps."
    assert math.isnan(row["psnr"])


COLUMNS = [Column("method", "method"), Column("psnr", "PSNR", ".2f", "high"), Column("lpips", "LPIPS", ".3f", "low")]
ROWS = [
    {"task": "a", "method": "one", "psnr": 30.001, "lpips": 0.2},
    {"task": "a", "method": "two", "psnr": 30.002, "lpips": 0.1},
    {"task": "b", "method": "one", "psnr": 10.0, "lpips": math.nan},
]


def test_the_best_of_a_task_is_marked_and_equals_share_it():
    assert markdown(ROWS, COLUMNS).splitlines()[2:] == [
        "| one | **30.00** | 0.200 |",
        "| two | **30.00** | **0.100** |",
        "| one | **10.00** | - |",
    ]
    assert text(ROWS, COLUMNS).splitlines()[2].split() == ["two", "30.00*", "0.100*"]


def test_files_hold_the_rows(tmp_path):
    files = Files(*(tmp_path / f"table.{kind}" for kind in ("csv", "json", "md")))
    files.check()
    files.write(ROWS, COLUMNS, {"seed": 0})
    assert json.loads(files.json.read_text())["rows"][2] == {"task": "b", "method": "one", "psnr": 10.0, "lpips": None}
    with files.csv.open(newline="") as stream:
        assert [row["psnr"] for row in csv.DictReader(stream)] == ["30.001", "30.002", "10.0"]
    assert files.markdown.read_text().startswith("| method |")
    with pytest.raises(FileNotFoundError):
        Files(csv=tmp_path / "missing" / "table.csv").check()


def test_command_line(capsys, tmp_path):
    options = ["--size", "64", "--steps", "1", "--samples", "2", "--samplers", "decoupled", "--tasks", "denoise"]
    assert cli.run(["bench", "quality", *options, "--json", str(tmp_path / "table.json")]) == 0
    table = json.loads((tmp_path / "table.json").read_text())
    assert [row["method"] for row in table["rows"]][-1] == "decoupled"
    assert table["about"]["samples"] == 2
    assert "decoupled" in capsys.readouterr().out
    for mistake in (["--samplers", "decuopled"], ["--prior", "nothing"], ["--tasks", "denoize"], ["--csv", "missing/x.csv"]):
        assert cli.run(["bench", "quality", "--size", "64", *mistake]) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_recomputed_forward_pass_is_no_need():
    tile, gradient = ((4, 1, 64, 64), False), ((4, 1, 64, 64), True)
    assert needed([tile, tile]) == [tile, tile]
    assert needed([tile, gradient, tile, gradient]) == [gradient, gradient]
    assert needed([gradient]) == [gradient]


def test_speed_of_a_case_in_its_own_process(capsys, tmp_path):
    options = ["--sizes", "64", "--batches", "2", "--steps", "2", "--repeats", "1"]
    assert cli.run(["bench", "speed", "--samplers", "decoupled", *options, "--json", str(tmp_path / "speed.json")]) == 0
    (row,) = json.loads((tmp_path / "speed.json").read_text())["rows"]
    assert row["calls"] == 2
    assert row["pixels"] == pytest.approx(4)  # a tile is 128 pixels wide, the image 64
    assert row["ratio"] > 0.5
    assert row["plain_ratio"] > 0.2
    assert row["mebibytes"] > 100
    assert "ratio" in capsys.readouterr().out


def test_a_case_that_fails_says_why():
    row = run_case(Case(sampler="decoupled", size=64, prior="nothing"))
    assert "there is no prior" in row["note"]
    assert math.isnan(row["ratio"])
