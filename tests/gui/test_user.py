"""What a user does, through napari's own plugin machinery: docks, menus, files."""

import json
import runpy
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch
from magicgui.widgets import CheckBox
from napari.components import ViewerModel
from qtpy.QtGui import QGuiApplication

from conftest import names
from napari_diffprior import cli, restore
from napari_diffprior.gui.inputs import BOTH, DEBLUR, DENOISE, FILL, UPSAMPLE
from napari_diffprior.gui.psf_rows import FILE, MEASURED
from napari_diffprior.io import Calibration, read_image, write_tiff
from napari_diffprior.layers import SPATIAL
from napari_diffprior.operators.blur import Blur
from napari_diffprior.priors.analytic import StationaryPrior
from napari_diffprior.psf import gaussian_psf
from napari_diffprior.recipe import Recipe

PLUGIN = "napari-diffprior"
FAST = Recipe(options={"steps": 3}, noise=2.5, samples=2, seed=5, device="cpu")


def prior_of(*shape):
    frequency = torch.hypot(torch.fft.fftfreq(shape[0])[:, None], torch.fft.rfftfreq(shape[1])[None])
    return StationaryPrior(1 / (0.05 + frequency) ** 2 / 400, shape)


@pytest.fixture
def docked(make_napari_viewer, image, mask):
    viewer = make_napari_viewer()
    viewer.add_image(image, name="cells", scale=(0.5, 0.25), translate=(3, -7), units=("um", "um"))
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Restore image")
    widget.show_recipe(FAST)
    viewer.add_labels(mask, name="gaps")
    return viewer, widget


@pytest.mark.parametrize(
    ("task", "settings", "grid"),
    [
        (FILL, {}, (70, 80)),
        (DENOISE, {}, (70, 80)),
        (DEBLUR, {"psf_sigma": 1.0}, (80, 90)),
        (UPSAMPLE, {"upsample": 2}, (140, 160)),
        (BOTH, {"upsample": 2, "psf_sigma": 1.0}, (160, 180)),
    ],
    ids=["fill gaps", "denoise", "deblur", "upsample", "deblur and upsample"],
)
def test_every_task_gives_the_pixels_of_a_script(docked, exact, run_to_end, image, mask, task, settings, grid):
    viewer, widget = docked
    exact.prior = prior_of(*grid)
    widget.inputs.mask.value = viewer.layers["gaps"] if task == FILL else None
    widget.inputs.task.value = task
    widget.inputs.factor.value = 2
    widget.inputs.psf.sigma.value = "1.0"
    run_to_end(widget)
    missing = mask if task == FILL else None
    script = restore(image, missing, prior=exact.prior, noise=2.5, samples=2, seed=5, steps=3, device="cpu", **settings)
    made, factor = viewer.layers["cells restored"], settings.get("upsample", 1)
    np.testing.assert_array_equal(made.data, script.mean)
    assert made.data.shape == (factor * 70, factor * 80)
    np.testing.assert_allclose(made.scale, (0.5 / factor, 0.25 / factor))
    edge = viewer.layers["cells"].data_to_world((-0.5, -0.5))
    np.testing.assert_allclose(made.data_to_world((-0.5, -0.5)), edge)
    assert widget.message.value.startswith("Misfit")


def test_saturated_and_hot_pixels_are_said(docked, exact, run_to_end, image):
    viewer, widget = docked
    pixels = np.rint(20 + 150 * (image - image.min()) / np.ptp(image)).astype(np.uint8)
    pixels[50:53, 20:23] = 255
    pixels[10, 10:75:20] = 255
    assert pixels.max() == 255
    viewer.layers["cells"].data = pixels
    count = int((pixels == 255).sum())
    run_to_end(widget)
    assert f"; {count} saturated pixels are lower bounds" in widget.message.value
    box = widget.advanced.fixed["hot_pixels"]
    assert isinstance(box, CheckBox)
    box.value = True
    widget.advanced.fixed["saturation"].value = ""
    run_to_end(widget)
    assert widget.recipe().saturation is None
    assert "saturated" not in widget.message.value
    assert "; 4 hot pixels were left out" in widget.message.value


