"""Any array, in any order of axes, is restored plane by plane and comes back as it was laid out."""

from __future__ import annotations

from typing import Any

import dask.array
import numpy as np
import pytest
import torch
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_diffprior import restore
from napari_diffprior.axes import Layout, guess_axes
from napari_diffprior.priors.analytic import GaussianPrior

DTYPES = ["uint8", "uint16", ">u2", "int32", ">i4", "float16", ">f4", "float64", "bool"]


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    axes = "".join(draw(st.permutations(["y", "x", *draw(st.sets(st.sampled_from("tczpu")))])))
    shape = tuple(draw(st.integers(1, 4)) for _ in axes)
    chosen = draw(st.sets(st.sampled_from(axes)))
    region = {}
    for letter in chosen:
        start = draw(st.integers(0, shape[axes.index(letter)] - 1))
        region[letter] = (start, draw(st.integers(start + 1, shape[axes.index(letter)])))
    return Layout(axes, shape, region)


@given(layouts(), st.sampled_from(DTYPES))
@settings(max_examples=150)
def test_planes_and_back(layout: Layout, dtype: str) -> None:
    array = np.random.default_rng(0).integers(0, 200, layout.shape).astype(dtype)
    result = np.zeros(layout.result_shape, dtype)
    seen = 0
    for position in layout.positions():
        plane = layout.read(array, position)
        assert plane.ndim == 2
        result[layout.target(position)] = layout.arrange(plane)
        seen += 1
    part = array[tuple(slice(*layout.span(letter)) for letter in layout.axes)]
    assert seen == layout.count
    np.testing.assert_array_equal(result, part)


def run(image: Any, mask: Any = None, **options: Any) -> Any:
    side = options.pop("side", (8, 9))
    given: dict[str, Any] = {"noise": 5.0, "steps": 2, "samples": 2, "device": "cpu"}
    return restore(image, mask, prior=GaussianPrior(torch.full((1, *side), 0.3)), **{**given, **options})


@pytest.fixture(scope="module")
def stack() -> Any:
    return np.random.default_rng(1).integers(0, 200, (2, 2, 3, 8, 9)).astype(np.uint16)


@given(st.permutations("tcz"), st.booleans())
@settings(max_examples=8, deadline=None)
def test_the_order_of_the_axes_does_not_change_the_pixels(order: list[str], transposed: bool) -> None:
    image = np.random.default_rng(1).integers(0, 200, (2, 2, 3, 8, 9)).astype(np.uint16)
    axes = "".join(order) + ("xy" if transposed else "yx")
    moved = np.transpose(image, ["tczyx".index(letter) for letter in axes])
    expected, found = run(image, axes="tczyx"), run(moved, axes=axes)
    for name in ("mean", "std"):
        np.testing.assert_array_equal(
            np.transpose(getattr(found, name), [axes.index(x) for x in "tczyx"]), getattr(expected, name)
        )
    assert found.samples.shape == (2, *moved.shape)


def test_one_plane_alone_is_the_same_as_within_the_stack(stack: Any) -> None:
    whole = run(stack, axes="tczyx")
    alone = run(stack, axes="tczyx", region={"t": (1, 2), "c": (0, 1), "z": (2, 3)})
    assert alone.mean.shape == (1, 1, 1, 8, 9)
    np.testing.assert_array_equal(alone.samples[:, 0, 0, 0], whole.samples[:, 1, 0, 2])
    assert not np.allclose(whole.std[0, 0, 0], whole.std[0, 0, 1])
    assert [plane["position"] for plane in whole.provenance["planes"]][:4] == [
        {"t": 0, "c": 0, "z": 0},
        {"t": 0, "c": 0, "z": 1},
        {"t": 0, "c": 0, "z": 2},
        {"t": 0, "c": 1, "z": 0},
    ]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type_of_number(dtype: str) -> None:
    image = np.random.default_rng(2).integers(0, 2 if dtype == "bool" else 200, (2, 8, 9)).astype(dtype)
    result = run(image, noise=0.2 if dtype == "bool" else 5.0)
    native = run(image.astype(np.float32), noise=0.2 if dtype == "bool" else 5.0)
    assert result.mean.dtype == np.float32
    np.testing.assert_allclose(result.mean, native.mean, rtol=1e-5, atol=1e-4)


def test_numbers_that_cannot_be_restored_are_refused() -> None:
    with pytest.raises(ValueError, match="real numbers"):
        run(np.ones((8, 9), complex))


class OneByOne:
    """An array that cannot be read whole."""

    def __init__(self, array: Any) -> None:
        self.array, self.shape, self.dtype, self.reads = array, array.shape, array.dtype, 0

    def __getitem__(self, index: Any) -> Any:
        part = self.array[index]
        assert part.size == 72
        self.reads += 1
        return part


