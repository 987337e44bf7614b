import runpy

import numpy as np
import pytest
import torch
from napari.components import ViewerModel
from qtpy.QtGui import QGuiApplication

from napari_diffprior import restoration
from napari_diffprior.gui import preferences as stored
from napari_diffprior.gui import restore as restoring
from napari_diffprior.gui.inputs import BOTH, DEBLUR, DENOISE, UPSAMPLE
from napari_diffprior.gui.pace import Pace, count_tiles, duration
from napari_diffprior.gui.preferences import Preferences
from napari_diffprior.gui.psf_rows import GAUSSIAN
from napari_diffprior.gui.restore import RestoreWidget
from napari_diffprior.gui.worker import Progress
from napari_diffprior.io import Calibration, read_image, write_tiff
from napari_diffprior.priors.analytic import StationaryPrior
from napari_diffprior.recipe import Recipe

OTHER = Recipe(
    sampler="dps",
    options={"steps": 7, "guidance": "norm"},
    noise=1e-4,
    psf_sigma=1.5,
    samples=3,
    seed=3,
    precision="float32",
    batch=2,
)


def test_any_settings_make_the_round_trip(widget):
    widget.show_recipe(OTHER)
    assert widget.recipe() == OTHER
    assert (widget.inputs.task.value, widget.inputs.psf.kind.value) == (DEBLUR, GAUSSIAN)
    widget.settings.actions["Reset"].trigger()
    assert widget.recipe() == Recipe()


@pytest.mark.parametrize(
    ("recipe", "task"),
    [
        (Recipe(upsample=4), UPSAMPLE),
        (Recipe(upsample=3, psf_sigma=2.0), BOTH),
        (Recipe(psf_sigma=2.0), DEBLUR),
        (Recipe(), DENOISE),
    ],
    ids=["upsample", "both", "deblur", "denoise"],
)
def test_the_task_follows_the_settings(widget, recipe, task):
    for before in (Recipe(), Recipe(upsample=2, psf_sigma=1.0)):
        widget.show_recipe(before)
        widget.show_recipe(recipe)
        assert widget.inputs.task.value == task
        assert widget.recipe() == recipe


def test_save_and_load(widget, tmp_path):
    widget.show_recipe(OTHER)
    widget.settings.save(str(tmp_path / "mine"))
    widget.show_recipe(Recipe())
    widget.settings.load(str(tmp_path / "mine.yaml"))
    assert widget.recipe() == OTHER


def test_load_the_settings_of_a_result(widget, tmp_path):
    record = {"napari-diffprior": {"recipe": {"seed": 8, "samples": 2}}}
    write_tiff(tmp_path / "result.tif", np.zeros((4, 5), np.float32), Calibration.pixels(2), record)
    widget.settings.load(str(tmp_path / "result.tif"))
    assert widget.recipe() == Recipe(seed=8, samples=2)


@pytest.mark.parametrize(("name", "steps", "samples"), [("Draft", 10, 1), ("Balanced", 20, 4), ("Best", 40, 16)])
def test_quality_only_sets_numbers_that_can_be_seen(widget, name, steps, samples):
    widget.quality.row.value = name
    assert (widget.advanced.own["steps"].value, widget.inputs.samples.value) == (steps, samples)
    widget.advanced.own["steps"].value = 33
    assert widget.quality.row.value == "Custom"
    widget.advanced.own["steps"].value = steps
    assert widget.quality.row.value == name


def test_quality_follows_the_sampler(widget):
    widget.quality.row.value = "Best"
    widget.advanced.sampler.value = "dps"
    assert widget.advanced.own["steps"].value == 2 * Recipe(sampler="dps").make_sampler().steps
    assert widget.quality.row.value == "Best"


def test_preferences_are_where_a_widget_starts(qtbot, model, monkeypatch):
    monkeypatch.setattr(restoring, "preferences", lambda: Preferences("cuda", "Draft", False))
    made = RestoreWidget(model)
    qtbot.addWidget(made.native)
    assert (made.advanced.device.value, made.quality.row.value, made.inputs.samples.value) == ("cuda", "Draft", 1)
    assert not made.request().live


def test_napari_has_the_page_of_preferences():
    from napari.settings import get_plugin_settings

    page = get_plugin_settings(stored.PLUGIN).restoration
    assert stored.preferences() == Preferences(page.device, page.quality, page.live_preview, page.cache_folder)


def test_without_such_a_page_the_defaults_hold(monkeypatch):
    import napari.settings

    monkeypatch.delattr(napari.settings, "get_plugin_settings")
    assert stored.preferences() == Preferences()


@pytest.mark.parametrize("factor", [1, 2])
def test_copy_as_python_gives_the_same_pixels(qtbot, tmp_path, image, mask, exact, run_to_end, monkeypatch, factor):
    exact.prior = StationaryPrior(torch.ones(factor * 70, factor * 40 + 1), (factor * 70, factor * 80))
    write_tiff(tmp_path / "cells.tif", image.astype(np.float32), Calibration((0.5, 0.25), ("um", "um"), "yx"))
    write_tiff(tmp_path / "gaps.tif", mask, Calibration.pixels(2))
    viewer = ViewerModel()
    viewer.open(tmp_path / "cells.tif", plugin="napari")
    viewer.open(tmp_path / "gaps.tif", plugin="napari", layer_type="labels")
    widget = RestoreWidget(viewer)
    qtbot.addWidget(widget.native)
    widget.inputs.mask.value = viewer.layers["gaps"]
    widget.show_recipe(Recipe(options={"steps": 3}, noise=2.5, samples=2, seed=5, upsample=factor))
    run_to_end(widget)
    widget.settings.actions["Copy as Python"].trigger()
    source = tmp_path / "script.py"
    source.write_text(QGuiApplication.clipboard().text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(restoration, "restore_iter", lambda *a, **k: exact(*a, **{**k, "prior": exact.prior}))
    result = runpy.run_path(str(source))["result"]
    np.testing.assert_array_equal(viewer.layers["cells restored"].data, result.mean)
    pixels, calibration, story = read_image(tmp_path / "cells restored.tif")
    np.testing.assert_array_equal(pixels, result.mean)
    assert calibration.scale == (0.5 / factor, 0.25 / factor)
    assert calibration.translate == ((0, 0) if factor == 1 else (-0.125, -0.0625))
    assert story["napari-diffprior"]["recipe"]["seed"] == 5


def test_an_unsaved_layer_is_named_in_the_script(widget):
    source = widget.script()
    assert "read_image('cells.tif')  # save the layer cells under this name first" in source
    compile(source, "script", "exec")


def test_estimate_line(widget):
    assert widget.estimate.value == "1 tile x 4 samples x 20 steps"
    widget._pace.measure(1, Recipe(), Progress(10, 80, 1.0, None), 70.0)
    widget.check()
    assert widget.estimate.value == "1 tile x 4 samples x 20 steps, about 80 s"


def test_pace_is_kept_for_runs_of_the_same_kind():
    pace = Pace()
    pace.measure(2, Recipe(samples=1), Progress(5, 20, 1.0, None), 30.0)
    assert pace.describe(2, Recipe(samples=4)) == "2 tiles x 4 samples x 20 steps, about 3 min"
    assert pace.describe(1, Recipe(sampler="dps", samples=1)).endswith("steps")
    assert count_tiles((3, 64, 300), (64, 64)) == 6
    assert (duration(8), duration(180), duration(7200)) == ("8 s", "3 min", "2 h")