@pytest.fixture
def volume(make_napari_viewer):
    """A stack whose planes are 3 pixels apart, and the PSF that blurred it."""
    z, y, x = np.indices((5, 20, 24))
    stack = 100 + 50 * np.sin(x / 2) * np.cos(y / 3) + 5 * z + np.random.default_rng(0).standard_normal(z.shape)
    viewer = make_napari_viewer()
    viewer.add_image(stack, name="cells", scale=(0.6, 0.2, 0.2), units=("um",) * 3, axis_labels=("z", "y", "x"))
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Restore image")
    widget.show_recipe(FAST)
    return viewer, widget


@pytest.mark.parametrize("source", [MEASURED, FILE])
def test_a_stack_with_its_psf(volume, exact, run_to_end, tmp_path, source):
    viewer, widget = volume
    psf = gaussian_psf([0.6, 1.0, 1.0])
    np.save(tmp_path / "psf.npy", psf)
    stack = viewer.layers["cells"].data
    exact.prior = prior_of(*Blur(torch.as_tensor(psf), stack.shape).domain[1:])
    widget.inputs.task.value = DEBLUR
    widget.inputs.psf.kind.value = source
    if source == MEASURED:
        widget.inputs.psf.layer.value = viewer.add_image(psf, name="bead", scale=(0.6, 0.2, 0.2), units=("um",) * 3)
    else:
        widget.inputs.psf.file.value = tmp_path / "psf.npy"
    assert widget.recipe().anisotropy == pytest.approx(3)
    run_to_end(widget)
    script = restore(stack, psf=psf, prior=exact.prior, noise=2.5, samples=2, seed=5, steps=3, device="cpu", anisotropy=3)
    made = viewer.layers["cells restored"]
    np.testing.assert_array_equal(made.data, script.mean)
    np.testing.assert_allclose(made.scale, (0.6, 0.2, 0.2))
    assert made.axis_labels == ("z", "y", "x")
    run_to_end(widget, widget.start_preview)
    assert viewer.layers["cells preview"].data.shape[0] == 5
    widget.inputs.task.value = BOTH
    widget.check()
    assert widget.message.value.startswith("A stack with a 3-D PSF cannot be upsampled")


def test_what_is_seen_while_upsampling_lies_in_its_place(qtbot, docked, fake):
    viewer, widget = docked
    fake.steps, fake.seconds = 60, 0.05
    widget.inputs.task.value = UPSAMPLE
    widget.start_or_cancel()
    qtbot.waitUntil(lambda: "cells (restoring)" in names(viewer), timeout=20000)
    live = viewer.layers["cells (restoring)"]
    np.testing.assert_allclose(live.scale, (0.25, 0.125))
    np.testing.assert_allclose(live.data_to_world((-0.5, -0.5)), viewer.layers["cells"].data_to_world((-0.5, -0.5)))
    widget.start_or_cancel()
    qtbot.waitUntil(lambda: widget._run is None, timeout=20000)


@pytest.fixture
def ome_tiff(tmp_path):
    """A stack as another program writes it: 2 times, 2 channels, 3 planes."""
    rows, columns = np.mgrid[:32, :40]
    planes = [1000 + 100 * k * np.sin(rows / (k + 1)) * np.cos(columns / 7) for k in range(1, 13)]
    sizes = {"axes": "TCZYX", "TimeIncrement": 2.0, "TimeIncrementUnit": "s"}
    sizes |= {f"PhysicalSize{letter}": step for letter, step in zip("ZYX", (0.5, 0.2, 0.1), strict=True)}
    path = tmp_path / "stack.ome.tif"
    tifffile.imwrite(path, np.reshape(planes, (2, 2, 3, 32, 40)).astype(np.uint16), ome=True, metadata=sizes)
    return path


def same_place(one, other):
    for name in SPATIAL:
        first, second = getattr(one, name), getattr(other, name)
        if name in ("units", "axis_labels"):
            assert tuple(map(str, first)) == tuple(map(str, second)), name
        else:
            np.testing.assert_allclose(np.asarray(first), np.asarray(second), atol=1e-12, err_msg=name)


def opened_again(path):
    (layer,) = ViewerModel().open(str(path), plugin=PLUGIN)
    return layer


