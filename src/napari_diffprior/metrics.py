"""How far a restoration is from a reference: PSNR, SSIM, LPIPS, and the coverage of an interval."""

from __future__ import annotations

import math
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from torch import Tensor

Array = np.ndarray[Any, Any]

WEIGHTS_VARIABLE = "NAPARI_DIFFPRIOR_LPIPS"
_BACKBONE, _HEADS = "squeeze.backbone.pth", "squeeze.lin.v0.1.pth"
# SqueezeNet 1.1 by the seven features that LPIPS compares; a number is a fire module, "pool" a 3 x 3 maximum at step 2.
_SLICES: tuple[tuple[str, ...], ...] = (("pool", "3", "4"), ("pool", "6", "7"), ("pool", "9"), ("10",), ("11",), ("12",))
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_SMALLEST = 32


def psnr(restored: ArrayLike, reference: ArrayLike, data_range: float | None = None) -> float:
    """Peak signal-to-noise ratio, 10 log10(range^2 / mean squared error).

    Parameters
    ----------
    restored, reference : array_like, same shape
        Images in the same units.
    data_range : float, optional
        Range of the intensities; by default maximum minus minimum of the reference.

    Returns
    -------
    float
        Decibels; infinite for identical images.

    Raises
    ------
    ValueError
        If the shapes differ, or the range is not positive.
    """
    from skimage.metrics import peak_signal_noise_ratio

    first, second, span = _pair(restored, reference, data_range)
    if np.array_equal(first, second):
        return math.inf
    return float(peak_signal_noise_ratio(second, first, data_range=span))


def ssim(restored: ArrayLike, reference: ArrayLike, data_range: float | None = None, *, channel_axis: int | None = None) -> float:
    """Structural similarity in windows of 7 pixels, averaged over the image.

    Parameters
    ----------
    restored, reference : array_like, same shape
        Images in the same units; every axis but the colour has at least 7 pixels.
    data_range : float, optional
        Range of the intensities; by default maximum minus minimum of the reference.
    channel_axis : int, optional
        Axis of the colours; None for grey.

    Returns
    -------
    float
        At most 1, which is identity.

    Raises
    ------
    ValueError
        If the shapes differ, the range is not positive or the image is smaller than the window.

    References
    ----------
    Wang, Bovik, Sheikh & Simoncelli, Image quality assessment: from error visibility to structural similarity,
    IEEE Transactions on Image Processing 13 (2004), equation 13.
    """
    from skimage.metrics import structural_similarity

    first, second, span = _pair(restored, reference, data_range)
    return float(structural_similarity(second, first, data_range=span, channel_axis=channel_axis))


def lpips(
    restored: ArrayLike, reference: ArrayLike, weights: str | Path | None = None, *, data_range: float | None = None
) -> float:
    """Learned perceptual distance between two images, by the features of SqueezeNet 1.1; smaller is closer.

    Parameters
    ----------
    restored, reference : array_like, shape (H, W) or (H, W, 3)
        Images in the same units, at least 32 pixels high and wide.
    weights : str or Path, optional
        Folder with ``squeeze.backbone.pth`` and ``squeeze.lin.v0.1.pth``; by default the one that the environment
        variable ``NAPARI_DIFFPRIOR_LPIPS`` names, else ``benchmarks/lpips_squeeze`` of a source checkout.
    data_range : float, optional
        Range of the intensities; by default maximum minus minimum of the reference, which is mapped to [-1, 1].

    Returns
    -------
    float
        0 for identical images.

    Raises
    ------
    FileNotFoundError
        If the weights are in none of these places.
    ValueError
        If the shapes differ or do not fit, or the range is not positive.

    Notes
    -----
    The network saw photographs, not micrographs: use it to compare methods, beside PSNR and SSIM.

    References
    ----------
    Zhang, Isola, Efros, Shechtman & Wang, The unreasonable effectiveness of deep features as a perceptual metric,
    CVPR 2018, equation 1; Iandola et al., SqueezeNet, arXiv:1602.07360.
    """
    import torch

    first, second, span = _pair(restored, reference, data_range)
    if first.ndim not in (2, 3) or (first.ndim == 3 and first.shape[2] != 3) or min(first.shape[:2]) < _SMALLEST:
        raise ValueError(f"LPIPS takes images of shape (H, W) or (H, W, 3) from {_SMALLEST} pixels on, not {first.shape}.")
    low = float(second.min())
    images = (torch.from_numpy(2 * (array - low) / span - 1).float() for array in (first, second))
    colours = [image.expand(3, -1, -1) if image.ndim == 2 else image.permute(2, 0, 1) for image in images]
    return float(lpips_distance(colours[0][None], colours[1][None], weights))


