"""A stack whose results go to an OME-Zarr, and lie in the viewer where the image lies."""

from dataclasses import replace

import dask.array
import numpy as np
import psutil
import pytest
from napari.components import ViewerModel

from conftest import names
from napari_diffprior import restore
from napari_diffprior.gui.extent import PLANE
from napari_diffprior.gui.restore import RestoreWidget
from napari_diffprior.io import read_image
from napari_diffprior.recipe import Recipe

FAST = Recipe(options={"steps": 2}, noise=20.0, samples=2, device="cpu")
PLACE = {"scale": (2, 0.5, 0.2, 0.1), "translate": (1, 0, 3, 4), "units": ("s", "um", "um", "um")}


@pytest.fixture
def stacked(qtbot, tiny_prior):
    planes = np.random.default_rng(0).integers(0, 200, (2, 3, 32, 40)).astype(np.uint16)
    viewer = ViewerModel()
    viewer.add_image(dask.array.from_array(planes, chunks=(1, 1, 32, 40)), name="cells", axis_labels=tuple("tzyx"), **PLACE)
    widget = RestoreWidget(viewer)
    qtbot.addWidget(widget.native)
    widget.show_recipe(Recipe(**{**vars(FAST), "prior": str(tiny_prior)}))
    return viewer, widget, planes


def test_results_are_written_and_lie_in_their_place(stacked, run_to_end, tmp_path):
    viewer, widget, planes = stacked
    widget.inputs.store.box.value = tmp_path / "out.ome.zarr"
    run_to_end(widget)
    made, std = viewer.layers["cells restored"], viewer.layers["cells std"]
    script = restore(planes, axes="tzyx", noise=20, steps=2, samples=2, device="cpu", prior=widget.recipe().prior)
    assert isinstance(made.data, dask.array.Array)
    np.testing.assert_array_equal(np.asarray(made.data), script.mean)
    np.testing.assert_array_equal(np.asarray(std.data), script.std)
    np.testing.assert_allclose(made.translate, viewer.layers["cells"].translate)
    written, place, metadata = read_image(tmp_path / "out.ome.zarr")
    np.testing.assert_array_equal(written, script.mean)
    assert (place.scale, place.translate, place.units) == (PLACE["scale"], PLACE["translate"], PLACE["units"])
    assert len(metadata["napari-diffprior"]["planes"]) == 6
    assert (tmp_path / "out_std.ome.zarr").is_dir()
    assert widget.message.value.startswith("Misfit")
    run_to_end(widget)
    assert (tmp_path / "out_2.ome.zarr").is_dir()  # layers read the first one
    run_to_end(widget, widget.start_preview)
    assert isinstance(viewer.layers["cells preview"].data, np.ndarray)


def test_what_cannot_be_written_is_said_before_it_starts(stacked, run_to_end, tmp_path, monkeypatch):
    viewer, widget, _ = stacked
    widget.inputs.store.box.value = tmp_path / "out.tif"
    widget.check()
    assert "end in .ome.zarr" in widget.message.value
    widget.inputs.store.box.line_edit.value = ""
    widget.check()
    assert widget.message.value == ""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 1000}))
    widget.start_or_cancel()
    assert "choose an OME-Zarr in Write to" in widget.message.value
    run_to_end(widget, widget.start_preview)
    assert "cells preview" in names(viewer)


def test_all_images_of_one_plane(stacked, run_to_end, tmp_path):
    viewer, widget, _ = stacked
    (tmp_path / "out_std.ome.zarr").mkdir()  # layers may read it
    widget.show_recipe(replace(widget.recipe(), quantiles=True, keep_samples=True))
    widget.inputs.extent.region.value = PLANE
    widget.inputs.store.box.value = tmp_path / "out.ome.zarr"
    run_to_end(widget)
    assert not list((tmp_path / "out_std.ome.zarr").iterdir())
    written = {entry.name for entry in tmp_path.iterdir()} - {"out_std.ome.zarr"}
    assert written == {f"out_2{kind}.ome.zarr" for kind in ("", "_std", "_05", "_95", "_samples")}
    for name, shape in (("restored", (1, 1, 32, 40)), ("5 %", (1, 1, 32, 40)), ("samples", (2, 1, 1, 32, 40))):
        assert viewer.layers[f"cells {name}"].data.shape == shape


def test_colours_are_written_too(qtbot, tiny_prior, run_to_end, tmp_path):
    picture = np.random.default_rng(0).integers(0, 200, (2, 32, 40, 3)).astype(np.uint8)
    viewer = ViewerModel()
    viewer.add_image(picture, name="cells", rgb=True)
    widget = RestoreWidget(viewer)
    qtbot.addWidget(widget.native)
    widget.show_recipe(replace(FAST, prior=str(tiny_prior)))
    widget.inputs.store.box.value = tmp_path / "out.ome.zarr"
    run_to_end(widget)
    made = viewer.layers["cells restored"]
    assert made.rgb and made.data.shape == picture.shape and made.data.dtype == np.uint8
    widget.inputs.extent.axes.value = "tcyx"
    widget.check()
    assert "its colours, c, lie last" in widget.message.value


def test_a_plane_has_no_such_row(widget):
    assert not widget.inputs.store.box.visible
