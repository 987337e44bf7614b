import numpy as np
import pytest
from napari.components import ViewerModel

from conftest import names
from napari_diffprior.gui import compare
from napari_diffprior.gui.compare import CompareWidget, measure
from napari_diffprior.gui.explorer import ExplorerWidget
from napari_diffprior.gui.layer_choice import role
from napari_diffprior.layers import SPATIAL, result_layers
from napari_diffprior.metrics import psnr, ssim
from napari_diffprior.recipe import Recipe


@pytest.fixture
def pair(image):
    viewer = ViewerModel()
    viewer.add_image(image, name="cells reference", scale=(0.5, 0.5))
    noisy = image + np.random.default_rng(1).normal(0, 2, image.shape)
    viewer.add_image(noisy, name="cells restored", scale=(0.5, 0.5))
    return viewer


def cells(widget):
    return [[widget.table.item(row, column).text() for column in range(4)] for row in range(widget.table.rowCount())]


def test_table_and_difference(qtbot, pair, image):
    widget = CompareWidget(pair)
    qtbot.addWidget(widget.native)
    assert (widget.image.value.name, widget.reference.value.name) == ("cells restored", "cells reference")
    widget.start()
    qtbot.waitUntil(lambda: widget._worker is None, timeout=30000)
    restored = pair.layers["cells restored"].data
    ((name, first, second, third),) = cells(widget)
    assert (name, first, second) == ("cells restored", f"{psnr(restored, image):.4g}", f"{ssim(restored, image):.4g}")
    assert 0 < float(third) < 1
    gap = pair.layers["cells restored - cells reference"]
    np.testing.assert_allclose(gap.data, restored - image, atol=1e-4)
    assert tuple(gap.scale) == (0.5, 0.5)


