"""A denoiser made of tiles: any image size, memory that does not grow with it, no seams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from .priors.contract import Covariance, Denoiser


def starts(length: int, tile: int, overlap: float) -> list[int]:
    """First pixels of tiles that cover a length evenly with at least the given share of overlap."""
    if length <= tile:
        return [0]
    count = -(-(length - tile) // max(1, int(tile * (1 - overlap)))) + 1
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]


def hann(tile: tuple[int, int], like: Tensor) -> Tensor:
    """Separable Hann window that is positive everywhere, shape (h, w)."""
    import torch

    lines = [torch.hann_window(side + 1, periodic=True, dtype=torch.float64)[1:] for side in tile]
    return torch.outer(*(line.clamp_min(1e-3) for line in lines)).to(like)


@dataclass
class TiledDenoiser:
    """D = sum_k W_k D_theta(tile_k) / sum_k W_k with Hann windows; itself a denoiser.

    State, noise and data step stay global, so that neighbouring tiles agree. The gradient is recomputed tile by
    tile, so that no graph of the whole image is held.

    Parameters
    ----------
    inner : Denoiser
    tile : (int, int), optional
        Tile shape in pixels; by default the prior's trained patch.
    overlap : float
        Least share of overlap between neighbours.
    batch : int
        Tiles in one call of the network; halved when the memory does not suffice.
    on_tile : callable, optional
        Called before each batch of tiles; a cancel raises here.
    """

    inner: Denoiser
    tile: tuple[int, int] | None = None
    overlap: float = 0.5
    batch: int = 16
    on_tile: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        """Take over the inner prior's properties."""
        self.sigma_min, self.sigma_max = self.inner.sigma_min, self.inner.sigma_max
        self.channels, self.ndim, self.patch = self.inner.channels, self.inner.ndim, self.inner.patch
        if self.tile is None and self.inner.patch is not None:
            self.tile = (self.inner.patch[0], self.inner.patch[1])

    def error(self, sigma: float, shape: Sequence[int], like: Tensor) -> Covariance:
        """Error covariance of the inner prior."""
        return self.inner.error(sigma, shape, like)

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Blend of the denoised tiles, shape of x; differentiable in x."""
        if self.tile is None:
            return self.inner(x, sigma)
        padded, crop = _pad_to_tile(x, self.tile)
        if padded.shape[-2:] == self.tile:
            return self.inner(padded, sigma)[crop]
        blended: Tensor = _function().apply(padded, sigma, self)
        return blended[crop]

    def corners(self, shape: Sequence[int]) -> list[tuple[int, int, int]]:
        """(sample, top, left) of every tile of a batch of images (B, C, H, W)."""
        assert self.tile is not None
        tops = starts(shape[-2], self.tile[0], self.overlap)
        lefts = starts(shape[-1], self.tile[1], self.overlap)
        return [(b, top, left) for b in range(shape[0]) for top in tops for left in lefts]

    def batches(self, shape: Sequence[int], work: Callable[[list[tuple[int, int, int]]], None]) -> None:
        """Do ``work`` on batches of corners, halving the batch when memory runs out."""
        import torch

        todo = self.corners(shape)
        while todo:
            if self.on_tile is not None:
                self.on_tile()
            try:
                work(todo[: self.batch])
            except torch.OutOfMemoryError:
                if self.batch == 1:
                    raise
                self.batch //= 2
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
                continue
            todo = todo[self.batch :]


def _pad_to_tile(x: Tensor, tile: tuple[int, int]) -> tuple[Tensor, tuple[Any, ...]]:
    """Pad an image that is smaller than a tile."""
    from torch.nn.functional import pad

    below, right = (max(0, side - length) for side, length in zip(tile, x.shape[-2:], strict=True))
    crop = (..., slice(0, x.shape[-2]), slice(0, x.shape[-1]))
    if not below and not right:
        return x, crop
    mode = "reflect" if below < x.shape[-2] and right < x.shape[-1] else "replicate"
    return pad(x, (0, right, 0, below), mode=mode), crop


def _windows(denoiser: TiledDenoiser, x: Tensor) -> tuple[Tensor, Tensor]:
    """Window of a tile, and the sum of all windows over the image."""
    assert denoiser.tile is not None
    window = hann(denoiser.tile, x)
    total = x.new_zeros(x.shape[-2:])
    for _, top, left in denoiser.corners((1, *x.shape[1:])):
        total[top : top + window.shape[0], left : left + window.shape[1]] += window
    return window, total


def _gather(x: Tensor, corners: Sequence[tuple[int, int, int]], tile: tuple[int, int]) -> Tensor:
    import torch

    return torch.stack([x[b, :, top : top + tile[0], left : left + tile[1]] for b, top, left in corners])


def _add(into: Tensor, tiles: Tensor, corners: Sequence[tuple[int, int, int]]) -> None:
    for (b, top, left), tile in zip(corners, tiles, strict=True):
        into[b, :, top : top + tile.shape[-2], left : left + tile.shape[-1]] += tile


def _function() -> Any:
    """The blend as an autograd function whose backward recomputes each tile."""
    import torch

    class Blend(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, sigma: Tensor, denoiser: TiledDenoiser) -> Tensor:
            ctx.save_for_backward(x, sigma)
            ctx.denoiser = denoiser
            window, total = _windows(denoiser, x)
            blended = torch.zeros_like(x)

            def work(corners: list[tuple[int, int, int]]) -> None:
                levels = sigma[[b for b, _, _ in corners]]
                _add(blended, window * denoiser.inner(_gather(x, corners, (window.shape[-2], window.shape[-1])), levels), corners)

            denoiser.batches(x.shape, work)
            return blended / total

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
            x, sigma = ctx.saved_tensors
            window, total = _windows(ctx.denoiser, x)
            pulled = torch.zeros_like(x)
            weighted = gradient / total

            def work(corners: list[tuple[int, int, int]]) -> None:
                with torch.enable_grad():
                    tiles = _gather(x, corners, (window.shape[-2], window.shape[-1])).detach().requires_grad_()
                    denoised = ctx.denoiser.inner(tiles, sigma[[b for b, _, _ in corners]])
                    along = window * _gather(weighted, corners, (window.shape[-2], window.shape[-1]))
                    (vjp,) = torch.autograd.grad(denoised, tiles, along)
                _add(pulled, vjp, corners)

            ctx.denoiser.batches(x.shape, work)
            return pulled, None, None

    return Blend
