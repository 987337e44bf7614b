"""Training: reading, holding out, resuming, and the folder that comes out."""

import csv
import json
import math
import subprocess
import sys
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr
from skimage.io import imread, imsave

from napari_diffprior import cli
from napari_diffprior.io import Calibration, write_tiff, write_zarr
from napari_diffprior.noise.estimate import estimate_sigma
from napari_diffprior.priors.analytic import StationaryPrior
from napari_diffprior.priors.levels import Levels
from napari_diffprior.priors.store import WEIGHTS, load_prior
from napari_diffprior.train import data, feed, loop
from napari_diffprior.train.calibrate import shown
from napari_diffprior.train.command import recalibrate, train_prior
from napari_diffprior.train.sampling import draw_samples
from napari_diffprior.train.state import FILE, Run


def smooth(rng, shape):
    """Smooth random pictures from 0 to 1."""
    field = gaussian_filter(rng.standard_normal(shape), (0,) * (len(shape) - 2) + (4, 4))
    return (field - field.min()) / np.ptp(field)


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


def test_bad_files_are_listed_not_fatal(tmp_path):
    rng = np.random.default_rng(0)
    good = smooth(rng, (2, 64, 64))
    np.save(tmp_path / "constant.npy", np.ones((64, 64)))
    np.save(tmp_path / "small.npy", np.eye(8))
    np.save(tmp_path / "nan.npy", np.full((64, 64), np.nan))
    np.save(tmp_path / "noise.npy", rng.random((64, 64)))
    np.save(tmp_path / "labels.npy", good[0] > 0.5)
    np.save(tmp_path / "complex.npy", good[0] + 1j)
    np.save(tmp_path / "line.npy", np.arange(64.0))
    np.save(tmp_path / "pickle.npy", np.array([{}], dtype=object), allow_pickle=True)
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    np.save(tmp_path / "good.npy", good)
    np.save(tmp_path / "half.npy", np.stack([good[0], np.ones((64, 64))]))
    images, skipped = data.read_folder([tmp_path], 32, noise_limit=0.05)
    assert [image.path.name for image in images] == ["good.npy", "good.npy", "half.npy"]
    reasons = {line.partition(": ")[0].rpartition("/")[2]: line.partition(": ")[2] for line in skipped}
    expected = {
        "constant.npy": "is constant",
        "small.npy": "is smaller than the patch of 32 pixels",
        "nan.npy": "has pixels that are not finite",
        "noise.npy": "is too noisy",
        "labels.npy": "holds bool, not grey values",
        "complex.npy": "holds complex128, not grey values",
        "line.npy": "1 axes",
        "pickle.npy": "cannot be read as an image",
        "broken.png": "cannot be read as an image",
        "half.npy": "plane 1 is constant",
    }
    assert reasons.keys() == expected.keys()
    for name, reason in expected.items():
        assert reason in reasons[name]


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".npy"])
def test_truncated_files_are_listed(tmp_path, suffix):
    picture = (200 * smooth(np.random.default_rng(0), (64, 64))).astype(np.uint8)
    np.save(tmp_path / "whole.npy", picture) if suffix == ".npy" else imsave(tmp_path / f"whole{suffix}", picture)
    content = (tmp_path / f"whole{suffix}").read_bytes()
    rng = np.random.default_rng(1)
    for number, length in enumerate(rng.integers(0, len(content) - 8, 12)):
        (tmp_path / f"cut{number}{suffix}").write_bytes(content[:length])
    images, skipped = data.read_folder([tmp_path], 32)
    assert len(images) + len(skipped) == 13  # some decoders fill the missing part of a picture
    assert images[-1].path.name == f"whole{suffix}"
    assert all(len(line.splitlines()) == 1 for line in skipped)


def test_planes_of_any_axes(tmp_path):
    planes = smooth(np.random.default_rng(0), (2, 3, 40, 48))
    write_tiff(tmp_path / "stack.tif", planes.astype(np.float32), Calibration.pixels(4, "tzyx"))
    write_zarr(tmp_path / "store.ome.zarr", planes[0].astype(np.float32), Calibration.pixels(3, "cyx"))
    imsave(tmp_path / "colour.png", (200 * np.moveaxis(planes[0], 0, -1)).astype(np.uint8), check_contrast=False)
    np.save(tmp_path / "colour.npy", np.moveaxis(planes[0], 0, -1))
    images, skipped = data.read_folder([tmp_path], 40)
    assert not skipped
    assert all(image.shape == (40, 48) for image in images)
    counts = Counter(image.path.name for image in images)
    assert counts == {"stack.tif": 6, "store.ome.zarr": 3, "colour.png": 1, "colour.npy": 1}
    by_name = {image.path.name: image.pixels for image in images}
    np.testing.assert_allclose(by_name["colour.npy"], data.normalise(planes[0].mean(0)), atol=1e-5)
    np.testing.assert_allclose(by_name["stack.tif"], data.normalise(planes[1, 2]), atol=1e-5)


