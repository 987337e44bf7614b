"""Axes and region: which part of an image is restored, and where the result lies."""

import numpy as np
import torch
from napari.components import ViewerModel

from napari_diffprior import restore
from napari_diffprior.gui.extent import RECTANGLE, WHOLE
from napari_diffprior.gui.restore import RestoreWidget
from napari_diffprior.layers import layer_axes
from napari_diffprior.priors.analytic import GaussianPrior
from napari_diffprior.recipe import Recipe


def test_labels_name_the_axes_as_in_a_script(qtbot, image):
    viewer = ViewerModel()
    labels = ("z", "time", "y", "x")
    layer = viewer.add_image(np.zeros((2, 3, 70, 80)) + image, rgb=False, axis_labels=labels)
    widget = RestoreWidget(viewer)
    qtbot.addWidget(widget.native)
    assert widget.inputs.extent.axes.value == layer_axes(layer) == "ztyx"
    assert widget.recipe().axes == "ztyx"


def test_a_rectangle_of_a_shapes_layer(qtbot, exact, run_to_end, image):
    viewer = ViewerModel()
    stack = np.stack([image, image + 5])
    layer = viewer.add_image(stack, name="stack", scale=(3, 0.5, 0.5), translate=(0, 10, 20))
    widget = RestoreWidget(viewer)
    qtbot.addWidget(widget.native)
    widget.show_recipe(Recipe(options={"steps": 2}, samples=1, noise=3.0))
    region = widget.inputs.extent.region
    assert RECTANGLE not in region.choices
    empty = viewer.add_shapes(name="empty", ndim=3)
    region.value = RECTANGLE
    widget.check()
    assert widget.message.value == "Empty is empty: draw a rectangle over the part to restore."
    viewer.add_shapes(layer.data_to_world((0, 4, 8))[1:] + np.array([[0, 0], [0, 15], [10, 15], [10, 0]]), name="part")
    viewer.layers.selection.active = layer
    qtbot.waitUntil(lambda: widget.restore.enabled)
    assert widget.recipe().region == {"y": (4, 25), "x": (8, 39)}, "the topmost layer, if none is selected"
    viewer.layers.selection.active = empty
    qtbot.waitUntil(lambda: not widget.restore.enabled)
    empty.add_rectangles([[0, 12, 24], [0, 12, 60], [0, 17, 60], [0, 17, 24]])
    qtbot.waitUntil(lambda: widget.restore.enabled)
    exact.prior = GaussianPrior(torch.full((1, 11, 72), 0.3))
    run_to_end(widget)
    made = viewer.layers["stack restored"]
    assert made.data.shape == (2, 11, 72)
    np.testing.assert_allclose(made.data_to_world((1, 0, 0)), layer.data_to_world((1, 4, 8)))
    script = restore(stack, prior=exact.prior, steps=2, samples=1, noise=3.0, region={"y": (4, 15), "x": (8, 80)})
    np.testing.assert_array_equal(made.data, script.mean)
    viewer.layers.remove("part")
    assert region.value == RECTANGLE
    viewer.layers.remove("empty")
    assert (region.value, RECTANGLE in region.choices) == (WHOLE, False)


def test_a_rectangle_beside_the_image(qtbot, model, widget):
    shapes = model.add_shapes([[[0, 0], [9, 9]], [[200, 200], [210, 210]]], shape_type="rectangle", name="parts")
    widget.inputs.extent.region.value = RECTANGLE
    widget.check()
    assert widget.message.value.startswith("The rectangle of parts lies beside cells")
    shapes.selected_data = {0}
    qtbot.waitUntil(lambda: widget.restore.enabled)
    assert widget.recipe().region == {"y": (0, 10), "x": (0, 10)}
