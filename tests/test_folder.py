import csv

import numpy as np
import pytest

from napari_diffprior import restoration
from napari_diffprior.cli import run
from napari_diffprior.folder import FolderSettings, find_images, restore_folder
from napari_diffprior.io import Calibration, read_image, write_tiff
from napari_diffprior.recipe import Recipe
from napari_diffprior.recipe_file import read_recipe, write_recipe
from napari_diffprior.restoration import Cancelled

RECIPE = Recipe(samples=2, noise=3.0, options={"steps": 2})


@pytest.fixture(autouse=True)
def exact_prior(monkeypatch):
    """The real core with an exact prior instead of the network."""
    import torch

    from napari_diffprior.priors.analytic import StationaryPrior

    frequency = torch.hypot(torch.fft.fftfreq(40)[:, None], torch.fft.rfftfreq(48)[None])
    prior = StationaryPrior(1 / (0.05 + frequency) ** 2 / 400, (40, 48))
    real = restoration.restore_iter
    monkeypatch.setattr(restoration, "restore_iter", lambda *a, **k: real(*a, **{**k, "prior": prior}))


@pytest.fixture
def images(tmp_path):
    source = tmp_path / "images"
    (source / "deep").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number, name in enumerate(["a.tif", "b.tif", "deep/c.tif"]):
        pixels = (100 + number + 20 * rng.standard_normal((40, 48)).cumsum(0) / 5).astype(np.float32)
        write_tiff(source / name, pixels, Calibration((0.5, 0.25), ("um", "um"), "yx"))
    (source / "bad.tif").write_bytes(b"II*\0")
    (source / "notes.txt").write_text("not an image")
    return source


def drain(run):
    seen = []
    while True:
        try:
            seen.append(next(run))
        except StopIteration as end:
            return seen, end.value


def test_a_broken_file_is_reported_and_the_others_are_restored(images, tmp_path):
    target = tmp_path / "out"
    seen, report = drain(restore_folder(FolderSettings(source=images, target=target), RECIPE))
    assert [(one.file, one.status) for one in report] == [("a.tif", "restored"), ("b.tif", "restored"), ("bad.tif", "failed")]
    assert "cannot be read" in report[-1].message
    assert [update.number for update in seen if update.outcome is not None] == [1, 2, 3]
    pixels, calibration, metadata = read_image(target / "a.tif")
    assert pixels.shape == (40, 48)
    assert calibration == Calibration((0.5, 0.25), ("um", "um"), "yx")
    assert metadata["napari-diffprior"]["recipe"]["samples"] == 2
    assert read_image(target / "a_std.tif")[0].min() >= 0
    with (target / "report.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["status"] for line in lines] == ["restored", "restored", "failed"]
    assert sorted(path.name for path in target.iterdir()) == ["a.tif", "a_std.tif", "b.tif", "b_std.tif", "report.csv"]


def test_it_goes_on_where_it_was(images, tmp_path):
    where = FolderSettings(source=images, target=tmp_path / "out", pattern="**/*.tif")
    stop = []

    def cancelled():
        return bool(stop)

    run = restore_folder(where, RECIPE, cancelled)
    for update in run:
        if update.outcome is not None:
            stop.append(True)
            break
    with pytest.raises(Cancelled):
        drain(run)
    first = (where.target / "a.tif").stat().st_mtime_ns
    _, report = drain(restore_folder(where, RECIPE))
    assert [one.status for one in report] == ["kept", "restored", "failed", "restored"]
    assert report[0].misfit > 0
    assert (where.target / "a.tif").stat().st_mtime_ns == first
    assert (where.target / "deep" / "c.tif").is_file()
    _, again = drain(restore_folder(where, Recipe(samples=2, noise=3.0, options={"steps": 2}, seed=1)))
    assert [one.status for one in again] == ["restored", "restored", "failed", "restored"]


def test_masks_go_with_their_images(images, tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    gaps = np.zeros((40, 48), np.uint8)
    gaps[10:13] = 1
    write_tiff(masks / "a.tif", gaps, Calibration.pixels(2))
    _, report = drain(
        restore_folder(FolderSettings(source=images, target=tmp_path / "out", masks=masks, pattern="[ab].tif"), RECIPE)
    )
    assert [one.status for one in report] == ["restored", "failed"]
    assert "there is no mask named b" in report[1].message
    assert read_image(tmp_path / "out" / "a.tif")[2]["napari-diffprior"]["inputs"]["mask"]["path"] == str(masks / "a.tif")


def test_files_that_differ_in_their_ending_alone_keep_it(images, tmp_path):
    np.save(images / "a.npy", read_image(images / "a.tif")[0])
    _, report = drain(restore_folder(FolderSettings(source=images, target=tmp_path / "out", pattern="a.*", std=False), RECIPE))
    assert [one.output for one in report] == ["a.npy.tif", "a.tif.tif"]


def test_results_below_the_images_are_no_input(images):
    where = FolderSettings(source=images, target=images / "out", pattern="**/a*.tif")
    drain(restore_folder(where, RECIPE))
    assert [path.name for path in find_images(where)] == ["a.tif"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pattern": "*.png"}, "no image in"),
        ({"source": "nowhere"}, "there is no folder nowhere"),
        ({"target": None}, "choose another one"),
    ],
    ids=["pattern", "source", "target"],
)
def test_a_folder_that_cannot_be_restored_is_one_sentence(images, tmp_path, change, message):
    settings = {"source": images, "target": tmp_path / "out", **change}
    settings["target"] = settings["target"] or images
    with pytest.raises(ValueError, match=message):
        next(restore_folder(FolderSettings(**settings), RECIPE))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("ending", ["yaml", "json"])
def test_settings_make_the_round_trip(tmp_path, ending):
    recipe = Recipe(sampler="dps", options={"steps": 7, "guidance": "norm"}, noise=1e-4, psf_sigma=1.5, seed=3)
    write_recipe(tmp_path / f"s.{ending}", recipe)
    assert read_recipe(tmp_path / f"s.{ending}") == recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [("[1, 2]", "holds no settings"), ("{a: [", "neither YAML nor JSON"), ("steps: 3", "Recipe has no parameter 'steps'")],
    ids=["list", "broken", "unknown"],
)
def test_a_bad_settings_file_is_one_sentence(tmp_path, text, message):
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_recipe(tmp_path / "s.yaml")


def test_command_takes_a_settings_file_or_a_result(images, tmp_path, capsys):
    write_recipe(tmp_path / "s.yaml", RECIPE)
    out = tmp_path / "out"
    command = ["folder", str(images), str(out), "--pattern", "[ab].tif", "--settings"]
    assert run([*command, str(tmp_path / "s.yaml")]) == 0
    assert "1/2 a.tif: restored" in capsys.readouterr().out
    assert run([*command, str(out / "a.tif")]) == 0
    assert "1/2 a.tif: kept" in capsys.readouterr().out
    assert run([*command, str(out / "a.tif"), "--set", "seed=5"]) == 0
    assert "1/2 a.tif: restored" in capsys.readouterr().out
    assert run(["folder", str(images), str(out), "--set", "steps=2", "--set", "samples=2"]) == 1
    assert run(["folder", str(images), str(images)]) == 2
