import numpy as np
import pytest
from napari.components import ViewerModel

from napari_diffprior.gui.files import calibration_of, get_reader
from napari_diffprior.io import Calibration, read_image, write_tiff
from napari_diffprior.layers import SPATIAL

STORY = {"napari-diffprior": {"recipe": {"seed": 3}, "misfit": [1.0]}, "other": object()}
PLUGIN = "napari-diffprior"


@pytest.fixture(autouse=True)
def plugins():
    from napari.plugins import _initialize_plugins

    _initialize_plugins()


@pytest.fixture
def layer():
    viewer = ViewerModel()
    return viewer.add_image(
        np.random.default_rng(0).random((4, 5, 6)).astype(np.float32),
        name="cells restored", scale=(2, 0.5, 0.25), translate=(1, -2, 3), rotate=(10, 20, 30), shear=(0.1, 0.2, 0.3),
        affine=[[1, 0.1, 0, 5], [0, 1.5, 0, -3], [0, 0, 1, 0], [0, 0, 0, 1]], units=("s", "um", "um"),
        axis_labels=("sample", "y", "x"), metadata=STORY, colormap="magma", contrast_limits=(0.1, 0.9),
    )  # fmt: skip


def same(one, other):
    for name in SPATIAL:
        first, second = getattr(one, name), getattr(other, name)
        if name in ("units", "axis_labels"):
            assert tuple(map(str, first)) == tuple(map(str, second)), name
        else:
            np.testing.assert_allclose(np.asarray(first), np.asarray(second), atol=1e-12, err_msg=name)


@pytest.mark.parametrize("ending", ["tif", "zarr"])
def test_a_result_opens_again_as_it_was(layer, tmp_path, ending):
    path = tmp_path / f"result.{ending}"
    assert layer.save(str(path), plugin=PLUGIN) == [str(path)]
    viewer = ViewerModel()
    (again,) = viewer.open(str(path), plugin=PLUGIN)
    np.testing.assert_array_equal(np.asarray(again.data), layer.data)
    same(layer, again)
    assert again.metadata == {"napari-diffprior": STORY["napari-diffprior"]}
    assert (again.name, again.colormap.name, tuple(again.contrast_limits)) == ("cells restored", "magma", (0.1, 0.9))
    calibration = read_image(path)[1]
    assert calibration.scale == (2, 0.5, 0.25)
    assert calibration.units == ("s", "um", "um")


def test_a_mask_opens_again_as_labels(tmp_path):
    viewer = ViewerModel()
    mask = viewer.add_labels(np.eye(8, dtype=np.int64), scale=(0.5, 0.5), metadata={"napari-diffprior": {"role": "mask"}})
    mask.save(str(tmp_path / "mask.tif"), plugin=PLUGIN)
    (again,) = viewer.open(str(tmp_path / "mask.tif"), plugin=PLUGIN)
    assert type(again).__name__ == "Labels"
    np.testing.assert_array_equal(again.data, mask.data)
    same(mask, again)
    assert again.metadata == mask.metadata


def test_files_of_others_keep_their_pixel_size(tmp_path):
    write_tiff(tmp_path / "a.tif", np.zeros((3, 4, 5), np.uint16), Calibration((2, 0.5, 0.25), ("um", "um", "um"), "zyx"))
    viewer = ViewerModel()
    (made,) = viewer.open(str(tmp_path / "a.tif"), plugin=PLUGIN)
    assert tuple(made.scale) == (2, 0.5, 0.25)
    assert made.axis_labels == ("z", "y", "x")
    assert get_reader("a.png") is None


def test_what_cannot_be_stored_is_one_sentence(tmp_path):
    viewer = ViewerModel()
    whole = viewer.add_image(np.zeros((4, 5), np.int64), name="whole numbers")
    with pytest.raises(OSError, match="int64 is not written"):
        whole.save(str(tmp_path / "a.tif"), plugin=PLUGIN)
    assert not list(tmp_path.iterdir())


def test_letters_of_axes():
    place = {"scale": (1, 1, -2), "translate": (0, 0, 0), "units": ("pixel",) * 3, "axis_labels": ("-3", "-2", "-1")}
    assert calibration_of(place, (2, 3, 4)).axes == "zyx"
    assert calibration_of(place, (2, 3, 4)).scale == (1, 1, 2)
    assert calibration_of({**place, "axis_labels": ("sample", "y", "x")}, (2, 3, 4)).axes == "syx"
    assert calibration_of({**place, "axis_labels": ("x", "y", "x")}, (2, 3, 4)).axes == "zyx"
