"""RGB layers: each colour is restored by itself, and what comes back is RGB."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels

from napari_diffprior import restore
from napari_diffprior.axes import Layout
from napari_diffprior.gui.explorer import ExplorerWidget
from napari_diffprior.gui.extent import PLANE
from napari_diffprior.gui.outputs import ResultOutput
from napari_diffprior.gui.restore import RestoreWidget
from napari_diffprior.recipe import Recipe


@pytest.fixture
def colours(qtbot, image, mask):
    """An RGB image with its mask and a widget."""
    picture = np.clip([image, image[::-1], image + 30], 0, 255).astype(np.uint8).transpose(1, 2, 0)
    viewer = ViewerModel()
    viewer.add_image(picture, rgb=True, name="tissue", scale=(0.5, 0.25), units=("um", "um"))
    widget = RestoreWidget(viewer)
    qtbot.addWidget(widget.native)
    widget.show_recipe(Recipe(options={"steps": 2}, samples=2, noise=3.0, quantiles=True, keep_samples=True))
    return viewer, widget


def test_colours_are_restored_one_by_one(colours, exact, run_to_end, mask):
    viewer, widget = colours
    picture = viewer.layers["tissue"].data
    widget.inputs.new_mask.changed.emit(True)
    assert widget.inputs.mask.value.data.shape == (70, 80)
    widget.inputs.mask.value.data = mask
    assert not widget.inputs.extent.axes.visible
    assert PLANE not in widget.inputs.extent.region.choices
    assert widget.recipe().axes is None
    run_to_end(widget)
    script = restore(picture, mask, prior=exact.prior, steps=2, samples=2, noise=3.0)
    made = viewer.layers["tissue restored"]
    assert made.rgb
    np.testing.assert_array_equal(made.data, np.clip(np.rint(script.mean), 0, 255).astype(np.uint8))
    np.testing.assert_allclose(made.scale, (0.5, 0.25))
    shapes = {layer.name: (layer.rgb, layer.data.shape) for layer in viewer.layers if layer.name.startswith("tissue ")
              and not isinstance(layer, Labels)}  # fmt: skip
    one = (True, (70, 80, 3))
    expected = {"restored": one, "std": (False, (70, 80)), "5 %": one, "95 %": one, "samples": (True, (2, 70, 80, 3))}
    assert shapes == {f"tissue {name}": value for name, value in expected.items()}
    assert "3 tiles" in widget.estimate.value
    assert widget.message.value.startswith("Misfit")


def test_explorer_marks_the_guess_in_colours(qtbot, colours, exact, run_to_end):
    viewer, widget = colours
    run_to_end(widget)
    explorer = ExplorerWidget(viewer)
    qtbot.addWidget(explorer.native)
    assert viewer.layers["tissue guess"].data.shape == (70, 80)
    assert explorer.threshold.value > 0


def test_preview_of_colours(colours, fake, run_to_end):
    viewer, widget = colours
    layer = viewer.layers["tissue"]
    layer.corner_pixels = np.array([[3, 9], [68, 75]])
    run_to_end(widget, widget.start_preview)
    made = viewer.layers["tissue preview"]
    assert made.rgb
    np.testing.assert_array_equal(made.data, layer.data[3:69, 9:76])
    np.testing.assert_allclose(made.data_to_world((0, 0)), layer.data_to_world((3, 9)))


def test_live_colours_are_grey_one_after_the_other(colours):
    viewer, _ = colours
    layer = viewer.layers["tissue"]
    output = ResultOutput(viewer, layer, Layout("yxc", (70, 80, 3), {"y": (5, 70)}))
    output.show(layer.data[5:, :, 1], (1,))
    live = viewer.layers[-1]
    assert (live.rgb, live.data.shape) == (False, (65, 80))
    np.testing.assert_allclose(live.contrast_limits, (0, 255))
    np.testing.assert_allclose(live.data_to_world((0, 0)), layer.data_to_world((5, 0)))
    output.close()


def test_colours_are_checked(colours):
    viewer, widget = colours
    layer = viewer.layers["tissue"]
    broken = layer.data.astype(np.float32) / 255
    broken[5, 5, 2] = np.nan
    opaque = np.concatenate([layer.data, np.full((70, 80, 1), 255, np.uint8)], -1)
    for pixels, said in ((broken, "The image has NaN"), (np.full_like(layer.data, 9), "The image is constant"), (opaque, "")):
        layer.data = pixels
        widget.check()
        assert widget.message.value.startswith(said)
        assert widget.restore.enabled == (not said)


def test_a_plane_of_a_stack_of_colours(colours, fake, run_to_end):
    viewer, widget = colours
    picture = viewer.layers["tissue"].data
    stack = viewer.add_image(np.stack([picture, picture + 1]), rgb=True, name="stack", axis_labels=("time", "y", "x"))
    widget.inputs.image.value = stack
    widget.inputs.extent.region.value = PLANE
    viewer.dims.set_point(0, 1)
    assert (widget.recipe().axes, widget.recipe().region) == ("tyxc", {"t": (1, 2)})
    run_to_end(widget)
    made = viewer.layers["stack restored"]
    assert (made.rgb, made.data.shape) == (True, (1, 70, 80, 3))
    np.testing.assert_array_equal(made.data[0], picture + 1)
