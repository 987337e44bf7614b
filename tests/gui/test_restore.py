from pathlib import Path

import numpy as np
import pytest
import torch
from napari.components import ViewerModel
from napari.layers import Labels

from conftest import names
from napari_diffprior import restore
from napari_diffprior.axes import Layout
from napari_diffprior.gui.extent import PLANE
from napari_diffprior.gui.inputs import BOTH, DEBLUR, DENOISE, FILL, UPSAMPLE
from napari_diffprior.gui.layer_choice import role, visible_field
from napari_diffprior.gui.outputs import ResultOutput
from napari_diffprior.gui.prior_rows import LOCAL
from napari_diffprior.gui.psf_rows import FILE, MEASURED
from napari_diffprior.gui.restore import RestoreWidget
from napari_diffprior.io import Calibration, write_tiff
from napari_diffprior.layers import SPATIAL
from napari_diffprior.priors.analytic import GaussianPrior
from napari_diffprior.psf import gaussian_psf, prepare
from napari_diffprior.recipe import Recipe
from napari_diffprior.tiling import TiledDenoiser


def test_says_what_is_missing_at_first(qtbot):
    viewer = ViewerModel()
    widget = RestoreWidget(viewer)
    qtbot.addWidget(widget.native)
    assert not widget.restore.enabled
    assert widget.message.value.startswith("Open an image first")
    viewer.add_image(np.random.default_rng(0).random((64, 64)), name="late")
    qtbot.waitUntil(lambda: widget.restore.enabled)
    assert widget.inputs.image.value.name == "late"
    assert widget.message.value == ""


def constant(viewer, widget):
    "The image is constant"
    viewer.layers["cells"].data = np.ones((70, 80))


def nan(viewer, widget):
    "The image has NaN or infinite pixels outside the mask"
    viewer.layers["cells"].data = np.full((70, 80), np.nan)


def axes(viewer, widget):
    "The axes 'yx' do not fit"
    viewer.layers["cells"].data = np.ones((2, 70, 80))
    widget.check()
    assert widget.inputs.extent.axes.value == "zyx"
    widget.inputs.extent.axes.value = "yx"


def other_mask(viewer, widget):
    "The mask has the shape"
    widget.inputs.mask.value = viewer.add_labels(np.ones((5, 5), int))


def nothing_left(viewer, widget):
    "The mask covers the whole image"
    widget.inputs.mask.value = viewer.add_labels(np.ones((70, 80), int))


def no_mask(viewer, widget):
    "To fill gaps, choose a mask"
    widget.inputs.task.value = FILL


def empty_mask(viewer, widget):
    "The mask is empty"
    widget.inputs.mask.value = viewer.add_labels(np.zeros((70, 80), int))


def bad_number(viewer, widget):
    "Decoupled: tolerance = 'abc' is not possible"
    widget.advanced.own["tolerance"].value = "abc"


def bad_noise(viewer, widget):
    "There is no noise 'loud'; choose from"
    widget.inputs.noise.value = "loud"


def no_sigma(viewer, widget):
    "Give the PSF's sigma"
    widget.inputs.task.value = DEBLUR
    widget.inputs.psf.sigma.value = ""


def no_folder(viewer, widget):
    "Choose the folder of the prior"
    widget.inputs.prior.choice.value = LOCAL


def bad_folder(viewer, widget):
    "The prior folder .* is not complete"
    widget.inputs.prior.choice.value = LOCAL
    widget.inputs.prior.folder.value = Path(__file__).parent


def negative_psf(viewer, widget):
    "The PSF has negative pixels"
    widget.inputs.task.value = DEBLUR
    widget.inputs.psf.kind.value = MEASURED
    widget.inputs.psf.layer.value = viewer.add_image(-np.ones((5, 5)))


PLANTS = (constant, nan, axes, other_mask, nothing_left, no_mask, empty_mask, bad_number, bad_noise, no_sigma,
          no_folder, bad_folder, negative_psf)  # fmt: skip


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_a_reason_why_it_cannot_run(model, widget, fake, plant):
    import re

    plant(model, widget)
    widget.check()
    assert not widget.restore.enabled
    assert not widget.preview.enabled
    assert re.match(plant.__doc__, widget.message.value), widget.message.value
    assert "\n" not in widget.message.value
    widget.start_or_cancel()
    assert not fake.requests


