"""Saturated pixels as lower bounds, hot pixels as missing ones: found, wired through, said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_diffprior import cli, restore
from napari_diffprior.io import Calibration, read_image, read_metadata, write_tiff
from napari_diffprior.job import make_job
from napari_diffprior.noise.defects import hot_pixels, saturation_level
from napari_diffprior.priors.analytic import StationaryPrior
from napari_diffprior.recipe import Recipe

SHAPE = (48, 64)


def truth() -> Any:
    """Two smooth hills of 600 and 1400 above 200."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    hills = ((600, 16, 16), (1400, 30, 44))
    return 200 + sum(h * np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * 6.0**2)) for h, row, column in hills)


def camera(ceiling: int = 1023, noise: float = 10.0) -> Any:
    noisy = truth() + noise * np.random.default_rng(0).standard_normal(SHAPE)
    return np.rint(noisy).clip(0, ceiling).astype(np.uint16)


def prior(shape: tuple[int, int] = SHAPE) -> StationaryPrior:
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None])
    return StationaryPrior(torch.as_tensor(40 * np.exp(-((frequency / 0.05) ** 2))), shape)


def run(image: Any, mask: Any = None, **settings: Any) -> Any:
    shape = tuple(side * settings.get("upsample", 1) for side in SHAPE)
    given = {"noise": 10.0, "steps": 6, "samples": 2, "device": "cpu", "prior": prior(shape)}
    return restore(image, mask, **{**given, **settings})


def test_the_level_is_found() -> None:
    image = camera()
    known = np.ones(SHAPE, bool)
    assert saturation_level(image, known) == 1023
    assert saturation_level(image, image < 1023) is None
    assert saturation_level(image.astype(np.float32), known) is None  # may have been scaled
    assert saturation_level(camera(1000), known) is None  # no camera's ceiling
    few = np.where(np.arange(image.size).reshape(SHAPE) < 3, 255, 7).astype(np.uint8)
    assert saturation_level(few, known) is None
    assert saturation_level(np.where(known, 255, 0).astype(np.uint8), known) is None  # a white picture is not saturated


CAMERA = {"noise": "poisson-gaussian", "gain": 0.05, "offset": 0.0, "read_noise": 8.0}


@pytest.mark.parametrize("task", [{}, {"upsample": 2}, CAMERA], ids=["denoise", "upsample", "camera noise"])
def test_the_top_of_a_saturated_hill_is_restored(task: dict[str, Any]) -> None:
    image = camera()
    top = np.kron(truth() > 1200, np.ones([task.get("upsample", 1)] * 2, bool))
    result, cut = run(image, **task), run(image, saturation=None, **task)
    assert cut.mean[top].mean() == pytest.approx(1023, abs=15)
    assert result.mean[top].mean() > 1023 + 15
    assert np.mean(result.misfit) == pytest.approx(1.0, abs=0.25)
    story = result.provenance
    assert (story["saturation"], story["saturated_pixels"]) == (1023, int((image == 1023).sum()))
    assert "saturation" not in cut.provenance
    json.dumps(story)


def test_a_level_of_ones_own_and_pixels_above_it() -> None:
    image = camera(4095).astype(np.float32)
    bent = np.where(image > 900, 900 + (image - 900) / 50, image)  # a camera that bends before it cuts off
    result = run(bent, saturation=900.0)
    assert result.mean[truth() > 1200].mean() > 980
    found = make_job(bent, None, None, Recipe(noise=10.0, saturation=900.0)).found
    assert found == {"saturation": 900.0, "saturated_pixels": int((bent >= 900).sum())}
    with pytest.raises(ValueError, match="no measured pixel lies below the saturation of 3"):
        run(image, saturation=3.0)
    with pytest.raises(ValueError, match="saturation"):
        run(image, saturation="some")


def test_saturated_pixels_do_not_count_for_the_noise() -> None:
    flat = (500 + 20 * np.random.default_rng(0).standard_normal(SHAPE)).astype(np.float32)
    flat[:, :40] = 1023
    job = make_job(flat, None, None, Recipe(saturation=1023.0))
    assert job.noise == pytest.approx(20, rel=0.1)


