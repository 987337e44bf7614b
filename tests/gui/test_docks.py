import sys
from itertools import pairwise

import numpy as np
import pytest
from qtpy.QtGui import QFont
from qtpy.QtWidgets import QApplication, QLabel

from conftest import names
from napari_diffprior.gui import train as training
from napari_diffprior.gui.training_run import Plan

pytestmark = pytest.mark.gui
WIDGETS = ["Restore image", "Restore folder", "Train prior", "Compare with reference", "Posterior explorer"]

CHILD = """
import json, sys, time, pathlib
for step in range(1, 600):
    print(json.dumps({"event": "step", "step": step, "loss": 1.0, "eta_s": 9}), flush=True)
    time.sleep(0.1)
    if (pathlib.Path(sys.argv[1]) / "stop").exists():
        break
"""


@pytest.fixture(autouse=True)
def own_settings(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "last_output", lambda: tmp_path / "prior")
    monkeypatch.setattr(training, "remember_output", lambda output: None)


@pytest.fixture
def docked(make_napari_viewer, image, fake):
    viewer = make_napari_viewer()
    viewer.add_image(image, name="cells")
    return viewer, lambda name: viewer.window.add_plugin_dock_widget("napari-diffprior", name)[1]


def test_all_widgets_side_by_side(qtbot, docked, fake, run_to_end):
    viewer, open_dock = docked
    widgets = [open_dock(name) for name in WIDGETS]
    assert open_dock("Restore image") is widgets[0]
    fake.steps, fake.seconds = 30, 0.03
    widgets[0].restore.native.click()
    viewer.add_image(np.eye(70, 80), name="new one while it runs")
    qtbot.waitUntil(lambda: widgets[0]._run is None, timeout=20000)
    assert "cells restored" in names(viewer)
    assert "cells restored" in [layer.name for layer in widgets[3].image.choices]


def test_two_restorations_in_two_docks_at_once(qtbot, docked, fake):
    from napari_diffprior.gui.restore import RestoreWidget

    viewer, open_dock = docked
    first, second = open_dock("Restore image"), RestoreWidget(viewer)
    viewer.window.add_dock_widget(second, name="second")
    fake.steps, fake.seconds = 30, 0.03
    for widget in (first, second):
        widget.restore.native.click()
    qtbot.waitUntil(lambda: first._run is None and second._run is None, timeout=30000)
    assert len(fake.requests) == 2
    assert names(viewer).count("cells restored") + names(viewer).count("cells restored [1]") == 2


def test_the_layer_is_deleted_while_it_runs(qtbot, docked, fake):
    viewer, open_dock = docked
    widget = open_dock("Restore image")
    fake.steps, fake.seconds = 40, 0.04
    widget.restore.native.click()
    qtbot.waitUntil(lambda: fake.seen > 5, timeout=20000)
    viewer.layers.clear()
    qtbot.waitUntil(lambda: widget._run is None, timeout=20000)
    assert "cells restored" in names(viewer)


def test_closing_napari_leaves_a_training_running(qtbot, make_napari_viewer, tmp_path, monkeypatch):
    monkeypatch.setattr(Plan, "command", lambda plan: [sys.executable, "-c", CHILD, str(plan.folder)])
    viewer = make_napari_viewer()
    _, widget = viewer.window.add_plugin_dock_widget("napari-diffprior", "Train prior")
    widget.data.value = tmp_path
    widget.train.native.click()
    qtbot.waitUntil(lambda: len(widget.curve.lines["training"]) > 1, timeout=20000)
    run = widget._run
    viewer.close()
    qtbot.wait(300)
    assert run.alive
    run.stop()
    qtbot.waitUntil(lambda: not run.alive, timeout=20000)


@pytest.mark.parametrize("name", WIDGETS)
def test_labels_fit_at_a_larger_font(qtbot, docked, name):
    viewer, open_dock = docked
    widget = open_dock(name)
    font = QFont(widget.native.font())
    font.setPointSizeF(1.25 * font.pointSizeF())
    for each in widget.native.findChildren(QLabel):
        each.setFont(font)
    viewer.window._qt_window.show()
    QApplication.processEvents()
    for each in widget.native.findChildren(QLabel):
        if each.isVisible() and each.text() and not each.wordWrap():
            assert each.width() >= each.fontMetrics().horizontalAdvance(each.text()), each.text()


@pytest.mark.parametrize("name", WIDGETS)
def test_keyboard_order_is_reading_order(docked, name):
    from qtpy.QtCore import Qt

    viewer, open_dock = docked
    widget = open_dock(name)
    viewer.window._qt_window.show()
    QApplication.processEvents()
    first, chain = widget.native, []
    each = first.nextInFocusChain()
    while each is not first:
        inside = widget.native.isAncestorOf(each) and each.isVisible()
        if inside and each.focusPolicy() & Qt.FocusPolicy.TabFocus and not isinstance(each, QLabel):
            chain.append(each.mapTo(widget.native, each.rect().topLeft()).y())
        each = each.nextInFocusChain()
    assert len(chain) > 2
    assert all(later >= earlier - 8 for earlier, later in pairwise(chain)), chain
