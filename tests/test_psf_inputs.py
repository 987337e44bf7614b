"""PSFs as people have them, through restore() and the command line: handled and said, or refused in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_diffprior import cli, restore
from napari_diffprior.io import Calibration, read_image, voxels, write_tiff
from napari_diffprior.psf import gaussian_psf, prepare

SHAPE = (32, 40)
SETTINGS: dict[str, Any] = {"noise": 5, "steps": 2, "samples": 2, "device": "cpu"}
FAST = [word for name, value in SETTINGS.items() for word in (f"--{name}", str(value))]


def scene() -> Any:
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return (100 + 50 * np.sin(rows / 4) * np.cos(columns / 5)).astype(np.float32)


CLEAN = np.pad(gaussian_psf(1.5), 4)
HANDLED = {
    "constant background": (1000 * CLEAN + 7, "a background of 7"),
    "even sides": (np.pad(CLEAN, ((0, 1), (1, 0))), "its even size"),
    "larger than the image": (gaussian_psf(20.0), "reaches farther than the image is wide and was cropped"),
    "off the middle": (np.pad(CLEAN, ((6, 0), (0, 4))), "off the middle and was moved there"),
    "one that sums to 12": (12 * CLEAN, ""),
}
REFUSED = {
    "zeros": (np.zeros((9, 9)), "the PSF is zero everywhere"),
    "constant": (np.full((11, 11), 3.0), "the PSF is constant"),
    "not a number": (CLEAN + np.diag(np.r_[np.nan, np.zeros(len(CLEAN) - 1)]), "not finite"),
    "negative": (-CLEAN, "negative pixels"),
    "four axes": (np.ones((2, 2, 3, 3)), "not 4-D"),
    "a stack, for a plane": (gaussian_psf([1.0, 1.0, 1.0]), "have no z"),
}


def by_command(psf: Any, prior: Path, folder: Path) -> int:
    np.save(folder / "psf.npy", psf)
    write_tiff(folder / "image.tif", scene(), Calibration.pixels(2))
    files = [folder / "image.tif", "--psf", folder / "psf.npy", "-o", folder / "out.tif", "--prior", prior]
    return cli.run(["restore", *(str(word) for word in files), *FAST])


@pytest.mark.parametrize("case", HANDLED)
def test_handled(case: str, tiny_prior: Path, tmp_path: Path) -> None:
    psf, said = HANDLED[case]
    result = restore(scene(), psf=psf, prior=tiny_prior, **SETTINGS)
    assert np.isfinite(result.mean).all() and result.mean.shape == SHAPE
    assert said in " ".join(result.provenance.get("psf", []))
    assert by_command(psf, tiny_prior, tmp_path) == 0
    pixels, _, story = read_image(tmp_path / "out.tif")
    np.testing.assert_array_equal(pixels, result.mean)
    assert story["napari-diffprior"].get("psf") == result.provenance.get("psf")
    if case != "larger than the image":  # what is put right does not change the pixels
        clean = restore(scene(), psf=CLEAN, prior=tiny_prior, **SETTINGS)
        np.testing.assert_allclose(result.mean, clean.mean, atol=0.05)


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, tiny_prior: Path, tmp_path: Path, capsys: Any) -> None:
    psf, sentence = REFUSED[case]
    with pytest.raises(ValueError, match=sentence):
        restore(scene(), psf=psf, prior=tiny_prior, **SETTINGS)
    assert by_command(psf, tiny_prior, tmp_path) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
    assert not (tmp_path / "out.tif").exists()


def test_a_stack_with_its_psf(tiny_prior: Path, tmp_path: Path) -> None:
    """The distance of the planes comes from the file, unless something else is said."""
    stack = np.stack([scene() + 5 * z for z in range(4)])
    psf = gaussian_psf([0.6, 1.0, 1.0])
    np.save(tmp_path / "psf.npy", psf)
    write_tiff(tmp_path / "stack.tif", stack, Calibration((0.6, 0.2, 0.2), ("um",) * 3, "zyx"))
    files = [tmp_path / "stack.tif", "--psf", tmp_path / "psf.npy", "-o", tmp_path / "out.tif", "--prior", tiny_prior]
    words = ["restore", *(str(word) for word in files), *FAST]
    for extra, anisotropy in (([], 3.0), (["--anisotropy", "2"], 2.0)):
        assert cli.run([*words, *extra]) == 0
        pixels, place, story = read_image(tmp_path / "out.tif")
        assert story["napari-diffprior"]["recipe"]["anisotropy"] == anisotropy
        scripted = restore(stack, psf=psf, prior=tiny_prior, anisotropy=anisotropy, **SETTINGS)
        np.testing.assert_array_equal(pixels, scripted.mean)
        assert place.scale == (0.6, 0.2, 0.2)
    assert cli.run(["replay", str(tmp_path / "out.tif")]) == 0


def test_the_distance_of_planes() -> None:
    assert Calibration((2.0, 0.5, 0.3, 0.1), ("s", "um", "um", "um"), "tzyx").anisotropy == 2.5
    assert Calibration((0.5, 0.3), ("um", "um"), "yx").anisotropy == 1.0
    assert Calibration((0.5, 0.3, 0.3), ("pixel", "um", "um"), "zyx").anisotropy == 1.0
    assert Calibration((500.0, 0.1, 0.1), ("nm", "um", "um"), "zyx").anisotropy == 5.0


def in_um(*scale: float, unit: str = "um") -> Calibration:
    return Calibration(scale, (unit,) * len(scale), "zyx"[-len(scale) :])


@pytest.mark.parametrize(("steps", "unit"), [((0.05, 0.05), "um"), ((50.0, 50.0), "nm")])
def test_a_file_of_other_pixels_is_resampled(steps: Any, unit: str, tiny_prior: Path, tmp_path: Path, capsys: Any) -> None:
    """On the command line, into a TIFF and into a zarr, in any unit of length; and again by replay."""
    psf = gaussian_psf(3.0).astype(np.float32)
    write_tiff(tmp_path / "psf.tif", psf, in_um(*steps, unit=unit))
    write_tiff(tmp_path / "image.tif", scene(), in_um(0.1, 0.1))
    ready = prepare(psf, voxel=(0.05, 0.05), image_voxel=(0.1, 0.1))
    expected = restore(scene(), psf=ready, prior=tiny_prior, **SETTINGS)
    for name in ("out.tif", "out.zarr"):
        files = [tmp_path / "image.tif", "--psf", tmp_path / "psf.tif", "-o", tmp_path / name, "--prior", tiny_prior]
        assert cli.run(["restore", *(str(word) for word in files), *FAST]) == 0
        pixels, _, story = read_image(tmp_path / name)
        np.testing.assert_array_equal(pixels, expected.mean)
        assert "it was resampled to the image's voxels, 2 x 2 of its own." in story["napari-diffprior"]["psf"]
        assert cli.run(["replay", str(tmp_path / name)]) == 0


NOTHING: dict[str, Any] = {}
MICROMETRES = Calibration((0.3, 0.1, 0.1), ("um",) * 3, "zyx")


@pytest.mark.parametrize(
    ("psf", "image", "expected"),
    [
        (in_um(0.1, 0.1), in_um(0.1, 0.1), NOTHING),
        (in_um(100.0, 100.0, unit="nanometer"), in_um(0.1, 0.1), NOTHING),
        (Calibration.pixels(2), in_um(0.1, 0.1), NOTHING),
        (in_um(0.1, 0.1), Calibration.pixels(2), NOTHING),
        (in_um(5.0, 5.0, unit="furlong"), in_um(0.1, 0.1), NOTHING),
        (in_um(5.0, 5.0, unit="s"), in_um(0.1, 0.1), NOTHING),
        (in_um(0.1, 0.1, 0.1), MICROMETRES, {"voxel": (0.1, 0.1, 0.1), "image_voxel": (0.3, 0.1, 0.1)}),
        (  # z, c, y, x: the second axis is no z
            in_um(0.1, 0.1, 0.1),
            Calibration((0.3, 1.0, 0.1, 0.1), ("um", "um", "um", "um"), "zcyx"),
            {"voxel": (0.1, 0.1, 0.1), "image_voxel": (0.3, 0.1, 0.1)},
        ),
        (  # of the planes nothing is known
            Calibration((1.0, 50.0, 50.0), ("pixel", "nm", "nm"), "tyx"),
            MICROMETRES,
            {"voxel": (1.0, 0.05, 0.05), "image_voxel": (1.0, 0.1, 0.1)},
        ),
    ],
)
def test_voxel_sizes_that_are_known(psf: Calibration, image: Calibration, expected: dict[str, Any]) -> None:
    assert voxels(psf, image) == expected


def test_a_size_that_cannot_be_meant_changes_nothing() -> None:
    """As that of a file which says micrometres where nobody typed a size."""
    found = prepare(CLEAN, voxel=(1.0, 1.0), image_voxel=(0.065, 0.065))
    np.testing.assert_array_equal(found.values, prepare(CLEAN).values)
    assert found.done[0].startswith("it was not resampled: the image's voxels would be 0.065 x 0.065 of its own")


def test_the_axes_that_are_given_say_which_is_z(tiny_prior: Path, tmp_path: Path) -> None:
    """A file that calls its planes channels and its channels planes: PSF and distance of the planes follow --axes."""
    stack = np.stack([scene() + 5 * z for z in range(4)])[:, None]
    place = Calibration((0.6, 0.2, 0.2, 0.2), ("um",) * 4, "czyx")
    write_tiff(tmp_path / "stack.tif", stack, place)
    write_tiff(tmp_path / "psf.tif", gaussian_psf([1.2, 1.0, 1.0]).astype(np.float32), in_um(0.3, 0.2, 0.2))
    files = [tmp_path / "stack.tif", "--psf", tmp_path / "psf.tif", "-o", tmp_path / "out.tif", "--prior", tiny_prior]
    assert cli.run(["restore", *(str(word) for word in files), *FAST, "--axes", "zcyx"]) == 0
    story = read_image(tmp_path / "out.tif")[2]["napari-diffprior"]
    assert "2 x 1 x 1 of its own" in " ".join(story["psf"]) and story["recipe"]["anisotropy"] == 3.0
    assert cli.run(["replay", str(tmp_path / "out.tif")]) == 0


def test_psf_of_beads_keeps_the_unit_of_each_axis(tmp_path: Path) -> None:
    image = np.zeros((15, 40, 40), np.float32)
    image[7, 20, 20] = 1000
    image = gaussian_filter(image, 1.8)
    write_tiff(tmp_path / "beads.tif", image, Calibration((1.0, 0.1, 0.1), ("pixel", "um", "um"), "zyx"))
    assert cli.run(["psf", "beads", str(tmp_path / "beads.tif"), "-o", str(tmp_path / "psf.tif"), "--size", *["15"] * 3]) == 0
    assert read_image(tmp_path / "psf.tif")[1].units == ("pixel", "um", "um")
