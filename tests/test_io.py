from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from napari_diffprior.io import (
    DTYPES,
    TIFF_SUFFIXES,
    Calibration,
    check_writable,
    file_hash,
    read_image,
    read_metadata,
    write_tiff,
)

AXES = ["yx", "zyx", "tyx", "cyx", "tzyx", "ctyx", "tczyx", "ztcyx", "syx", "ryx", "yxc", "tyxc", "szyxc"]
steps = st.floats(1e-6, 1e6, allow_nan=False)
units = st.sampled_from(["pixel", "um", "micrometer", "nm", "mm", "s", "angstrom"])
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
MICRONS = Calibration((0.2, 0.1), ("um", "um"), "yx")


@st.composite
def pictures(draw: st.DrawFn) -> tuple[Any, Calibration]:
    axes = draw(st.sampled_from(AXES))
    shape = tuple(draw(st.integers(1, 4)) for _ in axes)
    if axes.endswith("yxc"):
        shape = (*shape[:-1], draw(st.sampled_from([3, 4])))
    array = draw(npst.arrays(draw(st.sampled_from(DTYPES)), shape))
    return array, Calibration(tuple(draw(steps) for _ in axes), tuple(draw(units) for _ in axes), axes)


@settings(max_examples=100)
@given(picture=pictures(), story=st.dictionaries(st.text(), plain, max_size=3))
def test_tiff_round_trip_keeps_everything(picture: tuple[Any, Calibration], story: dict[str, Any]) -> None:
    array, calibration = picture
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.tif")
        write_tiff(path, array, calibration, {"napari-diffprior": story})
        back, place, metadata = read_image(path)
        assert [entry.name for entry in Path(folder).iterdir()] == ["a.tif"]
        assert read_metadata(path) == metadata
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)
    assert place == calibration
    assert metadata == {"napari-diffprior": json.loads(json.dumps(story))}


def test_other_programs_find_size_and_axes(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_tiff(path, np.zeros((3, 8, 9), "float32"), Calibration((2.0, 0.2, 0.1), ("um", "um", "um"), "zyx"))
    with tifffile.TiffFile(path) as tif:
        assert tif.is_ome
        assert tif.series[0].axes == "ZYX"
        pixels = tifffile.xml2dict(tif.ome_metadata)["OME"]["Image"]["Pixels"]
        assert (pixels["PhysicalSizeX"], pixels["PhysicalSizeY"], pixels["PhysicalSizeZ"]) == (0.1, 0.2, 2.0)
        assert pixels["PhysicalSizeXUnit"] == "µm"
        numerator, denominator = tif.pages.first.tags["XResolution"].value
        assert numerator / denominator == pytest.approx(1e5)


def test_pixels_are_given_no_physical_size(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", np.zeros((8, 9), "uint8"), Calibration.pixels(2))
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert "PhysicalSize" not in (tif.ome_metadata or "")


def test_ome_and_imagej_files_of_other_programs(tmp_path: Path) -> None:
    array = np.arange(24, dtype="uint16").reshape(2, 3, 4)
    sizes = {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.25}
    tifffile.imwrite(tmp_path / "ome.tif", array, ome=True, photometric="minisblack", metadata=sizes)
    tifffile.imwrite(
        tmp_path / "ij.tif", array, imagej=True, resolution=(4, 2), metadata={"axes": "ZYX", "unit": "micron", "spacing": 3.0}
    )
    for name, scale, units in (
        ("ome.tif", (1.0, 0.25, 0.5), ("pixel", "um", "nm")),
        ("ij.tif", (3.0, 0.5, 0.25), ("um", "um", "um")),
    ):
        back, place, metadata = read_image(tmp_path / name)
        np.testing.assert_array_equal(back, array)
        assert place == Calibration(scale, units, "zyx")
        assert metadata == {} == read_metadata(tmp_path / name)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".jpg", ".npy", ".tif"])
@pytest.mark.parametrize("colour", [False, True])
def test_plain_files(tmp_path: Path, suffix: str, colour: bool) -> None:
    from PIL import Image

    path, array = tmp_path / f"a{suffix}", np.full((16, 20, 3) if colour else (16, 20), 77, "uint8")
    if suffix == ".npy":
        np.save(path, array)
    else:
        Image.fromarray(array).save(path)
    back, place, metadata = read_image(path)
    assert back.shape[:2] == (16, 20)
    assert abs(float(back[0, 0].max()) - 77) <= 2
    assert metadata == {}
    if suffix != ".npy" and back.ndim == 3:
        assert place.axes == "yxc"


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tif"
    write_tiff(path, np.ones((8, 8), "float32"), MICRONS, {"run": 1})
    before = file_hash(path)

    def half_written(target: Path, *_: Any, **__: Any) -> None:
        Path(target).write_bytes(b"II*")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tifffile, "imwrite", half_written)
    with pytest.raises(OSError, match="No space"):
        write_tiff(path, np.zeros((8, 8), "float32"), MICRONS, {"run": 2})
    assert file_hash(path) == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.tif"]


def test_unwritable_outputs_are_one_sentence(tmp_path: Path) -> None:
    for path, words in ((tmp_path, "is a folder"), (tmp_path / "no" / "a.tif", "there is no folder")):
        with pytest.raises(OSError, match=words):
            check_writable(path)
    with pytest.raises(ValueError, match="must end in"):
        check_writable(tmp_path / "a.png", TIFF_SUFFIXES)
    check_writable(tmp_path / "a.tif", TIFF_SUFFIXES)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("array", "calibration", "metadata", "words"),
    [
        (np.zeros((2, 2), "int64"), MICRONS, {}, "int64 is not written"),
        (np.zeros((2, 2, 2), "uint8"), MICRONS, {}, "do not fit"),
        (np.zeros((2, 2), "uint8"), Calibration.pixels(2, "xy"), {}, "cannot be stored"),
        (np.zeros((2, 2), "uint8"), MICRONS, {"a": np.zeros(2)}, "not plain JSON"),
        (np.zeros((2, 2), "uint8"), MICRONS, {"a": float("nan")}, "not plain JSON"),
    ],
)
def test_what_cannot_be_stored_writes_nothing(
    tmp_path: Path, array: Any, calibration: Calibration, metadata: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        write_tiff(tmp_path / "a.tif", array, calibration, metadata)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_image(tmp_path / "a.tif")
    for name in ("a.tif", "a.png", "a.npy"):
        (tmp_path / name).write_bytes(b"not an image")
        with pytest.raises(ValueError, match="cannot be read as an image"):
            read_image(tmp_path / name)


@pytest.mark.parametrize("scale", [(0.0, 1.0), (-1.0, 1.0), (float("nan"), 1.0), (1.0,)])
def test_calibration_refuses_nonsense(scale: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="scale"):
        Calibration(scale, ("um", "um"), "yx")