def test_a_large_stack_is_never_read_whole(stack: Any) -> None:
    lazy = OneByOne(stack)
    expected = run(stack, axes="tczyx")
    np.testing.assert_array_equal(run(lazy, axes="tczyx").mean, expected.mean)
    assert lazy.reads == 12
    chunked = zarr.create_array(zarr.storage.MemoryStore(), shape=stack.shape, dtype=stack.dtype, chunks=(1, 1, 2, 8, 9))
    chunked[:] = stack
    for array in (chunked, dask.array.from_array(stack, chunks=(1, 2, 1, 4, 9))):
        np.testing.assert_array_equal(run(array, axes="tczyx").mean, expected.mean)


def test_a_mask_serves_all_planes_or_each_its_own(stack: Any) -> None:
    plane = np.random.default_rng(3).random((8, 9)) < 0.3
    shared = run(stack, plane, axes="tczyx")
    full = run(stack, np.broadcast_to(plane, stack.shape), axes="tczyx")
    np.testing.assert_array_equal(shared.samples, full.samples)
    one = np.zeros(stack.shape, bool)
    one[0, 1, 2] = plane
    partly = run(stack, one, axes="tczyx")
    np.testing.assert_array_equal(partly.samples[:, 0, 1, 2], full.samples[:, 0, 1, 2])
    np.testing.assert_array_equal(partly.samples[:, 1, 1, 2], run(stack, axes="tczyx").samples[:, 1, 1, 2])


def test_colours_are_restored_by_themselves() -> None:
    image = np.random.default_rng(4).integers(0, 200, (8, 9, 3)).astype(np.uint8)
    result = run(image, np.eye(8, 9))
    assert guess_axes(image.shape) == "yxc"
    np.testing.assert_array_equal(result.mean, np.moveaxis(run(np.moveaxis(image, -1, 0), np.eye(8, 9), axes="cyx").mean, 0, -1))


def test_a_region_is_cut_out_of_image_and_mask() -> None:
    rng = np.random.default_rng(5)
    image, mask = rng.random((20, 30)), rng.random((20, 30)) < 0.2
    result = run(image, mask, noise=0.1, region=((3, 11), (20, 29)))
    np.testing.assert_array_equal(result.samples, run(image[3:11, 20:29], mask[3:11, 20:29], noise=0.1).samples)


def test_an_empty_plane_does_not_end_a_run(stack: Any) -> None:
    image = stack[0, 0].copy()
    image[1] = 7
    result = run(image)
    assert (result.mean[1] == 7).all()
    assert (result.std[1] == 0).all()
    assert (result.samples[:, 1] == 7).all()
    np.testing.assert_array_equal(result.mean[2], run(stack[0, 0]).mean[2])
    assert result.provenance["planes"][1]["misfit"] == []


def test_gaps_of_an_even_plane_are_filled_and_an_unmeasured_plane_is_unknown(stack: Any) -> None:
    image, mask = stack[0, 0].copy(), np.zeros(stack[0, 0].shape, bool)
    image[1], mask[1, 2] = 7, True
    image[1, 2] = 65535
    mask[2] = True
    result = run(image, mask)
    assert (result.mean[1] == 7).all()
    assert np.isnan(result.mean[2]).all() and np.isnan(result.std[2]).all()
    np.testing.assert_array_equal(result.mean[0], run(stack[0, 0]).mean[0])


def test_effective_particles_are_the_mean_over_planes(stack: Any) -> None:
    image = stack[0, 0].copy()
    image[1] = 7
    result = run(image, sampler="tds", particles=4, samples=3)
    planes = [plane.get("effective_particles") for plane in result.provenance["planes"]]
    assert planes[1] is None
    assert len(result.effective) == 3
    assert all(1 <= count <= 4 for count in result.effective)
    np.testing.assert_allclose(result.effective, np.mean([planes[0], planes[2]], axis=0), atol=1e-3)
    assert run(image).effective == ()


BAD: dict[str, tuple[Any, dict[str, Any], str]] = {
    "too few letters": (np.ones((2, 8, 9)), {"axes": "yx"}, "do not fit"),
    "no x": (np.ones((2, 8, 9)), {"axes": "tzy"}, "y and x among them"),
    "twice": (np.ones((2, 8, 9)), {"axes": "yyx"}, "different letters"),
    "one axis": (np.ones(9), {}, "1 axes"),
    "region outside": (np.ones((8, 9)), {"region": ((0, 9), (0, 9))}, "does not lie within"),
    "empty region": (np.ones((8, 9)), {"region": {"x": (4, 4)}}, "does not lie within"),
    "region of no axis": (np.ones((8, 9)), {"region": {"z": (0, 1)}}, "names the axis 'z'"),
    "mask": (np.ones((2, 8, 9)), {"mask": np.zeros((3, 8, 9))}, "mask has the shape"),
    "nan in one plane": (
        np.where(np.eye(9)[None, :8] * np.arange(2)[:, None, None], np.nan, np.eye(8, 9)),
        {},
        "at z = 1: .* NaN",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_axes_are_one_sentence(case: str) -> None:
    image, options, sentence = BAD[case]
    with pytest.raises(ValueError, match=sentence):
        run(image, **options)