def test_without_the_weights_the_rest_is_shown(qtbot, pair, monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_DIFFPRIOR_LPIPS", str(tmp_path))
    widget = CompareWidget(pair)
    qtbot.addWidget(widget.native)
    widget.difference.value = False
    widget.start()
    qtbot.waitUntil(lambda: widget._worker is None, timeout=30000)
    assert cells(widget)[0][3] == "-"
    assert widget.message.value.startswith("No LPIPS: LPIPS needs")
    assert len(pair.layers) == 2


def test_a_part_is_compared_where_it_lies(qtbot, pair, image):
    part = pair.add_image(image[10:60, 20:70] + 1, name="part", scale=(0.5, 0.5), translate=(5, 10))
    np.testing.assert_array_equal(compare.part_of(pair.layers["cells reference"], part), image[10:60, 20:70])
    part.translate = (5.2, 10)
    widget = CompareWidget(pair)
    qtbot.addWidget(widget.native)
    widget.image.value, widget.reference.value = part, pair.layers["cells reference"]
    widget.start()
    assert widget.message.value.startswith("The image has the shape (50, 50), the reference (70, 80)")
    widget.image.value = widget.reference.value
    widget.start()
    assert widget.message.value == "Choose two different image layers."


def test_stacks_are_compared_plane_by_plane(image):
    stack = np.stack([image, image + 1, image])
    truth = np.stack([image, image - 1, image + 2])
    by_plane = [ssim(one, other, data_range=np.ptp(truth)) for one, other in zip(stack, truth, strict=True)]
    assert measure(stack, truth)["SSIM"] == pytest.approx(np.mean(by_plane))
    assert isinstance(measure(image[:5], image[:5])["SSIM"], str)


class Result:
    """As much of a restoration as its layers need."""

    place = (0, 0), (1, 1)

    def __init__(self, samples):
        self.samples, self.mean, self.std = samples, samples.mean(0), samples.std(0, ddof=1)
        self.recipe = Recipe(samples=len(samples))
        self.provenance = {"noise_sigma": 1.5, "coverage_factor": 2.0}
        self.reason = ""


@pytest.fixture
def explored(qtbot, model):
    layer = model.layers["cells"]
    layer.scale, layer.rotate, layer.shear, layer.translate = (0.5, 0.25), 30, (0.2,), (3, 4)
    layer.units, layer.axis_labels = ("um", "um"), ("y", "x")
    samples = np.zeros((5, 70, 80), np.float32)
    samples[:, :35] = np.arange(5)[:, None, None]
    for data, settings, _ in result_layers(layer, Result(samples), samples=True):
        model.add_image(data, **settings)
    widget = ExplorerWidget(model)
    qtbot.addWidget(widget.native)
    return model, widget


def test_explorer_steps_through_samples(qtbot, explored):
    model, widget = explored
    assert widget.samples.value.name == "cells samples"
    assert widget.number.max == 5
    widget.number.value = 3
    assert model.dims.current_step[0] == 2
    widget.next()
    assert model.dims.current_step[0] == 3
    widget.start_or_stop()
    assert widget.play.text == "Stop"
    qtbot.waitUntil(lambda: widget.number.value == 1, timeout=5000)
    widget.start_or_stop()
    assert widget.play.text == "Play"


def test_explorer_marks_the_guess_of_the_prior(explored):
    model, widget = explored
    assert widget.threshold.value == pytest.approx(1.5, abs=0.01)
    overlay = model.layers["cells guess"]
    assert overlay.data[:35].all()
    assert not overlay.data[35:].any()
    assert widget.message.value.startswith("50 % of the pixels")
    for name in SPATIAL:
        one, other = getattr(model.layers["cells"], name), getattr(overlay, name)
        if name in ("units", "axis_labels"):
            assert one == other
        else:
            np.testing.assert_allclose(np.asarray(one), np.asarray(other), atol=1e-12, err_msg=name)
    widget.threshold.value = widget.threshold.max
    assert not overlay.data.any()
    widget.overlay.value = False
    assert not overlay.visible
    model.layers.remove("cells guess")
    widget.overlay.value = True
    assert "cells guess" in names(model)


def test_explorer_says_what_it_needs(qtbot, model):
    widget = ExplorerWidget(model)
    qtbot.addWidget(widget.native)
    assert widget.message.value.startswith("No samples yet")
    assert not widget.play.enabled
    model.add_image(np.random.default_rng(0).random((3, 9, 9)), axis_labels=("sample", "y", "x"), metadata=role("none"))
    assert widget.play.enabled
    assert widget.number.max == 3


def test_settings_of_a_layer_are_used_again(make_napari_viewer, image, notifications):
    from napari._app_model import get_app_model

    viewer = make_napari_viewer()
    viewer.add_image(image, name="other")
    viewer.add_image(image, name="cells")
    reuse = get_app_model().commands.execute_command
    reuse("napari-diffprior.reuse_settings").result()
    assert notifications()[-1].message.startswith("Select a layer that was restored")
    story = {"napari-diffprior": {"recipe": {"seed": 4, "samples": 2, "options": {"steps": 9}}}}
    viewer.layers.selection.active = viewer.add_image(image, name="cells restored", metadata=story)
    reuse("napari-diffprior.reuse_settings").result()
    _, widget = viewer.window.add_plugin_dock_widget("napari-diffprior", "Restore image")
    assert widget.recipe() == Recipe(seed=4, samples=2, options={"steps": 9})
    assert widget.inputs.image.value.name == "cells"


@pytest.mark.parametrize(
    "name", ["Restore image", "Restore folder", "Train prior", "Compare with reference", "Posterior explorer"]
)
def test_every_field_has_a_label_and_a_tooltip(make_napari_viewer, image, name):
    from magicgui.widgets import Container, Label
    from magicgui.widgets.bases import ValueWidget

    viewer = make_napari_viewer()
    viewer.add_image(image, name="cells")
    _, widget = viewer.window.add_plugin_dock_widget("napari-diffprior", name)

    def fields(container):
        for each in container:
            if isinstance(each, Container) and not hasattr(each, "line_edit"):
                yield from fields(each)
            elif isinstance(each, ValueWidget) and not isinstance(each, Label):
                yield each

    shown = list(fields(widget))
    assert shown
    assert [each.name for each in shown if not each.tooltip] == []
    assert [each.name for each in shown if not (each.label or getattr(each, "text", ""))] == []
