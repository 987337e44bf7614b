"""PSFs as people have them, through restore() and the command line: handled and said, or refused in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_diffprior import cli, restore
from napari_diffprior.io import Calibration, read_image, write_tiff
from napari_diffprior.psf import gaussian_psf

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
