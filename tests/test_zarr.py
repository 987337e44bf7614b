"""OME-Zarr in and out, and files that are read in parts."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_diffprior.io import (
    Calibration,
    check_output,
    check_writable,
    file_hash,
    open_image,
    read_image,
    read_metadata,
    write_image,
    write_tiff,
    write_zarr,
)

AXES = ["yx", "zyx", "tyx", "cyx", "tzyx", "ctyx", "tczyx", "ztcyx", "syx", "yxc", "xy", "xzy"]
DTYPES = ["uint8", "uint16", "int32", "float32", "float64", "bool"]


@st.composite
def pictures(draw: st.DrawFn) -> tuple[Any, Calibration]:
    axes = draw(st.sampled_from(AXES))
    shape = tuple(draw(st.integers(1, 4)) for _ in axes)
    array = np.random.default_rng(draw(st.integers(0, 9))).integers(0, 2, shape).astype(draw(st.sampled_from(DTYPES)))
    numbers = st.floats(1e-3, 1e3)
    units = tuple(draw(st.sampled_from(["pixel", "um", "micrometer", "nm", "s"])) for _ in axes)
    return array, Calibration(tuple(draw(numbers) for _ in axes), units, axes, tuple(draw(numbers) for _ in axes))


@settings(max_examples=30, deadline=None)
@given(pictures())
def test_round_trip(picture: tuple[Any, Calibration]) -> None:
    array, place = picture
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.ome.zarr")
        write_zarr(path, array, place, {"napari-diffprior": {"seed": 1}})
        back, found, metadata = read_image(path)
        assert read_metadata(path) == metadata == {"napari-diffprior": {"seed": 1}}
        assert [entry.name for entry in Path(folder).iterdir()] == ["a.ome.zarr"]
    assert back.dtype == array.dtype
    assert found == place.reordered(found.axes)
    np.testing.assert_array_equal(np.transpose(back, [found.axes.index(letter) for letter in place.axes]), array)


def test_other_programs_find_axes_scale_and_place(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.zarr"
    place = Calibration((1.0, 2.0, 0.1, 0.2), ("pixel", "s", "um", "um"), "ctyx", (0.0, 0.0, 5.0, 6.0))
    write_zarr(path, np.zeros((2, 3, 8, 9), "float32"), place)
    stored = json.loads((path / "zarr.json").read_text())
    assert stored["zarr_format"] == 3
    ome = stored["attributes"]["ome"]
    assert ome["version"] == "0.5"
    (image,) = ome["multiscales"]
    assert image["axes"] == [
        {"name": "t", "type": "time", "unit": "second"},
        {"name": "c", "type": "channel"},
        {"name": "y", "type": "space", "unit": "micrometer"},
        {"name": "x", "type": "space", "unit": "micrometer"},
    ]
    (level,) = image["datasets"]
    assert level["coordinateTransformations"] == [
        {"type": "scale", "scale": [2.0, 1.0, 0.1, 0.2]},
        {"type": "translation", "translation": [0.0, 0.0, 5.0, 6.0]},
    ]
    array = zarr.open_group(path, mode="r")[level["path"]]
    assert array.shape == (3, 2, 8, 9)
    assert array.metadata.dimension_names == ("t", "c", "y", "x")
    assert array.chunks == (1, 1, 8, 9)


@pytest.mark.parametrize(("version", "zarr_format"), [("0.4", 2), ("0.5", 3)])
def test_files_of_other_programs(tmp_path: Path, version: str, zarr_format: Any) -> None:
    group = zarr.create_group(tmp_path / "b.zarr", zarr_format=zarr_format)
    group.create_array("s0", shape=(2, 6, 7), chunks=(1, 6, 7), dtype="uint16", fill_value=3)
    steps = [{"type": "scale", "scale": [2.0, 0.5, 0.25]}, {"type": "translation", "translation": [1.0, 2.0, 3.0]}]
    axes = [{"name": "z", "type": "space", "unit": "nanometer"}, *({"name": n, "type": "space"} for n in "yx")]
    image = {"version": version, "axes": axes, "datasets": [{"path": "s0", "coordinateTransformations": steps}]}
    group.attrs.update({"multiscales": [image]} if version == "0.4" else {"ome": {"version": version, "multiscales": [image]}})
    array, place, metadata = open_image(tmp_path / "b.zarr")
    assert place == Calibration((2.0, 0.5, 0.25), ("nm", "pixel", "pixel"), "zyx", (1.0, 2.0, 3.0))
    assert metadata == {} == read_metadata(tmp_path / "b.zarr")
    assert isinstance(array, zarr.Array)
    assert (np.asarray(array[1]) == 3).all()
    plain = zarr.create_array(tmp_path / "c.zarr", shape=(4, 5), dtype="uint8")
    plain[:] = 2
    assert read_image(tmp_path / "c.zarr")[1] == Calibration.pixels(2)


@pytest.mark.parametrize("shape", [(2, 1, 3, 8, 9), (1, 1, 1, 8, 9), (1, 2, 3, 1, 9)])
def test_a_tiff_is_read_in_parts(tmp_path: Path, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.random.default_rng(0).integers(0, 9, shape).astype(np.uint16)
    write_tiff(tmp_path / "ours.tif", array, Calibration.pixels(5, "tczyx"))
    sizes = {"axes": "TCZYX", "TimeIncrement": 3.0, "TimeIncrementUnit": "s", "PhysicalSizeX": 0.5}
    tifffile.imwrite(tmp_path / "other.ome.tif", array, photometric="minisblack", metadata=sizes)
    monkeypatch.setattr(tifffile.TiffPageSeries, "asarray", None)
    for name in ("ours.tif", "other.ome.tif"):
        opened, place, _ = open_image(tmp_path / name)
        assert opened.shape == tuple(side for side, letter in zip(shape, "tczyx", strict=True) if letter in place.axes)
        index = tuple({"t": slice(0, 1), "c": 0, "z": slice(None), "y": slice(0, 5), "x": 7}[letter] for letter in place.axes)
        expected = array[tuple(slice(None) if letter in place.axes else 0 for letter in "tczyx")][index]
        np.testing.assert_array_equal(opened[index], expected)
    if shape[0] > 1:
        assert place.scale[place.axes.index("t")] == 3.0
        assert place.units[place.axes.index("t")] == "s"


def test_an_old_zarr_stays_until_the_new_one_is_there(tmp_path: Path) -> None:
    path, place = tmp_path / "a.zarr", Calibration.pixels(2)
    write_image(path, np.zeros((4, 5), "float32"), place)
    before = file_hash(path)
    with pytest.raises(ValueError, match="not plain JSON"):
        write_image(path, np.ones((4, 5), "float32"), place, {"a": np.zeros(1)})
    assert file_hash(path) == before
    write_image(path, np.ones((4, 5), "float32"), place)
    assert file_hash(path) != before
    assert (read_image(path)[0] == 1).all()
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.zarr"]


def test_what_cannot_be_stored_or_read_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be stored in an OME-Zarr"):
        check_output(tmp_path / "a.zarr", (1, 2, 3, 4, 5), Calibration.pixels(5, "scuyx"))
    with pytest.raises(ValueError, match="cannot be stored"):
        check_output(tmp_path / "a.tif", (1, 2, 3, 4, 5, 6), Calibration.pixels(6, "utczyx"))
    with pytest.raises(ValueError, match="must end in"):
        check_output(tmp_path / "a.png", (4, 5), Calibration.pixels(2))
    with pytest.raises(ValueError, match="no zarr"):
        open_image(tmp_path)
    zarr.create_group(tmp_path / "empty.zarr")
    with pytest.raises(ValueError, match="without an image"):
        read_image(tmp_path / "empty.zarr")
    with pytest.raises(OSError, match="is a folder"):
        check_writable(tmp_path)
    check_output(tmp_path / "empty.zarr", (4, 5), Calibration.pixels(2))
