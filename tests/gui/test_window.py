import numpy as np
import pytest
from napari._qt.widgets.qt_progress_bar import QtLabeledProgressBar
from qtpy.QtWidgets import QApplication

from conftest import names
from napari_diffprior.gui import worker

pytestmark = pytest.mark.gui


@pytest.fixture
def docked(make_napari_viewer, image, fake):
    viewer = make_napari_viewer()
    viewer.add_image(image, name="cells")
    _, widget = viewer.window.add_plugin_dock_widget("napari-diffprior", "Restore image")
    return viewer, widget


def bars(viewer):
    return viewer.window._qt_window.findChildren(QtLabeledProgressBar)


def test_run_from_the_dock(qtbot, docked, fake, run_to_end):
    viewer, widget = docked
    fake.steps, fake.seconds = 60, 0.08
    widget.restore.native.click()
    qtbot.waitUntil(lambda: "cells (restoring)" in names(viewer) and len(bars(viewer)) == 1, timeout=20000)
    qtbot.waitUntil(lambda: widget._run is None, timeout=20000)
    assert names(viewer) == ["cells", "cells restored", "cells std"]
    qtbot.waitUntil(lambda: not bars(viewer))
    assert widget.restore.text == "Restore"


def test_cancel_in_the_activity_dock(qtbot, docked, fake, run_to_end):
    viewer, widget = docked
    fake.steps, fake.seconds = 100_000, 0.01
    widget.restore.native.click()
    qtbot.waitUntil(lambda: fake.seen > 20 and len(bars(viewer)) == 1, timeout=20000)
    bars(viewer)[0].cancel_button.click()
    asked = fake.seen
    qtbot.waitUntil(lambda: widget._run is None, timeout=20000)
    assert fake.seen <= asked + 1
    assert fake.closed == 1
    assert names(viewer) == ["cells"]
    qtbot.waitUntil(lambda: not bars(viewer))
    fake.steps = 3
    run_to_end(widget)
    assert "cells restored" in names(viewer)


def test_an_error_closes_the_bar(qtbot, docked, fake, run_to_end, notifications):
    viewer, widget = docked
    fake.error = RuntimeError("shapes differ")
    run_to_end(widget)
    assert [shown.severity for shown in notifications()] == ["error"]
    qtbot.waitUntil(lambda: not bars(viewer))
    assert names(viewer) == ["cells"]


@pytest.mark.parametrize(("steps", "throttled"), [(5000, True), (300, False)], ids=["5000 steps", "300 not throttled"])
def test_fast_steps_do_not_nest(qtbot, docked, fake, monkeypatch, steps, throttled):
    viewer, widget = docked
    depth = {"now": 0, "most": 0}
    process = QApplication.processEvents

    def counted(*arguments):
        depth["now"] += 1
        depth["most"] = max(depth["most"], depth["now"])
        try:
            process(*arguments)
        finally:
            depth["now"] -= 1

    monkeypatch.setattr(QApplication, "processEvents", staticmethod(counted))
    if not throttled:
        monkeypatch.setattr(worker, "PROGRESS_SECONDS", 0.0)
    fake.steps, fake.seconds = steps, 0.0002
    widget.restore.native.click()
    qtbot.waitUntil(lambda: widget._run is None, timeout=120000)
    assert depth["most"] == 1
    assert "cells restored" in names(viewer)


@pytest.mark.parametrize("what", ["viewer", "widget"])
def test_closing_stops_the_run(qtbot, make_napari_viewer, image, fake, what):
    viewer = make_napari_viewer(show=True)
    viewer.add_image(image, name="cells")
    dock, widget = viewer.window.add_plugin_dock_widget("napari-diffprior", "Restore image")
    fake.steps, fake.seconds = 100_000, 0.01
    widget.restore.native.click()
    qtbot.waitUntil(lambda: fake.seen > 3, timeout=20000)
    if what == "viewer":
        viewer.close()
    else:
        dock.destroyOnClose()
    qtbot.waitUntil(lambda: fake.closed == 1, timeout=20000)


def test_samples_and_the_new_mask_command(make_napari_viewer, qtbot):
    from napari._app_model import get_app_model

    viewer = make_napari_viewer()
    viewer.open_sample("napari-diffprior", "bpae")
    assert names(viewer) == ["BPAE", "BPAE reference", "BPAE mask"]
    assert not viewer.layers["BPAE reference"].visible
    np.testing.assert_array_equal(viewer.layers["BPAE"].scale, (1, 1))
    _, widget = viewer.window.add_plugin_dock_widget("napari-diffprior", "Restore image")
    assert (widget.inputs.image.value.name, widget.inputs.mask.value.name) == ("BPAE", "BPAE mask")
    assert widget.restore.enabled
    viewer.open_sample("napari-diffprior", "synthetic")
    made = viewer.layers["Synthetic cells"]
    assert made.axis_labels == ("y", "x")
    assert {str(unit) for unit in made.units} == {"micrometer"}
    viewer.layers.selection.active = made
    get_app_model().commands.execute_command("napari-diffprior.new_mask").result()
    np.testing.assert_allclose(viewer.layers["Synthetic cells mask [1]"].scale, made.scale)


def test_the_status_bar_turns_with_the_steps(qtbot, docked, fake):
    viewer, widget = docked
    sign = viewer.window._qt_window.statusBar()._activity_item._inProgressIndicator
    fake.steps, fake.seconds = 100_000, 0.01
    widget.restore.native.click()
    qtbot.waitUntil(lambda: widget._run is not None and fake.seen > 3, timeout=20000)
    frames = []
    sign.movie().frameChanged.connect(frames.append)
    qtbot.wait(1500)
    assert 1 <= len(set(frames)) <= 5 * 5, "33 a second are too many"
    widget.restore.native.click()
    qtbot.waitUntil(lambda: widget._run is None, timeout=20000)
