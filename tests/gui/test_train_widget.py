import json
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel

from conftest import names
from napari_diffprior.gui import train as training
from napari_diffprior.gui.train import LAYERS, TrainWidget
from napari_diffprior.gui.training_run import Plan, TrainingRun, save_layers
from napari_diffprior.train.data import hold_out, read_folder
from napari_diffprior.train.loop import TrainSettings

CHILD = """
import json, sys, time
from pathlib import Path
import numpy as np
from skimage.io import imsave

folder, steps = Path(sys.argv[1]), int(sys.argv[2])
say = lambda **event: print(json.dumps(event), flush=True)
say(event="data", images=9, held_out=1, skipped=[])
for step in range(1, steps + 1):
    if (folder / "stop").exists():
        break
    say(event="step", step=step, loss=1 / step, images=step, eta_s=60 - step)
    if step % 3 == 0:
        imsave(folder / f"samples-{step:06d}.png", np.full((32, 48), step % 200, np.uint8), check_contrast=False)
    time.sleep(0.05)
say(event="validation", step=step, seconds=3, loss=0.5)
say(event="done", prior=str(folder.with_suffix("")), seconds=3)
"""


@pytest.fixture(autouse=True)
def own_settings(tmp_path, monkeypatch):
    """No trace of the tests in the user's settings."""
    kept = [tmp_path / "priors" / "mine"]
    monkeypatch.setattr(training, "last_output", lambda: kept[-1])
    monkeypatch.setattr(training, "remember_output", kept.append)


@pytest.fixture
def child(tmp_path, monkeypatch):
    """A training that learns nothing, in a real process; its number of steps can be set."""
    (tmp_path / "child.py").write_text(CHILD)
    wanted = {"steps": 400}
    monkeypatch.setattr(
        Plan, "command", lambda plan: [sys.executable, str(tmp_path / "child.py"), str(plan.folder), str(wanted["steps"])]
    )
    return wanted


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(4):
        smooth = rng.standard_normal((400, 400)).cumsum(0).cumsum(1)
        np.save(folder / f"{number}.npy", (smooth - smooth.min()).astype(np.float32))
    return folder


def opened(qtbot, viewer, images):
    made = TrainWidget(viewer)
    qtbot.addWidget(made.native)
    made.data.value = images
    return made


def stopped(qtbot, widget, timeout=60000):
    if widget._run is not None:
        if widget.train.enabled:
            widget.start_or_stop()
        qtbot.waitUntil(lambda: widget._run is None, timeout=timeout)


def test_start_look_and_stop(qtbot, images, child):
    viewer = ViewerModel()
    widget = opened(qtbot, viewer, images)
    widget.form["minutes"].value = "0.5"
    widget.start_or_stop()
    assert widget.train.text == "Stop"
    qtbot.waitUntil(lambda: len(widget.curve.lines["training"]) > 6, timeout=20000)
    assert widget.message.value.startswith("Step ")
    assert widget.message.value.endswith(" s left")
    qtbot.waitUntil(lambda: viewer.layers["prior samples"].ndim == 3, timeout=20000)  # its slider comes a moment later
    assert viewer.layers["prior samples"].data.shape[1:] == (32, 48)
    grids = len(viewer.layers["prior samples"].data)
    qtbot.waitUntil(lambda: len(viewer.layers["prior samples"].data) > grids, timeout=20000)
    widget.start_or_stop()
    assert (widget.train.text, widget.train.enabled) == ("Stopping...", False)
    qtbot.waitUntil(lambda: widget._run is None, timeout=20000)
    assert widget.message.value.startswith("The prior is ready")
    assert (widget.train.text, widget.train.enabled) == ("Train", True)
    assert Plan.read(widget.output.value.with_name("mine.run")).settings.minutes == 0.5
    assert len(widget.curve.lines["validation"]) == 1


def test_closing_the_widget_leaves_it_running_and_another_one_attaches(qtbot, images, child):
    first = TrainWidget(ViewerModel())
    first.data.value = images
    first.form["minutes"].value = "7"
    first.start_or_stop()
    run = first._run
    qtbot.waitUntil(lambda: len(first.curve.lines["training"]) > 2, timeout=20000)
    first.native.deleteLater()
    qtbot.waitUntil(lambda: first._closed)
    assert run.alive
    again = TrainWidget(ViewerModel())
    qtbot.addWidget(again.native)
    assert again.train.text == "Stop"
    assert again.form["minutes"].value == "7.0"
    assert again.data.value == images
    qtbot.waitUntil(lambda: len(again.curve.lines["training"]) > 4, timeout=20000)
    stopped(qtbot, again)
    assert not run.alive
    assert again.message.value.startswith("The prior is ready")


