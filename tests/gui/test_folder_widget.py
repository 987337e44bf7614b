import csv

import numpy as np
import pytest

from napari_diffprior import restoration
from napari_diffprior.gui.folder import FILE
from napari_diffprior.io import Calibration, read_image, write_tiff
from napari_diffprior.recipe import Recipe
from napari_diffprior.recipe_file import write_recipe

QUICK = Recipe(samples=2, noise=3.0, options={"steps": 2})


@pytest.fixture(autouse=True)
def exact_core(exact, monkeypatch):
    monkeypatch.setattr(restoration, "restore_iter", lambda *a, **k: exact(*a, **{**k, "prior": exact.prior}))


@pytest.fixture
def images(tmp_path, image):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a.tif", "c.tif"):
        write_tiff(folder / name, image.astype(np.float32), Calibration.pixels(2))
    (folder / "b.tif").write_bytes(b"II*\0 no image")
    return folder


@pytest.fixture
def widget(make_napari_viewer, images, tmp_path):
    _, made = make_napari_viewer().window.add_plugin_dock_widget("napari-diffprior", "Restore folder")
    write_recipe(tmp_path / "s.yaml", QUICK)
    made.source.value, made.target.value = images, tmp_path / "out"
    made.settings.value, made.file.value = FILE, tmp_path / "s.yaml"
    return made


def lines(widget):
    return [[widget.table.item(row, column).text() for column in range(5)] for row in range(widget.table.rowCount())]


def test_a_broken_file_is_a_line_and_the_others_are_restored(widget, run_to_end, tmp_path):
    run_to_end(widget)
    rows = lines(widget)
    assert [row[:2] for row in rows] == [["a.tif", "restored"], ["b.tif", "failed"], ["c.tif", "restored"]]
    assert "cannot be read" in rows[1][4]
    assert widget.message.value == "2 restored, 0 kept, 1 failed; see report.csv"
    with (tmp_path / "out" / "report.csv").open() as report:
        assert [line["status"] for line in csv.DictReader(report)] == ["restored", "failed", "restored"]
    run_to_end(widget)
    assert widget.message.value == "0 restored, 2 kept, 1 failed; see report.csv"


def test_cancel_keeps_what_is_done(qtbot, widget, run_to_end, tmp_path, exact):
    write_recipe(tmp_path / "s.yaml", Recipe(samples=1, noise=3.0, options={"steps": 400}))
    widget.start_or_cancel()
    assert widget.restore.text == "Cancel"
    qtbot.waitUntil(lambda: widget.message.value.startswith("File 1 of 3"), timeout=30000)
    widget.start_or_cancel()
    qtbot.waitUntil(lambda: widget._run is None, timeout=30000)
    assert widget.message.value.startswith("Cancelled")
    assert not list((tmp_path / "out").glob("*.tif"))
    assert widget.restore.enabled


def test_settings_of_the_open_restore_image(make_napari_viewer, images, tmp_path, run_to_end):
    viewer = make_napari_viewer()
    _, restore = viewer.window.add_plugin_dock_widget("napari-diffprior", "Restore image")
    _, widget = viewer.window.add_plugin_dock_widget("napari-diffprior", "Restore folder")
    restore.show_recipe(QUICK)
    widget.source.value, widget.target.value, widget.pattern.value = images, tmp_path / "out", "a*"
    assert widget.recipe() == QUICK
    run_to_end(widget)
    assert read_image(tmp_path / "out" / "a.tif")[2]["napari-diffprior"]["recipe"]["samples"] == 2


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"source": ""}, "Choose the folder of the images."),
        ({"target": ""}, "Choose a folder for the results."),
        ({"pattern": "*.png"}, "No image in"),
        ({"file": ""}, "Choose the settings file."),
    ],
    ids=["source", "target", "pattern", "file"],
)
def test_what_is_missing_is_said(widget, change, sentence):
    for name, value in change.items():
        box = getattr(widget, name)
        getattr(box, "line_edit", box).value = value
    widget.start_or_cancel()
    assert widget.message.value.startswith(sentence), widget.message.value
    assert widget._run is None
