"""A denoiser made of tiles: any image size, memory that does not grow with it, no seams."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .priors.contract import Covariance, Denoiser

Corner = tuple[int, int, int]  # sample, top, left
MULTIPLE = 8  # of pixels, in grown tiles: networks halve the resolution several times
LONGEST = 4.0  # patches in a grown tile
GROWN_OVERLAP = 1 / 16
BATCH_PIXELS = 2**16  # in one call of the network on a CPU: beyond, tensors are mapped anew each time, for a sixth of the time
BYTES_PER_PIXEL = 10_000  # of a call with its gradient, float32; decides how much of a GPU's free memory a batch may take
NO_MEMORY = ("allocate memory", "not enough memory", "out of memory")  # what a CPU says on Linux and on Windows, and Metal


def starts(length: int, tile: int, overlap: float) -> list[int]:
    """First pixels of tiles that cover a length evenly with at least the given share of overlap."""
    if length <= tile:
        return [0]
    count = -(-(length - tile) // max(1, int(tile * (1 - overlap)))) + 1
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]


def lay_out(length: int, tile: int, longest: int, overlap: float) -> tuple[int, list[int]]:
    """Side and first pixels of the tiles along one axis.

    A network serves larger tiles than the patches of its training nearly as well, at a fraction of the work that many
    small overlapping ones cost; so tiles grow to cover the length with as few as ``longest`` allows.

    Parameters
    ----------
    length : int
        Pixels of the image.
    tile, longest : int
        Shortest and longest side of a tile.
    overlap : float
        Least share of overlap between neighbours.
    """
    side = max(tile, min(length, longest))
    if length > longest > tile:
        count = len(starts(length, longest, overlap))
        side = min(longest, math.ceil(length / (1 + (count - 1) * (1 - overlap)) / MULTIPLE) * MULTIPLE)
    return side, starts(length, side, overlap)


def hann(tile: tuple[int, int], like: Tensor) -> Tensor:
    """Separable Hann window that is positive everywhere, shape (h, w)."""
    import torch

    lines = [torch.hann_window(side + 1, periodic=True, dtype=torch.float64)[1:] for side in tile]
    return torch.outer(*(line.clamp_min(1e-3) for line in lines)).to(like)


@dataclass(frozen=True)
class Cover:
    """Tiles over a plane, their window, and the sum of all windows."""

    tile: tuple[int, int]
    places: tuple[tuple[int, int], ...]
    window: Tensor
    total: Tensor

    def gather(self, x: Tensor, corners: Sequence[Corner]) -> Tensor:
        """Stack of tiles cut out of a batch of images."""
        import torch

        (height, width), empty = self.tile, x.new_empty(len(corners), x.shape[1], *self.tile)
        for out, (b, top, left) in zip(empty, corners, strict=True):
            out.copy_(x[b, :, top : top + height, left : left + width])
        return empty.contiguous(memory_format=torch.channels_last)

    def add(self, into: Tensor, tiles: Tensor, corners: Sequence[Corner]) -> None:
        """Add windowed tiles to a batch of images."""
        for (b, top, left), tile in zip(corners, tiles, strict=True):
            into[b, :, top : top + self.tile[0], left : left + self.tile[1]].addcmul_(tile, self.window)


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
    longest : int, optional
        Side up to which tiles grow to cover the image with fewer; by default they keep their shape.
    """

    inner: Denoiser
    tile: tuple[int, int] | None = None
    overlap: float = 0.5
    batch: int = 16
    on_tile: Callable[[], None] | None = None
    longest: int | None = None
    halved: int = field(default=0, init=False)
    _cover: tuple[Any, Cover] | None = field(default=None, init=False, repr=False)
    _pixels: int = field(default=BATCH_PIXELS, init=False, repr=False)

    def __post_init__(self) -> None:
        """Take over the inner prior's properties."""
        self.differentiable = getattr(self.inner, "differentiable", True)
        self.sigma_min, self.sigma_max = self.inner.sigma_min, self.inner.sigma_max
        self.channels, self.ndim, self.patch = self.inner.channels, self.inner.ndim, self.inner.patch
        if self.tile is None and self.inner.patch is not None:
            self.tile = (self.inner.patch[0], self.inner.patch[1])

    @classmethod
    def grown(cls, inner: Denoiser, on_tile: Callable[[], None] | None = None) -> TiledDenoiser:
        """Tiles that grow with the image: the default of a restoration; see docs/decisions/0003."""
        longest = None if inner.patch is None else round(LONGEST * inner.patch[0])
        return cls(inner, overlap=GROWN_OVERLAP, on_tile=on_tile, longest=longest)

    def error(self, sigma: float, shape: Sequence[int], like: Tensor) -> Covariance:
        """Error covariance of the inner prior."""
        return self.inner.error(sigma, shape, like)

    def coverage_factor(self, sigma: float, sharpness: float = 1.0, level: float = 0.9) -> float | None:
        """Coverage factor of the inner prior; None if it has none."""
        ask = getattr(self.inner, "coverage_factor", None)
        return None if ask is None else ask(sigma, sharpness, level)

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Blend of the denoised tiles, shape of x; differentiable in x."""
        if self.tile is None:
            return self.inner(x, sigma)
        padded, crop = _pad_to_tile(x, self.tile)
        cover = self.cover(padded)
        if len(cover.places) == 1 and len(x) <= self._batch(cover):
            if self.on_tile is not None:
                self.on_tile()
            try:
                return self.inner(padded, sigma)[crop]
            except RuntimeError as error:
                self._halve(len(x), error)
        blended: Tensor = _function().apply(padded, sigma, self, cover)
        return blended[crop]

    def cover(self, x: Tensor) -> Cover:
        """Tiles for images (B, C, H, W); the last one made is kept."""
        key = (x.shape[-2:], x.dtype, x.device)
        if self._cover is None or self._cover[0] != key:
            self._cover, self._pixels = (key, self._make_cover(x)), batch_pixels(x.device)
        return self._cover[1]

    def _make_cover(self, x: Tensor) -> Cover:
        assert self.tile is not None
        rows, columns = (
            lay_out(length, side, max(side, self.longest or 0), self.overlap)
            for length, side in zip(x.shape[-2:], self.tile, strict=True)
        )
        places = tuple((top, left) for top in rows[1] for left in columns[1])
        window = hann((rows[0], columns[0]), x)
        total = x.new_zeros(x.shape[-2:])
        for top, left in places:
            total[top : top + rows[0], left : left + columns[0]] += window
        return Cover((rows[0], columns[0]), places, window, total)

    def _batch(self, cover: Cover) -> int:
        """Tiles in one call: as many as asked for, fewer where tiles have grown."""
        if self.longest is None:
            return self.batch
        return max(1, min(self.batch, self._pixels // (cover.tile[0] * cover.tile[1])))

    def report(self) -> dict[str, Any]:
        """Shape of the tiles, tiles in one call, and how often that was halved for want of memory."""
        if self._cover is None:
            return {}
        cover = self._cover[1]
        return {"shape": list(cover.tile), "count": len(cover.places), "batch": self._batch(cover), "halved": self.halved}

    def batches(self, count: int, cover: Cover, work: Callable[[list[Corner]], None]) -> None:
        """Do ``work`` on batches of corners of ``count`` images, halving the batch when memory runs out."""
        todo = [(b, top, left) for b in range(count) for top, left in cover.places]
        while todo:
            if self.on_tile is not None:
                self.on_tile()
            size = self._batch(cover)
            try:
                work(todo[:size])
            except RuntimeError as error:
                self._halve(size, error)
                continue
            todo = todo[size:]

    def _halve(self, size: int, error: RuntimeError) -> None:
        """Take half as many tiles if an error says that the memory did not suffice, or raise it again."""
        if size == 1 or not lacks_memory(error):
            raise error
        self.batch, self.halved = size // 2, self.halved + 1


def batch_pixels(device: torch.device) -> int:
    """Pixels in one call of the network: a fixed number on a CPU, as much as half of the free memory serves on a GPU."""
    import torch

    if device.type != "cuda":
        return BATCH_PIXELS
    served = int(torch.cuda.mem_get_info(device)[0] / 2 / BYTES_PER_PIXEL)
    return max(BATCH_PIXELS, 1 << (served.bit_length() - 1))  # a power of two: nearly always the same one


def lacks_memory(error: RuntimeError) -> bool:
    """Whether an error says that the memory did not suffice; on a GPU what is cached is given back."""
    import torch

    if isinstance(error, torch.OutOfMemoryError):
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return True
    return any(words in str(error) for words in NO_MEMORY)


def _pad_to_tile(x: Tensor, tile: tuple[int, int]) -> tuple[Tensor, tuple[Any, ...]]:
    """Pad an image that is smaller than a tile."""
    from torch.nn.functional import pad

    below, right = (max(0, side - length) for side, length in zip(tile, x.shape[-2:], strict=True))
    crop = (..., slice(0, x.shape[-2]), slice(0, x.shape[-1]))
    if not below and not right:
        return x, crop
    mode = "reflect" if below < x.shape[-2] and right < x.shape[-1] else "replicate"
    return pad(x, (0, right, 0, below), mode=mode), crop


def _levels(sigma: Tensor, corners: Sequence[Corner]) -> Tensor:
    return sigma[[b for b, _, _ in corners]]


def _function() -> Any:
    """The blend as an autograd function whose backward recomputes each tile."""
    import torch

    class Blend(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, sigma: Tensor, denoiser: TiledDenoiser, cover: Cover) -> Tensor:
            ctx.save_for_backward(x, sigma)
            ctx.denoiser, ctx.cover = denoiser, cover
            blended = torch.zeros_like(x)

            def work(corners: list[Corner]) -> None:
                cover.add(blended, denoiser.inner(cover.gather(x, corners), _levels(sigma, corners)), corners)

            denoiser.batches(len(x), cover, work)
            return blended.div_(cover.total)

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
            (x, sigma), cover = ctx.saved_tensors, ctx.cover
            pulled = torch.zeros_like(x)
            weighted = gradient / cover.total

            def work(corners: list[Corner]) -> None:
                with torch.enable_grad():
                    tiles = cover.gather(x.detach(), corners).requires_grad_()
                    denoised = ctx.denoiser.inner(tiles, _levels(sigma, corners))
                    (vjp,) = torch.autograd.grad(denoised, tiles, cover.window * cover.gather(weighted, corners))
                for (b, top, left), tile in zip(corners, vjp, strict=True):
                    pulled[b, :, top : top + cover.tile[0], left : left + cover.tile[1]] += tile

            ctx.denoiser.batches(len(x), cover, work)
            return pulled, None, None, None

    return Blend