def test_only_the_rows_of_the_task_are_shown(model, widget):
    widget.native.show()
    inputs = widget.inputs
    assert all(each.visible for each in (inputs.image, inputs.task, inputs.noise, inputs.prior.choice, inputs.samples))
    rows = (inputs.psf.kind, inputs.psf.sigma, inputs.psf.layer, inputs.prior.folder, widget.advanced.sampler)
    assert [row.visible for row in (*rows, inputs.factor)] == [False] * 6
    inputs.task.value = UPSAMPLE
    assert [row.visible for row in (*rows, inputs.factor)] == [False] * 5 + [True]
    inputs.task.value = BOTH
    assert [row.visible for row in (*rows, inputs.factor)] == [True, True, False, False, False, True]
    inputs.task.value = DEBLUR
    assert not inputs.factor.visible
    assert [row.visible for row in rows] == [True, True, False, False, False]
    inputs.psf.kind.value = MEASURED
    assert [row.visible for row in rows] == [True, False, True, False, False]
    inputs.task.value = DENOISE
    inputs.prior.choice.value = LOCAL
    assert [row.visible for row in rows] == [False, False, False, True, False]
    widget.advanced.toggle.changed.emit(True)
    assert widget.advanced.sampler.visible
    assert widget.advanced.own["steps"].visible


def test_a_mask_means_gaps(model, widget):
    assert widget.inputs.task.value == DENOISE
    widget.inputs.mask.value = model.layers["gaps"]
    assert widget.inputs.task.value == FILL
    widget.inputs.mask.value = None
    assert widget.inputs.task.value == DENOISE


def test_a_segmentation_is_not_taken_for_a_mask(model, widget):
    assert widget.inputs.mask.value is None
    made = model.add_labels(np.ones((70, 80), int), metadata=role("mask"))
    assert widget.inputs.mask.value is made
    widget.inputs.mask.value = None
    model.add_points()
    assert widget.inputs.mask.value is None


def test_new_mask_lies_over_the_image(model, widget):
    model.layers["cells"].scale = (0.5, 0.25)
    widget.inputs.new_mask.changed.emit(True)
    made = widget.inputs.mask.value
    assert isinstance(made, Labels)
    assert made.data.shape == (70, 80)
    np.testing.assert_allclose(made.scale, (0.5, 0.25))
    assert widget.inputs.task.value == FILL


def test_the_samplers_parameters_follow_the_sampler(model, widget):
    widget.advanced.sampler.value = "dps"
    assert list(widget.advanced.own) == ["steps", "guidance", "scale", "start"]
    widget.advanced.own["guidance"].value = "norm"
    assert widget.recipe() == Recipe(sampler="dps", options={"guidance": "norm"})
    widget.advanced.sampler.value = "decoupled"
    assert widget.recipe() == Recipe()


def test_the_dice_changes_the_seed(widget):
    widget.advanced.dice.changed.emit(True)
    assert widget.recipe().seed != 0


def test_says_where_it_runs_and_why(qtbot, widget):
    qtbot.waitUntil(lambda: widget.chip.value == "CPU (torch has no CUDA)")
    widget.advanced.device.value = "cpu"
    widget.check()
    assert widget.chip.value == "cpu (chosen in Advanced)"


def test_same_pixels_as_a_script(model, widget, exact, run_to_end, image, mask):
    widget.inputs.mask.value = model.layers["gaps"]
    widget.inputs.samples.value = 2
    widget.advanced.seed.value = 7
    widget.advanced.own["steps"].value = 4
    run_to_end(widget)
    script = restore(image, mask, prior=exact.prior, samples=2, seed=7, steps=4)
    np.testing.assert_array_equal(model.layers["cells restored"].data, script.mean)
    np.testing.assert_array_equal(model.layers["cells std"].data, script.std)
    story = model.layers["cells restored"].metadata["napari-diffprior"]
    assert story["fingerprint"] == script.provenance["fingerprint"]
    assert not model.layers["cells std"].visible
    assert "seed 7" in widget.message.value
    assert widget.message.value.startswith("Misfit")


def test_result_keeps_all_seven_spatial_attributes(model, widget, fake, run_to_end):
    layer = model.layers["cells"]
    layer.scale, layer.translate, layer.rotate, layer.shear = (0.5, 0.25), (3, -7), 30, (0.2,)
    layer.affine = [[1, 0.1, 5], [0, 1.5, -3], [0, 0, 1]]
    layer.units, layer.axis_labels = ("um", "um"), ("y", "x")
    run_to_end(widget)
    for name in ("cells restored", "cells std"):
        made = model.layers[name]
        for key in SPATIAL:
            one, other = getattr(layer, key), getattr(made, key)
            if key in ("units", "axis_labels"):
                assert one == other
            else:
                np.testing.assert_allclose(np.asarray(one), np.asarray(other), atol=1e-12, err_msg=key)


