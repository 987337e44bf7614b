"""The command line: the same pixels as a script, one sentence for each mistake, nothing half-written."""

import json

import numpy as np
import pytest

from napari_diffprior import cli, restore
from napari_diffprior.io import Calibration, read_image, read_metadata, write_tiff

FAST = ["--steps", "2", "--samples", "2", "--noise", "20"]


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    rows, columns = np.mgrid[:64, :64]
    image = (1000 + 400 * np.sin(rows / 5) * np.cos(columns / 7)).astype(np.uint16)
    mask = (np.random.default_rng(0).random(image.shape) < 0.3).astype(np.uint8)
    place = Calibration(scale=(0.1, 0.1), units=("micrometer", "micrometer"), axes="yx")
    write_tiff(folder / "image.tif", image, place)
    write_tiff(folder / "mask.tif", mask, place)
    return folder


def run(capsys, *arguments):
    code = cli.run([str(argument) for argument in arguments])
    return code, *capsys.readouterr()


@pytest.fixture(scope="module")
def restored(picture, tmp_path_factory):
    output = tmp_path_factory.mktemp("outputs") / "restored.tif"
    inputs = [str(picture / "image.tif"), "--mask", str(picture / "mask.tif")]
    assert cli.run(["restore", *inputs, "-o", str(output), "--std", str(output.with_name("std.tif")), *FAST]) == 0
    return output


def test_same_pixels_as_a_script(picture, restored):
    image, mask = (read_image(picture / f"{name}.tif")[0] for name in ("image", "mask"))
    scripted = restore(image, mask, noise=20, steps=2, samples=2)
    np.testing.assert_array_equal(read_image(restored)[0], scripted.mean)
    np.testing.assert_array_equal(read_image(restored.with_name("std.tif"))[0], scripted.std)


def test_seeds_differ(picture, restored, capsys, tmp_path):
    inputs = [picture / "image.tif", "--mask", picture / "mask.tif"]
    assert run(capsys, "restore", *inputs, "-o", tmp_path / "one.tif", *FAST, "--seed", 1)[0] == 0
    assert np.abs(read_image(tmp_path / "one.tif")[0] - read_image(restored)[0]).max() > 1


def test_output_keeps_scale_and_recipe(restored):
    calibration, story = read_image(restored)[1], read_metadata(restored)["napari-diffprior"]
    assert calibration.scale == (0.1, 0.1)
    assert story["recipe"]["sampler"] == "decoupled"
    assert story["recipe"]["options"] == {"steps": 2}
    assert len(story["prior"]["sha256"]) == 64


def test_json_line(picture, capsys, tmp_path):
    arguments = [picture / "image.tif", "-o", tmp_path / "out.tif", *FAST, "--set", "start=5", "--json"]
    code, out, _ = run(capsys, "restore", *arguments)
    report = json.loads(out.splitlines()[-1])
    assert code == 0
    assert set(report) == {"output", "seconds", "calls", "misfit", "calibrated", "sampler", "prior", "device", "seed"}
    assert report["calls"] == 2
    assert len(report["misfit"]) == 2


def test_effective_particles_are_said(picture, capsys, tmp_path):
    few = ["--sampler", "tds", "--set", "particles=2", "--steps", "2", "--samples", "3", "--noise", "20"]
    output = tmp_path / "out.tif"
    code, out, _ = run(capsys, "restore", picture / "image.tif", "-o", output, *few, "--region", "y=0:32,x=0:32", "--json")
    report = json.loads(out.splitlines()[-1])
    assert code == 0
    assert len(report["effective_particles"]) == 3
    assert all(1 <= count <= 2 for count in report["effective_particles"])
    assert read_metadata(output)["napari-diffprior"]["effective_particles"] == report["effective_particles"]


def test_replay_gives_the_same_pixels(restored, capsys):
    code, out, _ = run(capsys, "replay", restored, "--json")
    assert code == 0
    assert json.loads(out.splitlines()[-1])["same"] is True


def test_replay_refuses_a_changed_input(picture, restored, capsys, tmp_path):
    changed = tmp_path / "changed.tif"
    array, calibration, metadata = read_image(restored)
    metadata["napari-diffprior"]["inputs"]["image"]["sha256"] = "0" * 64
    write_tiff(changed, array, calibration, metadata)
    code, _, err = run(capsys, "replay", changed)
    assert code == 2
    assert "is not the file that" in err


def test_replay_refuses_a_file_without_recipe(picture, capsys):
    code, _, err = run(capsys, "replay", picture / "image.tif")
    assert code == 2
    assert "carries no recipe" in err


def test_psf_and_blur(picture, capsys, tmp_path):
    code, _, err = run(capsys, "restore", picture / "image.tif", "-o", tmp_path / "sharp.tif", "--psf-sigma", 1.5, *FAST)
    assert code == 0, err
    assert read_image(tmp_path / "sharp.tif")[0].shape == (64, 64)


MISTAKES = {
    "there is no sampler 'decuopled'; did you mean decoupled?": ["--sampler", "decuopled"],
    "decoupled has no parameter 'stepz'; did you mean steps?": ["--set", "stepz=3"],
    "--set takes name=value": ["--set", "steps"],
    "there is no noise 'little'": ["--noise", "little"],
    "the noise 'auto' has no gain": ["--gain", "2"],
    "the noise must be above 0": ["--noise", "0"],
    "there is no prior 'microscopi'": ["--prior", "microscopi"],
    "is a pickle": ["--prior", "weights.ckpt"],
    "give a PSF or a PSF sigma, not both": ["--psf-sigma", "2", "--psf", "{image}"],
    "samples = 0 is not possible": ["--samples", "0"],
    "the device 'gpu9' cannot be used here": ["--device", "gpu9"],
    "nothing is left to measure": ["--mask", "{image}"],
}


@pytest.mark.parametrize("sentence", MISTAKES)
def test_mistakes_are_one_sentence(sentence, picture, capsys, tmp_path):
    image = str(picture / "image.tif")
    options = [option.format(image=image) for option in MISTAKES[sentence]]
    code, out, err = run(capsys, "restore", image, "-o", tmp_path / "out.tif", *options)
    assert code == 2
    assert sentence in err
    assert len(err.strip().splitlines()) == 1
    assert not out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("output", ["missing/out.tif", "out.png", "."])
def test_unwritable_output(output, picture, capsys, tmp_path):
    code, _, err = run(capsys, "restore", picture / "image.tif", "-o", tmp_path / output, *FAST)
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_missing_image(capsys, tmp_path):
    code, _, err = run(capsys, "restore", tmp_path / "nothing.tif", "-o", tmp_path / "out.tif")
    assert code == 2
    assert "nothing.tif" in err


def test_list_names_everything(capsys):
    code, out, _ = run(capsys, "list")
    assert code == 0
    for name in ("microscopy", "decoupled", "dps", "score_ald", "sdedit", "blur", "compose"):
        assert name in out
