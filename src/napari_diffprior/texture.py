"""At which spatial frequencies of an image the denoiser's error is larger: where the image has more texture."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from .half_grid import column_weights, radius

if TYPE_CHECKING:
    from torch import Tensor

LOWEST = 0.012  # cycles per pixel; coarser structure counts together
RATIO = 1.3  # of the frequencies of neighbouring rings
RINGS = 17  # up to the corner of the spectrum, 0.71 cycles per pixel
SECTORS = 6  # directions of a ring
SPREAD = 5.0  # of the factor among images, as a standard deviation, where pixels are measured as they are
HIDDEN = 20.0  # times as much at most, where a blur hides structure
ALIKE = 0.4  # difference of neighbouring factors, as a share of their spread
LARGEST = 100.0  # factor
DOUBT = 0.1  # of the power of the noise, which is not known better
BLOCK = 512  # longest side in pixels of what a periodogram is made of


def follow_texture(residual: Tensor, weights: float | Tensor, operator: Any, error: Any, overall: Tensor) -> Tensor:
    """Factor k of the error's power at each frequency, from the spectrum of one image's own residual.

    In units of the noise the residual has the power 1 + k t, where t = |H|^2 P / V is what the error P of held-out images
    adds to the noise V. k is the posterior mean of a Gaussian field on rings and directions: it is the ``overall`` factor
    +- ``SPREAD`` / |H|, because what a blur hides no earlier step could correct; neighbours are alike; and the noise of the
    periodogram is that of its number of frequencies, and ``DOUBT``. Gaps spread the excess over all frequencies, as if they
    lay at random. See docs/decisions/0016.

    Parameters
    ----------
    residual : Tensor, shape (B, ...) of a measurement
        y - A D.
    weights : float or Tensor
        1 / V, 0 where a measurement says nothing.
    operator : Operator
        A filter with gaps.
    error : Measured or MeasuredVolume
        Of held-out images.
    overall : Tensor, shape (B,)
        Factor that the sum of the residual's squares says.

    Returns
    -------
    Tensor, shape (B, 1, *half grid)
        From 1 to ``LARGEST``, on the grid of the error.
    """
    import torch
    from torch.nn.functional import embedding_bag

    counted = residual.new_ones(1, *residual.shape[1:]) if isinstance(weights, float) else (weights > 0).to(weights)
    measured, kept = _extent(error.planes_of(operator.embed(counted)))
    typical = weights if isinstance(weights, float) else (weights.flatten(1).sum(1, True) / measured).view(-1, 1, 1, 1)
    planes = error.planes_of(operator.embed(weights**0.5 * residual))
    passed, response = error.seen(operator)
    grid = error.plane_grid
    block = (min(grid[0], BLOCK), min(grid[1], BLOCK))
    places, starts, shares, frequencies = (part.to(residual.device) for part in _bags(block, residual.dtype))

    def mean(field: Tensor) -> Tensor:
        """Mean around each node, shape (B, nodes); fields (B, *half block)."""
        table = field.flatten(1).T.contiguous()
        return embedding_bag(places, table, starts, mode="sum", per_sample_weights=shares).T

    power = _periodogram(planes, block) / measured[..., None]
    twice = torch.as_tensor(column_weights(block[1])).to(power)
    level = (power.sum(1) @ twice)[:, None] / math.prod(block) - 1
    excess = (mean(power - 1) - (1 - kept) * level) / kept
    expected = mean(_resampled(typical * passed, grid, block)).clamp_min(1e-9)
    chance = (2 / (frequencies * measured) + DOUBT**2) * ((1 + expected) / (kept * expected)) ** 2
    visible = mean(_resampled(response, grid, block)).clamp_min(HIDDEN**-2).sqrt()
    overall = overall[:, None]
    # In float64, which not every device has.
    ratio, spread, noise = (part.cpu().double() for part in (excess / expected - overall, SPREAD / visible, chance))
    factor = overall + _smooth(ratio, noise, spread[0]).to(overall)
    field = _interpolated(factor.clamp(1.0, LARGEST), block)
    return _resampled(field, block, grid)[:, None]


def _extent(inside: Tensor) -> tuple[Tensor, Tensor]:
    """How many values were measured in planes (B, N, H, W), and which share of the box around them, shape (B, 1) each."""
    seen, measured = inside > 0, inside.flatten(1).sum(1).clamp_min(1)
    box = seen.amax((2, 3)).sum(1) * seen.amax((1, 3)).sum(1) * seen.amax((1, 2)).sum(1)
    return measured[:, None], (measured / box.clamp_min(1))[:, None]


@lru_cache(maxsize=4)
def _bags(block: tuple[int, int], dtype: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The frequencies around each node, where each node's begin, their shares of its mean, and how many of all it has.

    The last is (sum w)^2 / sum w^2 of the weights w over the number of frequencies: it gives the noise of the mean.
    """
    import torch

    index, share = _hats(block)
    weights = (share * torch.from_numpy(column_weights(block[1]))).flatten()
    nodes, order = index.flatten().sort(stable=True)
    starts = torch.searchsorted(nodes, torch.arange(RINGS * SECTORS))

    def total(values: Tensor) -> Tensor:
        return torch.zeros(RINGS * SECTORS, dtype=values.dtype).index_add(0, index.flatten(), values).clamp_min(1e-6)

    count = total(weights)
    frequencies = count**2 / total(share.flatten() * weights) / math.prod(block)
    places = torch.arange(index[0].numel()).repeat(len(index))[order]
    return places, starts, (weights[order] / count[nodes]).to(dtype), frequencies.to(dtype)


