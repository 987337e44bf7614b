"""A (T, C, Z, Y, X) stack from a script and from the command line: identical pixels, everything kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_diffprior import cli, restore
from napari_diffprior.io import Calibration, read_image, read_metadata

FAST = ["--steps", "2", "--samples", "2", "--noise", "20", "--device", "cpu"]


@pytest.fixture(scope="module")
def prior(tiny_prior: Path) -> Path:
    return tiny_prior


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OME-TIFF as another program writes it."""
    path = tmp_path_factory.mktemp("stack") / "stack.ome.tif"
    rows, columns = np.mgrid[:32, :40]
    planes = [1000 + 100 * k * np.sin(rows / (k + 1)) * np.cos(columns / 7) for k in range(1, 13)]
    sizes = {"axes": "TCZYX", "TimeIncrement": 2.0, "TimeIncrementUnit": "s"}
    sizes |= {f"PhysicalSize{letter}": step for letter, step in zip("ZYX", (0.5, 0.2, 0.1), strict=True)}
    array = np.reshape(planes, (2, 2, 3, 32, 40)).astype(np.uint16)
    tifffile.imwrite(path, array, photometric="minisblack", metadata=sizes)
    return path


def run(capsys: Any, *arguments: Any) -> tuple[int, str, str]:
    code = cli.run([str(argument) for argument in arguments])
    return code, *capsys.readouterr()


def test_script_and_command_line_give_identical_pixels(stack: Path, prior: Path, tmp_path: Path, capsys: Any) -> None:
    array, place, _ = read_image(stack)
    scripted = restore(array, axes=place.axes, noise=20, steps=2, samples=2, device="cpu", prior=prior)
    for name in ("out.ome.tif", "out.ome.zarr"):
        extra = ["--std", tmp_path / f"std.{name[4:]}", "--quantiles", tmp_path / f"q.{name[4:]}"]
        code, out, err = run(capsys, "restore", stack, "-o", tmp_path / name, *extra, "--json", *FAST, "--prior", prior)
        assert code == 0, err
        assert json.loads(out)["calibrated"].startswith("not calibrated")
        mean, found, metadata = read_image(tmp_path / name)
        np.testing.assert_array_equal(mean, scripted.mean)
        assert found == place == Calibration((2.0, 1.0, 0.5, 0.2, 0.1), ("s", "pixel", "um", "um", "um"), "tczyx")
        assert len(metadata["napari-diffprior"]["planes"]) == 12
        for kind, file in (("std", "std"), ("low", "q_05"), ("high", "q_95")):
            np.testing.assert_array_equal(read_image(tmp_path / f"{file}.{name[4:]}")[0], scripted.image(kind))
        code, out, err = run(capsys, "replay", tmp_path / name, "--json")
        assert code == 0, err
        assert json.loads(out.splitlines()[-1])["same"] is True


def test_samples_and_a_region(stack: Path, prior: Path, tmp_path: Path, capsys: Any) -> None:
    files = ["-o", tmp_path / "a.tif", "--samples-out", tmp_path / "s.tif"]
    code, _, err = run(capsys, "restore", stack, *files, "--region", "t=1:2,c=0:1,y=4:20,x=8:32", *FAST, "--prior", prior)
    assert code == 2
    assert "cannot be stored" in err
    files[-1] = tmp_path / "s.zarr"
    code, _, err = run(capsys, "restore", stack, *files[:2], "--region", "y=4:20,x=8:9x", *FAST, "--prior", prior)
    assert code == 2
    assert "--region takes" in err
    assert not list(tmp_path.iterdir())
    code, _, err = run(capsys, "restore", stack, *files[:2], "--region", "t=1:2,c=0:1,y=4:20,x=8:32", *FAST, "--prior", prior)
    assert code == 0, err
    mean, place, _ = read_image(tmp_path / "a.tif")
    assert mean.shape[-2:] == (16, 24)
    np.testing.assert_allclose(place.translate[-2:], (0.8, 0.8))
    assert place.translate[0] == 2.0
    assert read_metadata(tmp_path / "a.tif")["napari-diffprior"]["recipe"]["region"]["t"] == [1, 2]


def test_a_scheduler_wants_zarr(stack: Path, prior: Path, tmp_path: Path, capsys: Any) -> None:
    code, _, err = run(
        capsys, "restore", stack, "-o", tmp_path / "a.tif", "--scheduler", "tcp://nowhere:1", *FAST, "--prior", prior
    )
    assert code == 2
    assert "end in .zarr" in err


@pytest.mark.parametrize("whole", [True, False], ids=["stack", "plane"])
@pytest.mark.parametrize("ending", ["tif", "ome.zarr"])
def test_a_mask_in_a_file(stack: Path, prior: Path, tmp_path: Path, capsys: Any, whole: bool, ending: str) -> None:
    mask = np.random.default_rng(0).random((2, 2, 3, 32, 40) if whole else (32, 40)) < 0.2
    tifffile.imwrite(tmp_path / "mask.tif", mask.astype(np.uint8))
    output = tmp_path / f"out.{ending}"
    code, _, err = run(capsys, "restore", stack, "-o", output, "--mask", tmp_path / "mask.tif", *FAST, "--prior", prior)
    assert code == 0, err
    expected = restore(read_image(stack)[0], mask, axes="tczyx", noise=20, steps=2, samples=2, device="cpu", prior=prior)
    np.testing.assert_array_equal(read_image(output)[0], expected.mean)