def test_noise_is_reduced_or_left_out(tmp_path):
    rng = np.random.default_rng(0)
    clean = smooth(rng, (256, 256))
    np.save(tmp_path / "a.npy", clean + 0.05 * np.ptp(clean) * rng.standard_normal(clean.shape))
    (image,), skipped = data.read_folder([tmp_path], 64, noise_limit=0.035)
    assert not skipped
    assert image.shape == (128, 128)
    assert estimate_sigma(image.pixels, np.ones(image.shape, bool)) < 0.035
    images, (line,) = data.read_folder([tmp_path], 200, noise_limit=0.035)
    assert not images
    assert "is too noisy" in line


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

    def steps(run, count):
        return [float(run.step(patches)) for patches in islice(run.batches(images), count)]

    losses = steps(Run.open(tmp_path, endless), 6)
    stopped = Run.open(tmp_path, endless)
    first = steps(stopped, 3)
    stopped.save(tmp_path)
    resumed = Run.open(tmp_path, endless)
    assert resumed.progress.step == 3
    second = steps(resumed, 3)
    np.testing.assert_allclose(first + second, losses, rtol=1e-3)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_patches_cut_by_other_processes_are_the_same(folder):
    images, _ = data.read_folder([folder], 32)
    settings = loop.TrainSettings(patches=(32, 64), pixels=8192)
    here, there = (list(islice(feed.batches(images, settings, 3, 0, 1, workers), 4)) for workers in (0, 2))
    assert [tuple(patches.shape) for patches in here] == [(2, 1, 64, 64), (8, 1, 32, 32)] * 2
    assert all((one == other).all() for one, other in zip(here, there, strict=True))
    assert feed.cutters("cpu", 1) == 0 < feed.cutters("cuda", 64)


def test_one_command_makes_a_prior(folder, tmp_path):
    events = []
    train_prior([folder], tmp_path / "blobs", QUICK, "CC0-1.0", events.append)
    assert {"data", "validation", "done"} <= {event["event"] for event in events}
    card = json.loads((tmp_path / "blobs" / "prior.json").read_text())
    assert card["licence"] == "CC0-1.0"
    assert card["patch"] == [32, 32]
    kept, _ = data.hold_out(data.read_folder([folder], 32, QUICK.noise_limit)[0], QUICK.held_out)
    patches = data.batch(kept, 32, 1024, [QUICK.seed])
    assert card["trained_on"] == data.statistics(patches)
    assert load_prior(tmp_path / "blobs").levels == Levels.of(patches)
    prior = load_prior(tmp_path / "blobs")
    assert prior.spectrum is not None
    rms = np.array(card["error_rms"])
    assert (rms > 0).all()
    assert len(card["error_spectrum"]["sigmas"]) == 25
    assert prior.coverage_factor(0.1) == pytest.approx(card["coverage"]["factor"][2])
    assert [len(table["factor"]) for table in card["coverage"]["blurred"]] == [4]  # the wider one does not fit 32 pixels
    text = (tmp_path / "blobs" / "README.md").read_text()
    for part in ("CC0-1.0", "## Calibration: coverage", "![16 samples", "Command: `diffprior train"):
        assert part in text
    assert 1000 < (tmp_path / "blobs" / "samples.png").stat().st_size < 300_000
    assert not [path for path in tmp_path.rglob("*.tmp")]
    weights = (tmp_path / "blobs" / "unet" / WEIGHTS).read_bytes()
    stale = {**card, "coverage": {**card["coverage"], "factor": [9.0] * 4}}
    (tmp_path / "blobs" / "prior.json").write_text(json.dumps(stale))
    command = ["train", str(folder), "-o", str(tmp_path / "blobs"), "--recalibrate"]
    assert cli.run(command) == 0
    again = json.loads((tmp_path / "blobs" / "prior.json").read_text())
    measured, before = again.pop("coverage"), card["coverage"]
    assert again == {key: value for key, value in card.items() if key != "coverage"}
    assert measured["factor"] == pytest.approx(before["factor"], rel=0.02)  # prior.json rounds the spectrum
    assert measured["blurred"][0]["factor"] == pytest.approx(before["blurred"][0]["factor"], rel=0.02)
    assert (tmp_path / "blobs" / "unet" / WEIGHTS).read_bytes() == weights
    with pytest.raises(ValueError, match=r"was trained on \d+ images, not on the"):
        recalibrate([next(folder.glob("*.png"))], tmp_path / "blobs", events.append)