def lpips_distance(first: Tensor, second: Tensor, weights: str | Path | None = None) -> Tensor:
    """LPIPS of two batches of colour images.

    Parameters
    ----------
    first, second : Tensor, shape (B, 3, H, W)
        Images in [-1, 1].
    weights : str or Path, optional
        As for `lpips`.

    Returns
    -------
    Tensor, shape (B,)
        One distance for each pair.
    """
    import torch

    backbone, heads = _load(_weights_folder(weights))
    distance = torch.zeros(len(first))
    with torch.no_grad():
        pairs = zip(_features(first, backbone), _features(second, backbone), heads, strict=True)
        for one, other, head in pairs:
            difference = (_unit_length(one) - _unit_length(other)) ** 2
            distance = distance + torch.nn.functional.conv2d(difference, head).mean((1, 2, 3))
    return distance


def coverage(low: ArrayLike, high: ArrayLike, reference: ArrayLike) -> float:
    """Fraction of the pixels of a reference that lie in an interval, its ends included.

    Parameters
    ----------
    low, high : array_like, same shape as the reference
        Ends of the interval at each pixel, for example mean - std and mean + std.
    reference : array_like
        The truth. A well calibrated interval of one standard deviation covers 0.68 of a Gaussian's draws.

    Raises
    ------
    ValueError
        If the shapes differ or there are no pixels.
    """
    bottom, top, truth = np.asarray(low), np.asarray(high), np.asarray(reference)
    if not bottom.shape == top.shape == truth.shape or not truth.size:
        raise ValueError(f"low {bottom.shape}, high {top.shape} and reference {truth.shape} must be of one shape, with pixels.")
    return float(((bottom <= truth) & (truth <= top)).mean())


def _pair(restored: ArrayLike, reference: ArrayLike, data_range: float | None) -> tuple[Array, Array, float]:
    """Both images in float64, and the range of the intensities."""
    first, second = np.asarray(restored, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if first.shape != second.shape or not first.size:
        raise ValueError(f"the restored image {first.shape} and the reference {second.shape} must be of one shape, with pixels.")
    span = float(np.ptp(second)) if data_range is None else float(data_range)
    if not (math.isfinite(span) and span > 0):
        raise ValueError(f"the range of the intensities must be positive, not {span:g}; is the reference constant?")
    return first, second, span


def _weights_folder(weights: str | Path | None) -> Path:
    """First folder that is named, by the caller, the environment or the source checkout; it must hold both files."""
    checkout = Path(__file__).parents[2] / "benchmarks" / "lpips_squeeze"
    folder = Path(weights or os.environ.get(WEIGHTS_VARIABLE) or checkout)
    if not all((folder / name).is_file() for name in (_BACKBONE, _HEADS)):
        raise FileNotFoundError(
            f"LPIPS needs {_BACKBONE} and {_HEADS}, which are not in {folder}: "
            f"take them from benchmarks/lpips_squeeze of the source and name their folder in {WEIGHTS_VARIABLE}."
        )
    return folder.resolve()


@lru_cache(maxsize=2)
def _load(folder: Path) -> tuple[dict[str, Tensor], list[Tensor]]:
    import torch

    backbone, heads = (torch.load(folder / name, map_location="cpu", weights_only=True) for name in (_BACKBONE, _HEADS))
    return backbone, [heads[f"lin{level}.model.1.weight"] for level in range(len(_SLICES) + 1)]


def _features(image: Tensor, weights: dict[str, Tensor]) -> list[Tensor]:
    """The seven feature maps of images in [-1, 1], each of shape (B, C, h, w)."""
    from torch.nn.functional import conv2d, max_pool2d

    shift, scale = (image.new_tensor(values)[:, None, None] for values in (_SHIFT, _SCALE))
    x = conv2d((image - shift) / scale, weights["0.weight"], weights["0.bias"], stride=2).relu()
    found = [x]
    for layers in _SLICES:
        for layer in layers:
            x = max_pool2d(x, 3, stride=2, ceil_mode=True) if layer == "pool" else _fire(x, layer, weights)
        found.append(x)
    return found


def _fire(x: Tensor, layer: str, weights: dict[str, Tensor]) -> Tensor:
    """Fire module (SqueezeNet, section 3.2): squeeze to few channels, expand by 1 x 1 and 3 x 3 filters."""
    import torch

    def convolve(x: Tensor, part: str, padding: int = 0) -> Tensor:
        weight, bias = (weights[f"{layer}.{part}.{kind}"] for kind in ("weight", "bias"))
        return torch.nn.functional.conv2d(x, weight, bias, padding=padding).relu()

    x = convolve(x, "squeeze")
    return torch.cat([convolve(x, "expand1x1"), convolve(x, "expand3x3", padding=1)], dim=1)


def _unit_length(features: Tensor) -> Tensor:
    return features / (features.square().sum(1, keepdim=True).sqrt() + 1e-10)