def test_preview_lies_where_the_canvas_looked(model, widget, fake, run_to_end):
    layer = model.layers["cells"]
    layer.scale, layer.rotate, layer.affine = (0.5, 0.25), 30, [[1, 0.1, 5], [0, 1.5, -3], [0, 0, 1]]
    layer.corner_pixels = np.array([[3, 9], [68, 75]])
    run_to_end(widget, widget.start_preview)
    made = model.layers["cells preview"]
    assert made.data.shape == (66, 67)
    np.testing.assert_allclose(made.data_to_world((0, 0)), layer.data_to_world((3, 9)))
    np.testing.assert_allclose(made.data_to_world((10, 20)), layer.data_to_world((13, 29)))
    assert fake.requests[-1].recipe == Recipe(samples=1, options={"steps": 8}, region={"y": (3, 69), "x": (9, 76)})
    run_to_end(widget, widget.start_preview)
    assert names(model).count("cells preview") == 1
    assert names(model) == ["cells", "gaps", "cells preview"]


def test_visible_field_is_never_too_small(model):
    layer = model.layers["cells"]
    layer.corner_pixels = np.array([[69, 0], [69, 3]])
    assert visible_field(layer, (70, 80)) == {"y": slice(6, 70), "x": slice(0, 64)}


def shown(viewer, name):
    return name in names(viewer) and viewer.layers[name].visible


def test_cancel_stops_within_a_step_and_adds_nothing(qtbot, model, widget, fake, run_to_end):
    fake.steps, fake.seconds = 10_000, 0.02
    widget.start_or_cancel()
    qtbot.waitUntil(lambda: shown(model, "cells (restoring)"), timeout=10000)
    assert widget.restore.text == "Cancel"
    widget.start_or_cancel()
    asked = fake.seen
    assert widget.restore.text == "Cancelling..."
    qtbot.waitUntil(lambda: widget._run is None, timeout=10000)
    assert fake.seen <= asked + 1
    assert fake.closed == 1
    assert names(model) == ["cells", "gaps"]
    assert (widget.restore.text, widget.restore.enabled) == ("Restore", True)
    fake.steps, fake.seconds = 3, 0.0
    run_to_end(widget)
    assert names(model) == ["cells", "gaps", "cells restored", "cells std"]


ERRORS = [ValueError("the noise is too loud."), RuntimeError("shapes differ"), torch.OutOfMemoryError("CUDA out of memory")]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_is_a_notification_and_leaves_a_usable_widget(model, widget, fake, run_to_end, notifications, error):
    fake.error = error
    run_to_end(widget)
    (shown,) = notifications()
    assert shown.severity == "error"
    assert shown.message == widget.message.value
    assert names(model) == ["cells", "gaps"]
    assert widget.restore.enabled
    fake.error = None
    run_to_end(widget)
    assert "cells restored" in names(model)


def test_the_live_layer_becomes_the_result(qtbot, model, widget, fake):
    fake.steps, fake.seconds = 30, 0.05
    widget.start_or_cancel()
    qtbot.waitUntil(lambda: shown(model, "cells (restoring)"), timeout=10000)
    live = model.layers["cells (restoring)"]
    live.colormap = "viridis"
    qtbot.waitUntil(lambda: widget._run is None, timeout=20000)
    assert names(model) == ["cells", "gaps", "cells restored", "cells std"]
    assert model.layers["cells restored"] is live
    assert live.colormap.name == "viridis"
    assert live.metadata["napari-diffprior"]["recipe"]
    assert live in widget.inputs.image.choices


class SmallMemory:
    """White images of variance 1, as a prior that has memory for one tile at once."""

    patch, ndim, channels, sigma_min, sigma_max = (40, 40), 2, 1, 0.002, 100.0

    def __call__(self, x, sigma):
        if len(x) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return x / (1 + sigma.square().view(-1, 1, 1, 1))

    def error(self, sigma, shape, like):
        return GaussianPrior(torch.ones(tuple(shape)).to(like)).error(sigma, shape, like)


@pytest.mark.parametrize("planes", [1, 2])
def test_a_lack_of_memory_is_said(model, widget, exact, run_to_end, image, planes):
    widget.show_recipe(Recipe(options={"steps": 2}, samples=2, noise=3.0))
    model.layers["cells"].data = np.stack([image, image + 5])[:planes].squeeze()
    run_to_end(widget)
    assert "memory" not in widget.message.value
    exact.prior = TiledDenoiser(SmallMemory())
    run_to_end(widget)
    assert "; memory ran short: fewer tiles at once" in widget.message.value
    assert widget.message.value.startswith("Misfit")