def test_a_finished_prior_is_measured_on_as_many_patches_as_asked_for(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr("napari_diffprior.train.command.recalibrate", lambda *given: asked.append(given[3]))
    command = ["train", str(tmp_path), "-o", str(tmp_path / "blobs"), "--recalibrate"]
    assert cli.run([*command, "--set", "calibration=2"]) == cli.run(command) == 0
    assert asked == [2, None]
    assert cli.run([*command, "--set", "minutes=3"]) != 0
    assert "--recalibrate takes --set calibration=N alone" in capsys.readouterr().err


def test_only_clean_patches_are_the_truth_of_a_calibration():
    clean = smooth(np.random.default_rng(0), (64, 64)).astype(np.float32)
    noisy = clean + 0.05 * np.random.default_rng(1).standard_normal(clean.shape).astype(np.float32)
    images = [data.TrainingImage(pixels, name, Path(name)) for pixels, name in ((clean, "clean"), (noisy, "noisy"))]
    found = shown(images, 32, 40, [0])
    assert len(found) == 40
    assert max(estimate_sigma(patch[0].numpy()) for patch in found) <= 0.02
    assert len(shown(images[1:], 32, 5, [0])) == 5  # better these than none


def test_too_few_patches(tmp_path):
    np.save(tmp_path / "one.npy", smooth(np.random.default_rng(0), (64, 64)))
    sentence = "4 patches of 32 pixels: use at least 500, or fine-tune with --from microscopy"
    with pytest.raises(ValueError, match=sentence):
        train_prior([tmp_path], tmp_path / "prior", QUICK, "unknown", lambda event: None)


def test_mistakes_are_one_sentence(folder, tmp_path, capsys):
    (tmp_path / "work").mkdir()
    np.save(tmp_path / "one.npy", smooth(np.random.default_rng(0), (64, 64)))
    out, quick = str(tmp_path / "out"), ["--set", "patches=[32]"]
    sentences = {
        "there is no file or folder": ["nowhere", "-o", out],
        "exists and is not a prior": [str(folder), "-o", str(tmp_path / "work"), *quick],
        "use at least 50, or add images": [str(tmp_path / "one.npy"), "-o", out, "--from", "microscopy"],
        "there is no prior 'microscpy'": [str(folder), "-o", out, "--from", "microscpy", *quick],
        "is not a prior of the size 'm'": [str(folder), "-o", out, "--from", "microscopy", "--size", "m", *quick],
    }
    for sentence, arguments in sentences.items():
        assert cli.run(["train", *arguments]) == 2
        err = capsys.readouterr().err
        assert sentence in err
        assert len([line for line in err.splitlines() if line.startswith("diffprior:")]) == 1
    assert not (tmp_path / "out").exists()


def test_fine_tuning_starts_at_the_prior(folder, tmp_path):
    images, _ = data.read_folder([folder], 32)
    run = Run.open(tmp_path, loop.TrainSettings(patches=(32,), pixels=4096, from_prior="microscopy", learning_rate=1e-4))
    weights = load_prior("microscopy").network.state_dict()
    for tensors in (run.parameters, run.average):
        assert all((value == weights[name]).all() for name, value in tensors.items())
    run.step(next(run.batches(images)))
    moved = max(float((run.average[name] - weights[name]).abs().max()) for name in weights)
    assert 0 < moved <= 1.1e-3 * 1e-4  # one step of the averaged weights, not a jump to the new ones


def test_a_run_of_another_size_is_not_continued(folder, tmp_path):
    Run.open(tmp_path, QUICK).save(tmp_path)
    with pytest.raises(ValueError, match="belongs to a network of another size"):
        Run.open(tmp_path, loop.TrainSettings(size="m"))


def test_stop_file_ends_the_run(folder, tmp_path):
    images, _ = data.read_folder([folder], 32)
    (tmp_path / "stop").touch()
    progress = loop.train(images, images, tmp_path, QUICK, lambda event: None)
    assert progress.step == 0
    assert [path.name for path in tmp_path.iterdir()] == [FILE]  # and the next run goes on


def test_events_and_picture(folder, tmp_path):
    images, _ = data.read_folder([folder], 32)
    events = []
    settings = loop.TrainSettings(patches=(32,), pixels=4096, minutes=1e6, steps=2, sample_minutes=1e-9, save_minutes=1e6)
    progress = loop.train(images, images, tmp_path, settings, events.append)
    assert progress.step == 2
    kinds = [event["event"] for event in events if event["event"] != "step"]  # these come by the clock
    assert kinds == ["samples", "samples", "validation"]
    sixteen = imread(tmp_path / "samples.png").reshape(4, 32, 4, 32).mean((1, 3))
    levels = Levels.of(data.batch(images, 32, data.TYPICAL, [settings.seed])).draw(range(16), 0, 0.0)
    assert spearmanr(sixteen.ravel(), levels).statistic > 0.9  # as bright as patches are
    event = loop._step_event(settings, loop.Progress(step=1, seconds=3.0, images=8), [1.0, 3.0])
    assert event == {"event": "step", "step": 1, "loss": 2.0, "images": 8, "eta_s": 3}


def test_killed_at_any_moment_it_resumes(tmp_path):
    """Three kills here; the script's default is ten."""
    script = Path(__file__).parents[1] / "benchmarks" / "kill_and_resume.py"
    done = subprocess.run(
        [sys.executable, str(script), "--kills", "3", "--steps", "6"], capture_output=True, text=True, check=True, timeout=280
    )
    report = json.loads(done.stdout.splitlines()[-1])
    assert len(report["killed_at"]) == 3
    assert report["largest_difference"] < 1e-6
    assert report["losses"][0] == pytest.approx(report["losses"][1], rel=1e-6)
    assert not report["left_over"]


def test_one_large_image_is_split(tmp_path):
    image = data.TrainingImage(np.arange(96.0 * 60, dtype=np.float32).reshape(96, 60), "a", tmp_path)
    (kept,), (held,) = data.hold_out([image], 0.1)
    assert not set(kept.pixels.ravel()) & set(held.pixels.ravel())
    assert kept.shape == (64, 60)
    assert held.shape == (32, 60)


def test_training_and_validation_share_no_source():
    places = [parent / "shared" / "data" / "microscopy" / "manifest.csv" for parent in Path(__file__).resolve().parents]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        pytest.skip("the training data's manifest (shared/data/microscopy/manifest.csv) is not above this checkout")
    with found.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    sources = {
        split: {f"{row['collection']}/{row['source']}" for row in rows if row["split"] == split} for split in ("train", "val")
    }
    assert len(sources["train"]) > 400
    assert len(sources["val"]) > 20
    assert not sources["train"] & sources["val"]
    # Other pages or frames of one recording: no shared image, but related ones. The benchmark leaves these out.
    families = {data.family(source) for source in sources["train"]}
    related = [source for source in sources["val"] if data.family(source) in families]
    assert len(related) == 4


def test_pages_of_one_recording_are_a_family(tmp_path):
    family = data.family
    assert family("a/stack.tif_p0") == family("a/stack.tif_p12") != family("b/stack.tif_p0")
    assert family("em_z0003.tif") == family("em_z0010.tif")
    assert family("movie--T00024--Z000--C.tif") == family("movie--T00000--Z000--C.tif")
    assert family("plate_A02_s9.tif") != family("plate_A03_s9.tif")
    images = [
        data.TrainingImage(np.ones((8, 8), np.float32), f"{n}.tif_p{page}", tmp_path) for n in range(20) for page in range(3)
    ]
    kept, held = data.hold_out(images, 0.3)
    assert kept and held
    assert not {family(image.source) for image in kept} & {family(image.source) for image in held}


def test_the_embedded_prior_is_calibrated():
    prior = load_prior("microscopy")
    spectrum = prior.spectrum
    data_std = spectrum.error_rms(math.inf)
    assert spectrum.error_rms(prior.sigma_max) == pytest.approx(data_std, rel=0.1)
    for sigma in np.geomspace(0.02, prior.sigma_max, 40):
        assert spectrum.error_rms(sigma) < sigma


def test_no_large_collection_rules_the_draws(tmp_path):
    pixels = np.zeros((8, 8), np.float32)
    images = [data.TrainingImage(pixels, f"many/{i}", tmp_path) for i in range(100)]
    images += [data.TrainingImage(pixels, f"few/{i}", tmp_path) for i in range(4)]
    shares = data.chances(images)
    assert shares[:100].sum() / shares[100:].sum() == pytest.approx(5.0)
    alone = [data.TrainingImage(pixels, f"{i}", tmp_path) for i in range(7)]
    assert data.chances(alone) == pytest.approx(1 / 7)


def test_large_patches_come_from_images_that_hold_them(tmp_path):
    rng = np.random.default_rng(0)
    images = [data.TrainingImage(rng.random((side, side), np.float32), str(side), tmp_path) for side in (16, 16, 64)]
    assert data.batch(images, 32, 5, [0]).shape == (5, 1, 32, 32)


def test_made_up_images_have_the_spectrum_of_the_prior() -> None:
    grid = (16, 16)
    down, across = torch.fft.fftfreq(16, dtype=torch.float64)[:, None], torch.fft.fftfreq(16, dtype=torch.float64)
    power = 2e-3 / (down.square() + across.square() + 0.01)
    prior = StationaryPrior(power[:, :9].float(), grid, sigma_min=0.003, sigma_max=150.0)
    found = torch.fft.fft2(torch.from_numpy(draw_samples(prior, 2000, 16, batch=500))[:, 0]).abs().square().mean(0) / 256
    ratio = (found / power).sqrt()
    assert 0.97 < float((found.mean() / power.mean()).sqrt()) < 1.04  # Euler's method with as many steps: 0.89
    assert 0.9 < float(ratio.min()) < float(ratio.max()) < 1.1


def test_the_mean_of_a_made_up_image_is_drawn_from_what_was_trained_on() -> None:
    grid = (16, 16)
    levels = Levels(tuple(-0.9 + 1.6 * (np.arange(128) / 127) ** 3))  # most are dark, few bright
    prior = StationaryPrior(torch.full((16, 9), 0.02), grid, sigma_min=0.003, sigma_max=20.0)
    prior.levels = levels  # to itself all images are as bright as 0 +- 0.009
    for seed in range(3):
        drawn = draw_samples(prior, 64, 16, seed=seed)
        means = drawn.mean((1, 2, 3))
        assert means.mean() == pytest.approx(np.mean(levels.means), abs=0.02)
        assert means.std() == pytest.approx(np.std(levels.means), rel=0.03)
        assert (drawn - means[:, None, None, None]).std() == pytest.approx(0.02**0.5, rel=0.06)


def test_a_level_is_expected_by_bayes_rule() -> None:
    levels = Levels((-1.0, -0.5, 0.75))
    width, sigma, noisy = 2 / 3, 0.4, torch.linspace(-2, 2, 9, dtype=torch.float64)
    level = torch.linspace(-8, 8, 16001, dtype=torch.float64)[:, None]
    density = sum((-((level - mean) ** 2) / (2 * width**2)).exp() for mean in levels.means)
    joint = density * (-((noisy - level) ** 2) / (2 * sigma**2)).exp()
    torch.testing.assert_close(levels.posterior_mean(noisy, sigma), (joint * level).sum(0) / joint.sum(0), rtol=1e-6, atol=1e-6)


def test_levels_of_a_few_samples_are_evenly_spread_and_fair() -> None:
    levels, deviation = Levels(tuple(np.linspace(-1, 1, 128))), np.sqrt(1 / 3 + 1.2**2)
    for seed in range(5):
        drawn = levels.draw(range(64), seed, 1.2)
        assert drawn.mean() == pytest.approx(0, abs=0.07)
        assert drawn.std() == pytest.approx(deviation, rel=0.04)
        np.testing.assert_array_equal(levels.draw(range(16, 32), seed, 1.2), drawn[16:32])
    many = levels.draw(range(5000), 0, 1.2)
    assert many.mean() == pytest.approx(0, abs=0.005)
    assert many.std() == pytest.approx(deviation, rel=0.005)
    assert len({round(float(levels.draw([10], seed, 1.2)[0]), 6) for seed in range(20)}) == 20


def test_the_card_says_from_what_a_training_started() -> None:
    from napari_diffprior.train.card import card_lines
    from napari_diffprior.train.command import _ancestry

    before = _ancestry("microscopy")
    assert before[0]["command"].startswith("diffprior train") and before[0]["steps"] > 1000
    facts = {"command": "c", "settings": {}, "steps": 2, "patches_seen": 3, "seconds": 60, "machine": "m", "started_from": before}
    text = "\n".join(card_lines(Path("p"), facts))
    assert text.count("It started from the weights of") == len(before)


def test_a_short_training_is_calibrated_on_fewer_patches() -> None:
    from napari_diffprior.train.store import patches_to_calibrate

    counts = [patches_to_calibrate(loop.TrainSettings(minutes=minutes)) for minutes in (2, 30, 600)]
    assert counts == [1, 3, 6] and patches_to_calibrate(loop.TrainSettings(calibration=0)) == 0
