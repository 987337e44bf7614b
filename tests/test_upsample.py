"""Upsampling: with gaps and blur, and a finer grid that lies where the image lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from napari.layers import Image
from scipy.ndimage import center_of_mass

from napari_diffprior import cli
from napari_diffprior.axes import Layout, place_of
from napari_diffprior.io import Calibration, read_image, write_tiff
from napari_diffprior.job import make_job
from napari_diffprior.layers import restore_layer
from napari_diffprior.measurement import Measurement
from napari_diffprior.noise.gaussian import Gaussian
from napari_diffprior.operators.downsample import Downsample
from napari_diffprior.priors.analytic import GaussianPrior, StationaryPrior
from napari_diffprior.psf import PSF, gaussian_psf
from napari_diffprior.recipe import Recipe
from napari_diffprior.restoration import restore
from napari_diffprior.stream import restore_to_zarr

SHAPE = (24, 30)


def smooth_prior(shape: tuple[int, int], factor: int = 1) -> StationaryPrior:
    """Power law in cycles of a measured pixel, ``factor`` of the grid's own."""
    frequency = factor * np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None])
    return StationaryPrior(torch.as_tensor(0.002 * factor**2 / (0.05 + frequency) ** 2), shape)


def spot(rows: float, columns: float, shape: tuple[int, int] = SHAPE, width: float = 2.0) -> Any:
    """A smooth bright spot, pixel centres at whole numbers."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    return 100 + 400 * np.exp(-((y - rows) ** 2 + (x - columns) ** 2) / (2 * width**2))


def centre(image: Any) -> tuple[float, ...]:
    return center_of_mass((image - image.max() / 2).clip(0))


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("what", ["alone", "gaps", "blur", "gaps and blur", "measured psf"])
def test_any_combination_agrees_with_the_data(factor: int, what: str) -> None:
    image, mask, settings, psf = spot(11, 14), None, {}, None
    if "gaps" in what:
        mask = np.random.default_rng(0).random(SHAPE) < 0.3
    if "blur" in what:
        settings = {"psf_sigma": 1.0}
    if "psf" in what:
        psf = gaussian_psf(1.0)
    image = image + 4.0 * np.random.default_rng(1).standard_normal(SHAPE)
    recipe = Recipe(upsample=factor, **settings)
    job = make_job(image, mask, psf, recipe)
    prior = smooth_prior(job.measurement.shape[1:], factor)
    result = restore(image, mask, psf, prior=prior, noise=4.0, upsample=factor, samples=3, steps=6, **settings)
    assert result.mean.shape == result.std.shape == tuple(factor * side for side in SHAPE)
    assert np.mean(result.misfit) == pytest.approx(1.0, abs=0.15)
    blocks = result.mean.reshape(SHAPE[0], factor, SHAPE[1], factor).mean((1, 3))
    measured = np.ones(SHAPE, bool) if mask is None else ~mask
    if settings or psf is not None:
        assert blocks.max() > image.max() + 10  # sharper than what was measured
    else:
        assert np.abs(blocks - image)[measured].std() < 8


def test_the_posterior_of_an_upsampled_gaussian_is_exact() -> None:
    """With x ~ N(0, s^2 I): the mean spreads s^2 f^-2 / (s^2 f^-2 + v) y over the block."""
    variance, factor, noise = 0.3, 2, 0.1
    y = torch.randn(1, 1, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    operator, shape = Downsample(factor, (3, 4)), (1, 6, 8)
    measurement = Measurement(y, operator, Gaussian(sigma=noise), shape)
    prior = GaussianPrior(torch.full(shape, variance, dtype=torch.float64))
    zero = torch.zeros(1, *shape, dtype=torch.float64)
    mean = measurement.condition(zero, prior.error(float("inf"), shape, zero), tolerance=1e-10)
    gain = variance / (variance / factor**2 + noise**2) / factor**2
    expected = (gain * y).repeat_interleave(factor, -1).repeat_interleave(factor, -2)
    torch.testing.assert_close(mean, expected)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_a_finer_psf_has_the_same_light_and_centre(factor: int) -> None:
    psf = PSF(gaussian_psf([1.5, 2.0]))
    fine = psf.refined(factor).values
    assert all(side % 2 for side in fine.shape)
    assert fine.sum() == pytest.approx(1)
    rows, columns = (np.arange(side) - side // 2 for side in fine.shape)
    for line, positions, sigma in ((fine.sum(1), rows, 1.5), (fine.sum(0), columns, 2.0)):
        assert (line * positions).sum() == pytest.approx(0, abs=1e-6)
        assert (line * positions**2).sum() ** 0.5 == pytest.approx(factor * sigma, rel=0.03)


def test_place_of_finer_pixels() -> None:
    """Two fine pixels lie a quarter of a coarse one to either side of its centre."""
    first, steps = place_of("tyx", (3, 10, 0), 2)
    assert first == (3, 9.75, -0.25) and steps == (1, 0.5, 0.5)
    assert place_of("yx", (4, 5)) == ((4, 5), (1, 1))
    place = Calibration((2.0, 0.5, 0.25), ("s", "um", "um"), "tyx", (1.0, 0.0, -1.0)).of_part(first, steps)
    assert place.scale == (2.0, 0.25, 0.125) and place.translate == (7.0, 4.875, -1.0625)
    assert Layout("yx", (5, 6), upsample=3).result_shape == (15, 18)


@pytest.mark.parametrize("factor", [2, 4])
def test_a_layer_lies_where_its_image_lies(factor: int) -> None:
    """The spot is at the same place of the world, whatever the seven attributes are."""
    layer = Image(
        spot(10.3, 15.6), scale=(0.5, 0.25), translate=(3, -7), rotate=30, shear=(0.2,), units=("um", "um"),
        affine=[[1, 0.1, 5], [0, 1.5, -3], [0, 0, 1]], axis_labels=("y", "x"), name="cells",
    )  # fmt: skip
    shape = tuple(factor * side for side in SHAPE)
    made = restore_layer(layer, prior=smooth_prior(shape), noise=0.5, upsample=factor, samples=2, steps=6)
    restored = Image(made[0][0], **made[0][1])
    np.testing.assert_allclose(restored.data_to_world(centre(made[0][0])), layer.data_to_world((10.3, 15.6)), atol=0.02)
    np.testing.assert_allclose(restored.scale, np.divide(layer.scale, factor))
    corner = np.array([-0.5, -0.5])  # the outer edge of the first pixel is one and the same
    np.testing.assert_allclose(restored.data_to_world(corner), layer.data_to_world(corner), atol=1e-9)
    end = np.array(SHAPE) - 0.5
    np.testing.assert_allclose(restored.data_to_world(factor * np.array(SHAPE) - 0.5), layer.data_to_world(end), atol=1e-9)
    for name in ("units", "axis_labels"):
        assert getattr(restored, name) == getattr(layer, name)
    for name in ("rotate", "shear"):
        np.testing.assert_allclose(getattr(restored, name), getattr(layer, name), atol=1e-12)


def test_stacks_regions_and_constant_planes() -> None:
    stack = np.stack([spot(10, 14), np.full(SHAPE, 7.0), spot(12, 9)])
    whole = restore(stack, prior=smooth_prior((48, 60)), noise=1.0, upsample=2, samples=2, steps=3, axes="tyx")
    assert whole.mean.shape == (3, 48, 60) and (whole.mean[1] == 7).all()
    region = {"t": (2, 3), "y": (4, 16), "x": (2, 12)}
    part = restore(stack, prior=smooth_prior((24, 20)), noise=1.0, upsample=2, samples=2, steps=3, axes="tyx", region=region)
    assert part.mean.shape == (1, 24, 20)
    assert part.place == ((2, 3.75, 1.75), (1, 0.5, 0.5))


def test_files_have_the_finer_scale(tmp_path: Path, capsys: Any) -> None:
    place = Calibration((0.2, 0.1), ("um", "um"), "yx", (10.0, 20.0))
    write_tiff(tmp_path / "in.tif", spot(10.3, 15.6).astype(np.float32), place)
    fast = ["--noise", "1", "--steps", "4", "--samples", "2", "--device", "cpu"]
    for name in ("out.tif", "out.zarr"):
        assert cli.run(["restore", str(tmp_path / "in.tif"), "-o", str(tmp_path / name), "--upsample", "2", *fast]) == 0
        mean, found, story = read_image(tmp_path / name)
        assert mean.shape == (48, 60)
        np.testing.assert_allclose(found.scale, (0.1, 0.05))
        np.testing.assert_allclose(found.translate, (9.95, 19.975))
        assert story["napari-diffprior"]["recipe"]["upsample"] == 2
        world = np.add(found.translate, np.multiply(found.scale, centre(mean)))
        np.testing.assert_allclose(world, (10 + 0.2 * 10.3, 20 + 0.1 * 15.6), atol=0.02)
        assert cli.run(["replay", str(tmp_path / name)]) == 0
    np.testing.assert_array_equal(read_image(tmp_path / "out.tif")[0], read_image(tmp_path / "out.zarr")[0])
    capsys.readouterr()
    assert cli.run(["restore", str(tmp_path / "in.tif"), "-o", str(tmp_path / "no.tif"), "--upsample", "7", *fast]) == 2
    assert "7" in capsys.readouterr().err


def test_a_region_into_zarr_lies_in_its_place(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"noise": 1.0, "samples": 1, "steps": 2, "prior": smooth_prior((16, 16)), "upsample": 2}
    place = Calibration((2.0, 0.5), ("um", "um"), "yx", (1.0, 0.0))
    restore_to_zarr(spot(10, 14), tmp_path / "a.zarr", calibration=place, region=((4, 12), (6, 14)), **settings)
    found = read_image(tmp_path / "a.zarr")[1]
    assert found.scale == (1.0, 0.25) and found.translate == (1 + 2 * 3.75, 0.5 * 5.75)


def test_what_cannot_be_is_one_sentence() -> None:
    with pytest.raises(ValueError, match="3-D PSF cannot be upsampled"):
        restore(np.random.default_rng(0).random((5, 8, 8)), psf=gaussian_psf([1.0, 1.0, 1.0]), upsample=2, axes="zyx")
    with pytest.raises(ValueError, match="upsample = 9 is not possible"):
        restore(spot(3, 3), upsample=9)
