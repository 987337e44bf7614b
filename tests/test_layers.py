"""Layers of any axes: everything about their place is kept, and a region lies where it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from napari.layers import Image, Labels, Layer, Shapes

from napari_diffprior import restore, restore_layer
from napari_diffprior.layers import SPATIAL, layer_axes, plane_region, result_layers, shape_region
from napari_diffprior.priors.analytic import GaussianPrior

PLACE: dict[str, Any] = {
    "scale": (2.0, 1.0, 0.5, 0.2, 0.1),
    "translate": (1.0, 0.0, 2.0, 3.0, 4.0),
    "rotate": np.linalg.qr(np.eye(5) + 0.2 * np.random.default_rng(0).standard_normal((5, 5)))[0],
    "shear": 0.1 * np.arange(10),
    "affine": np.diag([1, 1, 2, 1, 1, 1.0]) + np.eye(6, k=5),
    "units": ("s", "pixel", "um", "um", "um"),
    "axis_labels": ("t", "c", "z", "y", "x"),
}


SETTINGS: dict[str, Any] = {"noise": 5.0, "steps": 2, "samples": 2, "device": "cpu"}


def prior(side: tuple[int, int]) -> GaussianPrior:
    return GaussianPrior(torch.full((1, *side), 0.3))


def run(layer: Any, mask: Any = None, side: tuple[int, int] = (12, 13), **options: Any) -> list[Any]:
    return [Layer.create(*data) for data in restore_layer(layer, mask, **{**SETTINGS, "prior": prior(side), **options})]


@pytest.fixture
def stack() -> Any:
    return np.random.default_rng(1).integers(0, 200, (2, 2, 3, 12, 13)).astype(np.uint16)


def same_place(one: Any, other: Any) -> None:
    for name in SPATIAL:
        if name in ("units", "axis_labels"):
            assert getattr(one, name) == getattr(other, name)
        else:
            first, second = (np.asarray(getattr(layer, name)) for layer in (one, other))
            np.testing.assert_allclose(first, second, atol=1e-9)


def test_a_stack_keeps_all_seven_attributes_and_a_scripts_pixels(stack: Any) -> None:
    layer = Image(stack, name="cells", **PLACE)
    expected = restore(stack, axes="tczyx", **{**SETTINGS, "prior": prior((12, 13))})
    restored, std, low, high = [Layer.create(*data) for data in result_layers(layer, expected, quantiles=True)]
    assert [made.name for made in (restored, std, low, high)] == ["cells restored", "cells std", "cells 5 %", "cells 95 %"]
    assert std.metadata["uncertainty"].startswith("not calibrated")
    for made in (restored, std, low, high):
        same_place(made, layer)
    (by_layer, _) = run(layer)
    np.testing.assert_array_equal(by_layer.data, expected.mean)
    assert layer.data is stack


def test_quantiles_and_samples_on_request(stack: Any) -> None:
    layer = Image(stack, name="cells")
    expected = restore(stack, **{**SETTINGS, "prior": prior((12, 13))})
    _, _, low, high, samples = run(layer, quantiles=True, keep_samples=True)
    assert [made.name for made in (low, high, samples)] == ["cells 5 %", "cells 95 %", "cells samples"]
    np.testing.assert_array_equal(low.data, expected.quantile(0.05))
    np.testing.assert_array_equal(high.data, expected.quantile(0.95))
    np.testing.assert_array_equal(samples.data, expected.samples)
    with pytest.raises(ValueError, match="quantiles need two samples"):
        run(layer, quantiles=True, samples=1)


def test_labels_name_the_axes(stack: Any) -> None:
    swapped = Image(np.swapaxes(stack, 0, 2), axis_labels=("z", "channel", "time", "y", "x"))
    assert layer_axes(swapped) == "zctyx"
    assert layer_axes(Image(stack)) == "tczyx"
    assert layer_axes(Image(stack[0, 0], axis_labels=("", "y", "x"))) == "zyx"
    colours = {"rgb": True, "axis_labels": ("c", "y", "x")}
    assert layer_axes(Image(np.zeros((2, 9, 9, 3)), **colours)) == "zyxc", "the colours are c already"
    np.testing.assert_array_equal(np.swapaxes(run(swapped)[0].data, 0, 2), run(Image(stack))[0].data)


def test_a_region_lies_where_it_was(stack: Any) -> None:
    layer = Image(stack, **PLACE)
    region = {"t": (1, 2), "z": (2, 3), "y": (3, 11), "x": (4, 13)}
    restored, _ = run(layer, side=(8, 9), region=region)
    corner = (1, 0, 2, 3, 4)
    for offset in ((0, 0, 0, 0, 0), (0, 1, 0, 5, 7)):
        np.testing.assert_allclose(restored.data_to_world(offset), layer.data_to_world(np.add(corner, offset)), atol=1e-9)


def test_the_current_plane_alone(stack: Any) -> None:
    layer = Image(stack, scale=(2, 1, 3, 1, 1), translate=(0, 0, 5, 0, 0))
    region = plane_region(layer, layer.data_to_world((1, 0, 2, 6, 6)))
    assert region == {"t": (1, 2), "c": (0, 1), "z": (2, 3)}
    (alone, _), (whole, _) = run(layer, region=region), run(layer)
    np.testing.assert_array_equal(alone.data[0, 0, 0], whole.data[1, 0, 2])
    with pytest.raises(ValueError, match="has no plane at t = 4"):
        plane_region(layer, (8, 0, 5, 0, 0))


def test_a_rectangle_of_a_shapes_layer(stack: Any) -> None:
    layer = Image(stack, scale=(1, 1, 1, 0.5, 0.5), translate=(0, 0, 0, 10, 20))
    shapes = Shapes([np.array([[11, 21], [11, 23], [14, 23], [14, 21]])], name="part")
    assert shape_region(layer, shapes) == {"y": (2, 9), "x": (2, 7)}
    inside = Shapes([np.array([[0, 0, 0, 2, 3], [0, 0, 0, 2, 99], [0, 0, 0, 5, 99], [0, 0, 0, 5, 3]])])
    assert shape_region(Image(stack), inside) == {"y": (2, 6), "x": (3, 13)}
    with pytest.raises(ValueError, match="lies beside"):
        shape_region(Image(stack[0, 0, 0]), shapes)
    with pytest.raises(ValueError, match="is empty"):
        shape_region(layer, Shapes(name="nothing"))
    assert shape_region(Image(stack), inside, "tcyxz") == {"y": (0, 1), "x": (2, 6)}, "axes that the user corrected"


def test_colours_come_back_as_colours() -> None:
    picture = np.random.default_rng(2).integers(0, 255, (12, 13, 3)).astype(np.uint8)
    layer = Image(picture, rgb=True, scale=(0.5, 0.25))
    mask = Labels(np.eye(12, 13, dtype=int))
    restored, std = run(layer, mask)
    assert restored.rgb
    assert restored.data.dtype == np.uint8
    assert restored.data.shape == (12, 13, 3)
    assert not std.rgb
    assert std.data.shape == (12, 13)
    same_place(restored, layer)
    same_place(std, layer)


def test_a_pyramid_is_restored_at_its_finest_level(stack: Any) -> None:
    pyramid = Image([stack, stack[..., ::2, ::2]], multiscale=True)
    np.testing.assert_array_equal(run(pyramid)[0].data, run(Image(stack))[0].data)
    gaps = np.eye(12, 13, dtype=int)
    masks = Labels([gaps, gaps[::2, ::2]], multiscale=True), Labels(gaps)
    np.testing.assert_array_equal(run(pyramid, masks[0])[0].data, run(pyramid, masks[1])[0].data)