def _periodogram(field: Tensor, block: tuple[int, int]) -> Tensor:
    """Sum of the periodograms of the blocks of all planes side by side, shape (B, *half block)."""
    import torch
    from torch.nn.functional import pad

    rows, columns = (-(-side // length) for side, length in zip(field.shape[-2:], block, strict=True))
    whole = pad(field, (0, columns * block[1] - field.shape[-1], 0, rows * block[0] - field.shape[-2]))
    blocks = whole.unflatten(-1, (columns, block[1])).unflatten(-3, (rows, block[0])).movedim(-2, -3)
    power: Tensor = torch.fft.rfft2(blocks).abs().square().sum((1, -4, -3))
    return power


def _resampled(field: Tensor, grid: tuple[int, int], wanted: tuple[int, int]) -> Tensor:
    """A smooth field on the real-FFT grid of one size at the nearest frequencies of another's, shape (B, *half grid)."""
    import torch

    for axis, sides in ((-2, wanted[0]), (-1, wanted[1] // 2 + 1)):
        places = (torch.arange(sides, device=field.device) * (grid[axis] / wanted[axis])).round().long() % grid[axis]
        field = field.index_select(axis, places.clamp_max(field.shape[axis] - 1))
    return field.reshape(-1, *field.shape[-2:])


def _interpolated(nodes: Tensor, block: tuple[int, int]) -> Tensor:
    """Values at the nodes as a field on the real-FFT grid of a block, shape (B, *half grid)."""
    import torch

    index, share = _hats(block)
    return torch.stack([nodes[:, place] * part for place, part in zip(index.to(nodes.device), share.to(nodes), strict=True)]).sum(
        0
    )


def _smooth(excess: Tensor, chance: Tensor, spread: Tensor) -> Tensor:
    """Posterior mean of a field of prior N(0, spread^2) whose neighbours differ little, measured with variance ``chance``."""
    import torch

    alike = _neighbours().to(spread) / (ALIKE**2 * spread[:, None] * spread)
    precision = torch.diag(spread**-2 + alike.sum(1)) - alike
    found: Tensor = torch.linalg.solve(precision + torch.diag_embed(1 / chance), (excess / chance)[..., None])
    return found[..., 0]


@lru_cache(maxsize=1)
def _neighbours() -> Tensor:
    """1 for nodes next to each other on their ring or in their direction, shape (nodes, nodes)."""
    import torch

    node = torch.arange(RINGS * SECTORS).view(RINGS, SECTORS)
    alike = torch.zeros(node.numel(), node.numel())
    for one, other in ((node[:-1], node[1:]), (node, node.roll(1, 1))):
        alike[one.flatten(), other.flatten()] = 1.0
    return torch.maximum(alike, alike.T)


@lru_cache(maxsize=4)
def _hats(grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The four nodes around each frequency of the real-FFT grid, and its share in each.

    The shares are linear in the logarithm of the frequency and in the direction.
    """
    import numpy as np
    import torch

    down, right = np.fft.fftfreq(grid[0])[:, None], np.fft.rfftfreq(grid[1])[None]
    ring = np.log(np.maximum(radius(grid), LOWEST) / LOWEST) / math.log(RATIO)
    ring = np.minimum(ring, RINGS - 1.001)
    sector = (np.arctan2(down, right) / math.pi % 1.0) * SECTORS
    inner, first = ring.astype(int), sector.astype(int) % SECTORS
    out, turned = ring - inner, sector - np.floor(sector)
    nodes = [(inner + step) * SECTORS + (first + turn) % SECTORS for step in (0, 1) for turn in (0, 1)]
    shares = [near * part for near in (1 - out, out) for part in (1 - turned, turned)]
    return torch.from_numpy(np.stack(nodes)), torch.from_numpy(np.stack(shares))