def test_the_input_may_vanish_while_it_runs(qtbot, model, widget, fake):
    fake.steps, fake.seconds = 30, 0.05
    widget.start_or_cancel()
    qtbot.waitUntil(lambda: shown(model, "cells (restoring)"), timeout=10000)
    model.layers.remove("cells")
    model.layers.remove("cells (restoring)")
    qtbot.waitUntil(lambda: widget._run is None, timeout=20000)
    assert names(model) == ["gaps", "cells restored", "cells std"]


def test_the_widget_may_vanish_while_it_runs(qtbot, model, fake):
    fake.steps, fake.seconds = 1000, 0.02
    widget = RestoreWidget(model)
    widget.start_or_cancel()
    qtbot.waitUntil(lambda: fake.seen > 2, timeout=10000)
    widget.native.deleteLater()
    qtbot.waitUntil(lambda: fake.closed == 1, timeout=10000)
    qtbot.wait(200)
    assert names(model) == ["cells", "gaps"]
    model.add_image(np.eye(5))


def test_painting_keeps_the_layer_selected(qtbot, model, widget, fake, run_to_end):
    model.layers.selection.active = model.layers["gaps"]
    run_to_end(widget)
    assert model.layers.selection.active.name == "gaps"


def test_painting_the_mask_enables_the_button(qtbot, model, widget):
    widget.inputs.new_mask.changed.emit(True)
    widget.check()
    assert not widget.restore.enabled
    widget.inputs.mask.value.paint((10, 10), 1)
    qtbot.waitUntil(lambda: widget.restore.enabled)


def test_a_stack_in_any_order_of_axes(qtbot, run_to_end, exact, image):
    viewer = ViewerModel()
    stack = np.stack([image, image[::-1], image + 3]).transpose(1, 2, 0)
    viewer.add_image(stack, rgb=False, name="stack", scale=(0.5, 0.25, 3), units=("um", "um", "s"), axis_labels=("y", "x", "t"))
    widget = RestoreWidget(viewer)
    qtbot.addWidget(widget.native)
    assert widget.inputs.extent.axes.value == "yxt"
    widget.show_recipe(Recipe(options={"steps": 2}, samples=2, noise=3.0))
    assert widget.recipe().axes == "yxt"
    run_to_end(widget)
    made = viewer.layers["stack restored"]
    script = restore(stack, prior=exact.prior, axes="yxt", steps=2, samples=2, noise=3.0)
    np.testing.assert_array_equal(made.data, script.mean)
    assert (tuple(made.scale), made.axis_labels) == ((0.5, 0.25, 3.0), ("y", "x", "t"))
    assert "3 tiles" in widget.estimate.value


def test_the_plane_that_is_shown(qtbot, model, exact, run_to_end, image):
    viewer = ViewerModel()
    viewer.add_image(np.stack([image, image + 5]), name="stack", translate=(10, 0, 0))
    widget = RestoreWidget(viewer)
    qtbot.addWidget(widget.native)
    widget.show_recipe(Recipe(options={"steps": 2}, samples=1, noise=3.0))
    viewer.dims.set_point(0, 11)
    widget.inputs.extent.region.value = PLANE
    assert widget.recipe().region == {"z": (1, 2)}
    run_to_end(widget)
    made = viewer.layers["stack restored"]
    assert made.data.shape == (1, 70, 80)
    np.testing.assert_allclose(made.data_to_world((0, 0, 0)), (11, 0, 0))


def test_a_pyramid_as_mask(model, widget, fake, run_to_end, mask):
    widget.inputs.mask.value = model.add_labels([mask, mask[::2, ::2]], multiscale=True, name="pyramid")
    run_to_end(widget)
    np.testing.assert_array_equal(fake.requests[-1].mask, mask)


def test_the_live_layer_lies_in_its_plane(qtbot, image):
    viewer = ViewerModel()
    layer = viewer.add_image(np.stack([image, image]), scale=(2, 1, 1))
    output = ResultOutput(viewer, layer, Layout("zyx", (2, 70, 80), {"y": (5, 70)}))
    output.show(image[5:], (1,))
    live = viewer.layers[-1]
    assert live.data.shape == (1, 65, 80)
    np.testing.assert_allclose(live.data_to_world((0, 0, 0)), (2, 5, 0))
    output.show(image[5:], (0,))
    np.testing.assert_allclose(live.data_to_world((0, 0, 0)), (0, 5, 0))
    output.close()
    assert len(viewer.layers) == 1


