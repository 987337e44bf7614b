"""Benchmarks: tasks are what they say, baselines improve on the damage, tables come out."""

from __future__ import annotations

import numpy as np
import pytest

from napari_diffprior.bench.baselines import baselines
from napari_diffprior.bench.tasks import TASKS, make_task, make_tasks, motion_psf
from napari_diffprior.metrics import psnr


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
    found = baselines(task)
    assert found
    for baseline in found:
        assert psnr(baseline.restored, task.reference) > psnr(task.image, task.reference) + 0.3, baseline.method


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