def test_gaps_and_bounds_go_together() -> None:
    image, mask = camera(), np.zeros(SHAPE, np.uint8)
    mask[:, 40:43] = 1
    job = make_job(image, mask, None, Recipe(noise=10.0))
    assert job.found["saturated_pixels"] == int((image[mask == 0] == 1023).sum())
    assert job.measurement.y.shape[-1] == int((mask == 0).sum())
    assert torch.isfinite(job.measurement.misfit(torch.zeros(1, 1, *SHAPE))).all()
    assert run(image, mask).mean[truth() > 1200].mean() > 1043


@pytest.mark.parametrize("noise", ["gaussian", "poisson"])
def test_hot_pixels_are_found_and_nothing_else(noise: str) -> None:
    rng = np.random.default_rng(3)
    shape = (400, 300)
    smooth = 100 + 4000 * gaussian_filter(rng.random(shape), 4).clip(0.48) - 1920
    clean = smooth + 8 * rng.standard_normal(shape) if noise == "gaussian" else rng.poisson(smooth).astype(float)
    known = np.ones(shape, bool)
    assert hot_pixels(clean, known).sum() <= 2  # of 120,000
    rows, columns = np.arange(3, 400, 13), np.arange(2, 300, 11)
    hot = np.zeros(shape, bool)
    hot[np.ix_(rows, columns)] = True
    hot[0, 0] = hot[200, 100] = hot[200, 101] = True  # in a corner, and two neighbours
    found = hot_pixels(np.where(hot, clean + 1000, clean), known)
    assert (found & hot).sum() == hot.sum()
    assert (found & ~hot).sum() <= 2


@pytest.mark.parametrize("width", [0.7, 0.85, 1.5])
def test_spots_as_an_objective_images_them_are_not_hot(width: float) -> None:
    points = np.zeros((60, 60))
    points[5::10, 7::10] = 20000
    image = 100 + gaussian_filter(points, width) + np.random.default_rng(0).standard_normal((60, 60))
    assert not hot_pixels(image, np.ones(image.shape, bool)).any()


def test_what_is_missing_cannot_be_hot() -> None:
    image = 100 + np.random.default_rng(0).standard_normal((9, 9))
    image[4, 4] = 1e6
    known = np.ones((9, 9), bool)
    known[4, 4] = False
    assert not hot_pixels(image, known).any()
    assert hot_pixels(np.stack([image] * 2), np.ones((2, 9, 9), bool))[:, 4, 4].all()
    assert not hot_pixels(image, np.zeros((9, 9), bool)).any()


def test_hot_pixels_are_missing_on_request() -> None:
    image = camera(65535).astype(np.float32)
    image[10, 10] = image[30, 20] = 9000
    kept, left_out = run(image), run(image, hot_pixels=True)
    assert kept.mean[10, 10] > 1000 and abs(left_out.mean[10, 10] - truth()[10, 10]) < 60
    assert left_out.provenance["hot_pixels"] == 2 and "hot_pixels" not in kept.provenance
    both = np.stack([image, image])
    assert run(both, hot_pixels=True, axes="tyx").provenance["hot_pixels"] == 4


def test_command_line(tmp_path: Path, capsys: Any) -> None:
    image = camera()
    image[40, 5] = 900
    write_tiff(tmp_path / "in.tif", image, Calibration.pixels(2))
    fast = ["--noise", "10", "--steps", "2", "--samples", "2", "--device", "cpu", "--json"]

    def restored(*arguments: str) -> tuple[Any, Any]:
        assert cli.run(["restore", str(tmp_path / "in.tif"), "-o", str(tmp_path / "a.tif"), *fast, *arguments]) == 0
        said = json.loads(capsys.readouterr().out)
        return said, read_metadata(tmp_path / "a.tif")["napari-diffprior"]["recipe"]

    said, recipe = restored()
    assert said["saturated_pixels"] == int((image == 1023).sum()) and recipe["saturation"] == "auto"
    said, recipe = restored("--saturation", "none", "--hot-pixels")
    assert "saturated_pixels" not in said and recipe["saturation"] is None
    assert said["hot_pixels"] == 1 and recipe["hot_pixels"] is True
    scripted = restore(image, saturation=None, hot_pixels=True, noise=10, steps=2, samples=2, device="cpu")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[0], scripted.mean)
    said, recipe = restored("--saturation", "800")
    assert said["saturated_pixels"] == int((image >= 800).sum()) and recipe["saturation"] == 800.0