def test_the_live_layer_is_hidden_until_there_is_something_to_see(qtbot, image):
    viewer = ViewerModel()
    output = ResultOutput(viewer, viewer.add_image(image), Layout("yx", image.shape))
    output.prepare()
    live = viewer.layers[-1]
    assert not live.visible
    output.show(image, ())
    assert live.visible
    live.visible = False
    output.show(image, ())
    assert not live.visible, "the user hid it"
    output.close()
    assert len(viewer.layers) == 1


def test_samples_become_a_layer_on_request(model, widget, exact, run_to_end):
    widget.show_recipe(Recipe(options={"steps": 2}, samples=3, noise=3.0, keep_samples=True))
    run_to_end(widget)
    made = model.layers["cells samples"]
    assert (made.data.shape, made.visible, made.axis_labels[0]) == ((3, 70, 80), False, "sample")
    np.testing.assert_allclose(made.data.mean(0), model.layers["cells restored"].data, rtol=1e-5)


def test_quantiles_become_layers_on_request(model, widget, exact, run_to_end, image):
    box = widget.advanced.fixed["quantiles"]
    assert not box.value, "off at first"
    widget.show_recipe(Recipe(options={"steps": 2}, samples=1, noise=3.0, quantiles=True))
    assert not box.enabled
    run_to_end(widget)
    assert names(model) == ["cells", "gaps", "cells restored"], "one sample has none"
    widget.inputs.samples.value = 4
    assert box.enabled
    run_to_end(widget)
    script = restore(image, prior=exact.prior, steps=2, samples=4, noise=3.0)
    for name, level in (("cells 5 %", 0.05), ("cells 95 %", 0.95)):
        np.testing.assert_array_equal(model.layers[name].data, script.quantile(level))
        assert not model.layers[name].visible
    assert "write_tiff('cells 95 %.tif', result.quantile(0.95), place, story)" in widget.script()
    assert model.layers["cells restored"].metadata["napari-diffprior"]["recipe"]["quantiles"], "to be used again"


def test_a_measured_psf_from_a_file_or_a_layer(model, widget, fake, run_to_end, tmp_path):
    psf = np.exp(-(np.hypot(*np.mgrid[-7:8, -7:8]) ** 2) / 4)
    np.save(tmp_path / "psf.npy", psf)
    model.add_image(psf, name="bead")
    widget.inputs.task.value = DEBLUR
    widget.inputs.psf.kind.value = FILE
    widget.check()
    assert widget.message.value == "Choose the PSF's file."
    widget.inputs.psf.file.value = tmp_path / "psf.npy"
    run_to_end(widget)
    widget.inputs.psf.kind.value = MEASURED
    widget.inputs.psf.layer.value = model.layers["bead"]
    run_to_end(widget)
    one, other = (request.psf.values for request in fake.requests)
    np.testing.assert_array_equal(one, other)
    assert one.sum() == pytest.approx(1)
    for layer, step in (("cells", 2.0), ("bead", 1.0)):
        model.layers[layer].scale, model.layers[layer].units = (step, step), ("nm", "nm")
    run_to_end(widget)
    assert fake.requests[-1].psf.values.shape < one.shape
    assert "resampled" in " ".join(fake.requests[-1].psf.done)
    assert "prepare(psf, **{'voxel': (0.001, 0.001), 'image_voxel': (0.002, 0.002)})" in widget.script()
    model.layers["cells"].scale, model.layers["cells"].units = (0.002, 0.002), ("um", "um")
    run_to_end(widget)
    np.testing.assert_array_equal(fake.requests[-1].psf.values, fake.requests[-2].psf.values)


def test_the_row_of_axes_says_which_step_is_that_of_the_planes(model, widget, tmp_path):
    psf, units = gaussian_psf([2.0, 1.5, 1.5]).astype(np.float32), ("um",) * 4
    write_tiff(tmp_path / "psf.tif", psf, Calibration((0.1, 0.1, 0.1), units[:3], "zyx"))
    stack = np.random.default_rng(0).random((6, 2, 70, 80))
    widget.inputs.image.value = model.add_image(stack, name="stack", scale=(0.3, 1, 0.1, 0.1), units=units)
    widget.inputs.extent.axes.value = "zcyx"
    widget.inputs.task.value = DEBLUR
    bead = model.add_image(psf, name="bead", scale=(0.1,) * 3, units=units[:3])
    widget.inputs.psf.layer.value, widget.inputs.psf.file.value = bead, tmp_path / "psf.tif"
    for kind in (MEASURED, FILE):
        widget.inputs.psf.kind.value = kind
        found = widget.inputs.source().psf
        assert "3 x 1 x 1 of its own" in " ".join(found.done)
        np.testing.assert_array_equal(found.values, prepare(psf, voxel=(0.1,) * 3, image_voxel=(0.3, 0.1, 0.1)).values)