def test_a_stack_through_widget_script_and_command_line(make_napari_viewer, run_to_end, ome_tiff, tiny_prior, tmp_path, capsys):
    viewer = make_napari_viewer()
    (source,) = viewer.open(str(ome_tiff), plugin=PLUGIN)
    assert source.axis_labels == tuple("tczyx")
    np.testing.assert_allclose(source.scale, (2, 1, 0.5, 0.2, 0.1))
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Restore image")
    widget.show_recipe(Recipe(options={"steps": 2}, noise=20.0, samples=2, device="cpu", prior=str(tiny_prior)))
    run_to_end(widget)
    by_widget = viewer.layers[f"{source.name} restored"]

    image, place, _ = read_image(ome_tiff)
    script = restore(image, axes=place.axes, noise=20, steps=2, samples=2, device="cpu", prior=tiny_prior)

    fast = ["--noise", "20", "--steps", "2", "--samples", "2", "--device", "cpu", "--prior", tiny_prior]
    for name in ("cli.tif", "cli.zarr"):
        assert cli.run([str(word) for word in ("restore", ome_tiff, "-o", tmp_path / name, *fast)]) == 0
        by_command = opened_again(tmp_path / name)
        assert np.asarray(by_command.data).tobytes() == script.mean.tobytes()
        same_place(by_command, source)
    assert by_widget.data.tobytes() == script.mean.tobytes()
    same_place(by_widget, source)
    same_place(viewer.layers[f"{source.name} std"], source)

    for name in ("widget.tif", "widget.zarr"):
        by_widget.save(str(tmp_path / name), plugin=PLUGIN)
        again = opened_again(tmp_path / name)
        assert np.asarray(again.data).tobytes() == script.mean.tobytes()
        same_place(again, source)
        assert again.metadata["napari-diffprior"]["recipe"]["noise"] == 20
        capsys.readouterr()
        assert cli.run(["replay", str(tmp_path / name), "--json"]) == 0
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["same"] is True


def test_a_painted_mask_is_given_to_replay(make_napari_viewer, run_to_end, image, mask, tiny_prior, tmp_path, capsys):
    write_tiff(tmp_path / "cells.tif", image.astype(np.float32), Calibration((0.5, 0.25), ("um", "um"), "yx"))
    viewer = make_napari_viewer()
    viewer.open(str(tmp_path / "cells.tif"), plugin=PLUGIN)
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Restore image")
    widget.inputs.new_mask.native.click()
    painted = widget.inputs.mask.value
    painted.data = mask
    widget.show_recipe(Recipe(options={"steps": 2}, noise=2.0, samples=1, device="cpu", prior=str(tiny_prior)))
    run_to_end(widget)
    viewer.layers["cells restored"].save(str(tmp_path / "out.tif"), plugin=PLUGIN)
    assert cli.run(["replay", str(tmp_path / "out.tif")]) == 2
    assert "give them as --image, --mask and --psf" in capsys.readouterr().err
    painted.save(str(tmp_path / "mask.tif"), plugin=PLUGIN)
    files = ["--image", str(tmp_path / "cells.tif"), "--mask", str(tmp_path / "mask.tif")]
    assert cli.run(["replay", str(tmp_path / "out.tif"), *files]) == 0
    assert cli.run(["replay", str(tmp_path / "out.tif"), *files[:2]]) == 2
    assert "the pixels differ" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [FILE, MEASURED])
def test_a_psf_of_other_pixels(make_napari_viewer, run_to_end, image, tiny_prior, tmp_path, monkeypatch, kind):
    """The widget resamples it as replay, the script and the command line do."""
    write_tiff(tmp_path / "cells.tif", image.astype(np.float32), Calibration((0.1, 0.1), ("um", "um"), "yx"))
    write_tiff(tmp_path / "psf.tif", gaussian_psf(3.0).astype(np.float32), Calibration((50, 50), ("nm", "nm"), "yx"))
    viewer = make_napari_viewer()
    (cells,) = viewer.open(str(tmp_path / "cells.tif"), plugin=PLUGIN)
    (bead,) = viewer.open(str(tmp_path / "psf.tif"), plugin=PLUGIN)
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Restore image")
    widget.show_recipe(Recipe(options={"steps": 2}, noise=2.0, samples=2, device="cpu", prior=str(tiny_prior)))
    widget.inputs.image.value, widget.inputs.task.value = cells, DEBLUR
    widget.inputs.psf.kind.value, widget.inputs.psf.layer.value = kind, bead
    widget.inputs.psf.file.value = tmp_path / "psf.tif"
    run_to_end(widget)
    made = viewer.layers["cells restored"]
    assert "2 x 2 of its own" in " ".join(made.metadata["napari-diffprior"]["psf"])
    made.save(str(tmp_path / "out.tif"), plugin=PLUGIN)
    assert cli.run(["replay", str(tmp_path / "out.tif")]) == 0
    (tmp_path / "script.py").write_text(widget.script())
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(runpy.run_path("script.py")["result"].mean, made.data)
    fast = ["--noise", "2", "--steps", "2", "--samples", "2", "--device", "cpu", "--prior", tiny_prior]
    words = ["restore", tmp_path / "cells.tif", "-o", tmp_path / "cli.tif", "--psf", tmp_path / "psf.tif", *fast]
    assert cli.run([str(word) for word in [*words, "--seed", widget.recipe().seed]]) == 0
    np.testing.assert_array_equal(read_image(tmp_path / "cli.tif")[0], made.data)
    assert widget.inputs.files() is not None
    cells.scale = (0.2, 0.2)  # other than in the file: replay could not know
    assert widget.inputs.files() is None