def test_start_close_open_and_stop_in_docks(qtbot, make_napari_viewer, images, child):
    viewer = make_napari_viewer()
    dock, widget = viewer.window.add_plugin_dock_widget("napari-diffprior", "Train prior")
    widget.data.value = images
    widget.train.native.click()
    qtbot.waitUntil(lambda: len(widget.curve.lines["training"]) > 2, timeout=20000)
    run = widget._run
    viewer.window.remove_dock_widget(dock)
    widget.native.deleteLater()
    qtbot.waitUntil(lambda: widget._closed)
    assert run.alive
    _, again = viewer.window.add_plugin_dock_widget("napari-diffprior", "Train prior")
    assert again is not widget
    qtbot.waitUntil(lambda: len(again.curve.lines["training"]) > 4, timeout=20000)
    again.train.native.click()
    qtbot.waitUntil(lambda: again._run is None, timeout=20000)
    assert not run.alive
    assert again.message.value.startswith("The prior is ready")
    assert "prior samples" in names(viewer)


def test_a_run_that_ended_meanwhile_is_shown(qtbot, images, child):
    child["steps"] = 3
    run = TrainingRun(Plan((images,), training.last_output(), TrainSettings()))
    run.start()
    qtbot.waitUntil(lambda: not run.alive, timeout=20000)
    widget = TrainWidget(ViewerModel())
    qtbot.addWidget(widget.native)
    assert widget.train.text == "Train"
    assert widget.message.value.startswith("The prior is ready")
    assert len(widget.curve.lines["training"]) == 3


def test_the_child_says_why_it_failed(qtbot, images, tmp_path, monkeypatch):
    code = "import sys; print('Traceback', file=sys.stderr); sys.exit('diffprior: 12 patches of 64 pixels: use at least 500.')"
    monkeypatch.setattr(Plan, "command", lambda plan: [sys.executable, "-c", code])
    widget = opened(qtbot, ViewerModel(), images)
    widget.start_or_stop()
    qtbot.waitUntil(lambda: widget._run is None, timeout=20000)
    assert widget.message.value == "12 patches of 64 pixels: use at least 500."
    assert widget.train.enabled


def test_what_is_missing_is_said(qtbot, child):
    widget = TrainWidget(ViewerModel())
    qtbot.addWidget(widget.native)
    for prepare, sentence in (
        (lambda: None, "Choose the folder of the images to learn from."),
        (lambda: setattr(widget.source, "value", LAYERS), "Select the image layers to learn from."),
        (lambda: setattr(widget.form["learning_rate"], "value", "9"), "TrainSettings: learning_rate = 9 is not possible"),
    ):
        prepare()
        widget.start_or_stop()
        assert widget.message.value.startswith(sentence), widget.message.value
        assert widget._run is None


def test_layers_are_learned_from(qtbot, tmp_path, child):
    viewer = ViewerModel()
    viewer.add_image(np.random.default_rng(0).random((3, 200, 260)), name="stack")
    folder = save_layers([viewer.layers["stack"]], tmp_path / "planes")
    kept, held = hold_out(read_folder([folder], 64)[0], 0.06)
    assert (len(kept) + len(held), kept[0].pixels.shape) == (12, (100, 130))
    assert held
    widget = TrainWidget(viewer)
    qtbot.addWidget(widget.native)
    widget.source.value = LAYERS
    widget.layers.value = [viewer.layers["stack"]]
    plan = widget.plan()
    assert plan.data == (plan.folder / "layers",)
    assert len(list(plan.data[0].glob("*.npy"))) == 12


def test_half_a_line_waits(tmp_path):
    run = TrainingRun(Plan((tmp_path,), tmp_path / "prior", TrainSettings()))
    run.folder.mkdir()
    events = run.folder / "events.jsonl"
    events.write_text('{"event": "step"}\nno json\n{"event": "va')
    assert run.events() == [{"event": "step"}]
    with events.open("a") as lines:
        lines.write('lidation"}\n')
    assert run.events() == [{"event": "validation"}]
    (run.folder / "process.json").write_text(json.dumps({"pid": 1, "created": 0.5}))
    assert not run.alive


def test_a_real_training_becomes_the_prior_of_the_restoration(qtbot, make_napari_viewer, images, tmp_path):
    viewer = make_napari_viewer()
    _, restore = viewer.window.add_plugin_dock_widget("napari-diffprior", "Restore image")
    _, widget = viewer.window.add_plugin_dock_widget("napari-diffprior", "Train prior")
    widget.data.value = images
    quick = {"patches": "[32]", "pixels": 4096, "minutes": "0.03", "calibration": 0}
    for name, value in quick.items():
        if name in widget.form:
            widget.form[name].value = value
    widget.train.native.click()
    qtbot.waitUntil(lambda: widget._run is None, timeout=200000)
    assert widget.message.value.startswith("The prior is ready"), widget.message.value
    assert Path(restore.recipe().prior) == tmp_path / "priors" / "mine"
    assert "prior samples" not in names(viewer) or viewer.layers["prior samples"].ndim == 3


def test_the_command_carries_every_setting(tmp_path):
    plan = Plan((tmp_path,), tmp_path / "prior", TrainSettings(patches=(32, 64), minutes=2))
    text = textwrap.shorten(" ".join(plan.command()), 10_000)
    assert "--set=patches=[32, 64]" in text
    assert "--minutes=2.0" in text
