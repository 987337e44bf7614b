"""Training: reading, holding out, resuming, and the folder that comes out."""

import csv
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.io import imsave

from napari_diffprior.priors.store import load_prior
from napari_diffprior.train import data, loop
from napari_diffprior.train.command import train_prior
from napari_diffprior.train.state import FILE, Run

QUICK = loop.TrainSettings(patches=(32,), pixels=4096, minutes=0.05, learning_rate=1e-3, held_out=0.2, calibration=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:128, :128]
    for number in range(40):
        y, x = rng.uniform(20, 108, 2)
        blob = 200 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / rng.uniform(50, 400))
        imsave(place / f"{number:02d}.png", blob.astype(np.uint8), check_contrast=False)
    return place


def test_bad_files_are_listed_not_fatal(folder, tmp_path):
    np.save(tmp_path / "constant.npy", np.ones((64, 64)))
    np.save(tmp_path / "small.npy", np.eye(8))
    np.save(tmp_path / "nan.npy", np.full((64, 64), np.nan))
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    np.save(tmp_path / "good.npy", np.random.default_rng(0).random((2, 64, 64)))
    images, skipped = data.read_folder([tmp_path], 32)
    assert len(images) == 2
    assert {line.split(":")[0].rpartition("/")[2] for line in skipped} == {"constant.npy", "small.npy", "nan.npy", "broken.png"}


def test_held_out_share_no_source(folder, tmp_path):
    images, _ = data.read_folder([folder], 32)
    kept, held = data.hold_out(images, 0.2)
    assert kept and held
    assert len(kept) + len(held) == len(images)
    assert not {image.source for image in kept} & {image.source for image in held}


def test_manifest_names_the_source(folder, tmp_path):
    names = sorted(path.name for path in folder.glob("*.png"))[:6]
    for name in names:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    with (tmp_path / "manifest.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["file", "collection", "source"])
        rows.writerows([name, "blobs", f"slide{i // 3}"] for i, name in enumerate(names))
    images, _ = data.read_folder([tmp_path], 32)
    assert {image.source for image in images} == {"blobs/slide0", "blobs/slide1"}
    kept, held = data.hold_out(images, 0.5)
    assert len(kept) == len(held) == 3


@given(st.integers(16, 64), st.integers(0, 2**31))
def test_patches_depend_on_the_key_alone(patch, key):
    image = data.TrainingImage(np.random.default_rng(1).random((70, 90), np.float32), "a", None)
    first, again = (data.batch([image], patch, 3, [key]) for _ in range(2))
    assert first.shape == (3, 1, patch, patch)
    assert (first == again).all()
    assert not (first == data.batch([image], patch, 3, [key + 1])).all()


def test_learning_rate_ends_with_the_time():
    rates = [loop.learning_rate(QUICK, loop.Progress(step=1000, seconds=share * 3.0)) for share in (0, 0.5, 0.75, 1)]
    assert rates[0] == rates[1] == QUICK.learning_rate
    assert rates[1] > rates[2] > rates[3]
    assert rates[3] <= 1e-3 * QUICK.learning_rate * 1.001


def test_interrupted_equals_undisturbed(folder, tmp_path):
    images, _ = data.read_folder([folder], 32)
    endless = loop.TrainSettings(patches=(32,), pixels=4096, minutes=1e6)
    whole = Run.open(tmp_path, endless)
    losses = [whole.step(images) for _ in range(6)]
    stopped = Run.open(tmp_path, endless)
    first = [stopped.step(images) for _ in range(3)]
    stopped.save(tmp_path)
    resumed = Run.open(tmp_path, endless)
    assert resumed.progress.step == 3
    second = [resumed.step(images) for _ in range(3)]
    np.testing.assert_allclose(first + second, losses, rtol=1e-3)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_one_command_makes_a_prior(folder, tmp_path):
    events = []
    train_prior([folder], tmp_path / "blobs", QUICK, "CC0-1.0", events.append)
    assert {"data", "validation", "done"} <= {event["event"] for event in events}
    card = json.loads((tmp_path / "blobs" / "prior.json").read_text())
    assert card["licence"] == "CC0-1.0"
    assert card["patch"] == [32, 32]
    prior = load_prior(tmp_path / "blobs")
    assert prior.spectrum is not None
    rms = np.array(card["error_rms"])
    assert (rms > 0).all()
    assert len(card["error_spectrum"]["sigmas"]) == 25
    assert prior.coverage_factor(0.1) == pytest.approx(card["coverage"]["factor"][2])
    text = (tmp_path / "blobs" / "README.md").read_text()
    for part in ("CC0-1.0", "## Calibration: coverage", "![16 samples", "Command: `diffprior train"):
        assert part in text
    assert 1000 < (tmp_path / "blobs" / "samples.png").stat().st_size < 300_000
    assert not [path for path in tmp_path.rglob("*.tmp")]


def test_too_few_patches(tmp_path):
    np.save(tmp_path / "one.npy", np.random.default_rng(0).random((64, 64)))
    with pytest.raises(ValueError, match="4 patches of 32 pixels: use at least 500"):
        train_prior([tmp_path], tmp_path / "prior", QUICK, "unknown", lambda event: None)


def test_stop_file_ends_the_run(folder, tmp_path):
    images, _ = data.read_folder([folder], 32)
    (tmp_path / "stop").touch()
    progress = loop.train(images, images, tmp_path, QUICK, lambda event: None)
    assert progress.step == 0
    assert (tmp_path / FILE).is_file()