def test_settings_make_the_round_trip_in_the_dock(docked, tmp_path):
    other = Recipe(
        sampler="dps", options={"steps": 7}, noise="poisson-gaussian", gain=2.0, offset=100.0, read_noise=3.0, psf_sigma=1.5,
        upsample=2, saturation=4095.0, hot_pixels=True, anisotropy=2.5, samples=3, seed=9, precision="float32", batch=2,
        quantiles=True,
    )  # fmt: skip
    _, widget = docked
    widget.show_recipe(other)
    assert widget.recipe() == other
    widget.settings.save(str(tmp_path / "mine.yaml"))
    widget.settings.actions["Reset"].trigger()
    assert widget.recipe() == Recipe()
    widget.settings.load(str(tmp_path / "mine.yaml"))
    assert widget.recipe() == other


def test_copy_as_python_from_the_dock(make_napari_viewer, run_to_end, image, tiny_prior, tmp_path, monkeypatch):
    """Nothing is replaced here: the script runs as a user would run it."""
    write_tiff(tmp_path / "cells.tif", image.astype(np.float32), Calibration((0.5, 0.25), ("um", "um"), "yx"))
    viewer = make_napari_viewer()
    viewer.open(str(tmp_path / "cells.tif"), plugin=PLUGIN)
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Restore image")
    settings = {"noise": 2.0, "samples": 1, "device": "cpu", "prior": str(tiny_prior)}
    widget.show_recipe(Recipe(options={"steps": 2}, region={"y": (4, 40), "x": (10, 60)}, upsample=2, **settings))
    run_to_end(widget)
    widget.settings.actions["Copy as Python"].trigger()
    (tmp_path / "script.py").write_text(QGuiApplication.clipboard().text())
    monkeypatch.chdir(tmp_path)
    result = runpy.run_path("script.py")["result"]
    made = viewer.layers["cells restored"]
    np.testing.assert_array_equal(made.data, result.mean)
    written = opened_again(tmp_path / "cells restored.tif")
    np.testing.assert_array_equal(written.data, made.data)
    same_place(written, made)


def test_explorer_after_a_run(docked, exact, run_to_end):
    viewer, widget = docked
    _, explorer = viewer.window.add_plugin_dock_widget(PLUGIN, "Posterior explorer")
    assert explorer.message.value.startswith("No samples yet")
    widget.show_recipe(replace(FAST, samples=4, keep_samples=True))
    run_to_end(widget)
    assert explorer.samples.value is viewer.layers["cells samples"]
    assert explorer.number.max == 4
    explorer.number.value = 3
    assert viewer.dims.current_step[0] == 2
    explorer.threshold.value = 0
    assert viewer.layers["cells guess"].data.mean() > 0.9
    same_place(viewer.layers["cells guess"], viewer.layers["cells"])


def test_compare_after_a_run(qtbot, docked, exact, run_to_end, image):
    viewer, widget = docked
    run_to_end(widget)
    place = {"scale": (0.5, 0.25), "translate": (3, -7), "units": ("um", "um")}
    viewer.add_image(image + 1, name="cells reference", **place)
    _, compare = viewer.window.add_plugin_dock_widget(PLUGIN, "Compare with reference")
    compare.image.value, compare.reference.value = viewer.layers["cells restored"], viewer.layers["cells reference"]
    compare.compare.native.click()
    qtbot.waitUntil(lambda: compare._worker is None, timeout=30000)
    assert compare.table.item(0, 0).text() == "cells restored"
    assert "cells restored - cells reference" in names(viewer)
