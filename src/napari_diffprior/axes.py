"""nD arrays as planes: axes in any order, a region of them, read one plane at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Position = tuple[int, ...]
Place = tuple[tuple[float, ...], tuple[float, ...]]
ORDER = "tcz"  # positions count in this order whatever the array's, so that a transposed array gives the same pixels
COLOURS = (3, 4)


def guess_axes(shape: Sequence[int]) -> str:
    """Axes of an array that does not say: y and x last, or y, x and three or four colours."""
    ndim = len(shape)
    if not 2 <= ndim <= 7:
        raise ValueError(f"the image has {ndim} axes: give an array of 2 to 7 axes.")
    if ndim >= 3 and shape[-1] in COLOURS and min(shape[-3:-1]) > max(COLOURS):
        return "uvtzyxc"[-ndim:]
    return "uvtczyx"[-ndim:]


def check_axes(axes: str, shape: Sequence[int]) -> str:
    """Axes in small letters.

    Raises
    ------
    ValueError
        If they do not fit the shape, repeat a letter, or lack y or x.
    """
    axes = axes.lower()
    if len(axes) != len(shape):
        raise ValueError(f"the axes {axes!r} do not fit an image of shape {tuple(shape)}: give one letter for each axis.")
    if len(set(axes)) != len(axes) or not set("yx") <= set(axes) or not axes.isalpha():
        raise ValueError(f"the axes {axes!r} cannot be used: give different letters, y and x among them, such as tczyx.")
    return axes


def place_of(axes: str, corner: Sequence[int], upsample: int = 1) -> Place:
    """Where a part of an array lies that is ``upsample`` times as fine along y and x.

    Parameters
    ----------
    axes : str
    corner : sequence of int
        First index of the part along each axis.
    upsample : int

    Returns
    -------
    first : tuple of float
        Centre of the part's first pixel, in pixels of the array whose own centres are whole numbers: a finer pixel
        lies in a corner of the coarse one.
    steps : tuple of float
        Distance of the part's pixels, in the same units.
    """
    steps = tuple(1 / upsample if letter in "yx" else 1.0 for letter in axes)
    return tuple(index + (step - 1) / 2 for index, step in zip(corner, steps, strict=True)), steps


@dataclass(frozen=True)
class Layout:
    """Where the planes of an array lie.

    Parameters
    ----------
    axes : str
        One letter for each axis of the array, such as "tczyx".
    shape : tuple of int
        Shape of the array.
    region : mapping of str to (int, int)
        First index and end of the part that is restored, by axis; the other axes are restored whole.
    core : str
        Axes that are restored together, in the order in which the core wants them.
    upsample : int
        Pixels of the result along y and x in one of the array.

    Raises
    ------
    ValueError
        If axes, shape and region do not fit each other.
    """

    axes: str
    shape: tuple[int, ...]
    region: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    core: str = "yx"
    upsample: int = 1

    def __post_init__(self) -> None:
        """Check that all fits."""
        check_axes(self.axes, self.shape)
        if missing := set(self.core) - set(self.axes):
            raise ValueError(f"the axes {self.axes!r} have no {sorted(missing)[0]}, which is needed here.")
        if self.upsample > 1 and self.core != "yx":
            raise ValueError("a stack with a 3-D PSF cannot be upsampled: set upsample = 1, or give a 2-D PSF.")
        if math.prod(self.shape) == 0:
            raise ValueError(f"the image has the shape {self.shape}: there is nothing to restore.")
        for letter, (start, stop) in self.region.items():
            if letter not in self.axes:
                raise ValueError(f"the region names the axis {letter!r}, but the image has the axes {self.axes!r}.")
            length = self.shape[self.axes.index(letter)]
            if not 0 <= start < stop <= length:
                raise ValueError(f"the region {letter} = {start}:{stop} does not lie within 0:{length}.")

    @classmethod
    def of(
        cls,
        image: Any,
        axes: str | None = None,
        region: Mapping[str, tuple[int, int]] | None = None,
        core: str = "yx",
        upsample: int = 1,
    ) -> Layout:
        """Layout of an array; its axes are guessed from the shape if they are not given."""
        shape = tuple(int(side) for side in np.shape(image))
        return cls(check_axes(axes, shape) if axes else guess_axes(shape), shape, dict(region or {}), core, upsample)

    def span(self, letter: str) -> tuple[int, int]:
        """First index and end of the restored part of an axis."""
        return self.region.get(letter, (0, self.shape[self.axes.index(letter)]))

    @property
    def corner(self) -> tuple[int, ...]:
        """First restored index of each axis."""
        return tuple(self.span(letter)[0] for letter in self.axes)

    @property
    def place(self) -> Place:
        """Where the result lies in the array."""
        return place_of(self.axes, self.corner, self.upsample)

    @property
    def result_shape(self) -> tuple[int, ...]:
        """Shape of the result, in the array's own order of axes."""
        finer = (self.upsample if letter in "yx" else 1 for letter in self.axes)
        return tuple(factor * (stop - start) for factor, (start, stop) in zip(finer, map(self.span, self.axes), strict=True))

    @property
    def leading(self) -> str:
        """Axes along which everything is restored by itself: others, then t, c and z."""
        return "".join(sorted(set(self.axes) - set(self.core), key=lambda letter: (ORDER.find(letter), letter)))

    def positions(self) -> Iterator[Position]:
        """Index of each plane along the leading axes, counted in the whole array."""
        return product(*(range(*self.span(letter)) for letter in self.leading))

    @property
    def count(self) -> int:
        """Number of planes."""
        return math.prod(stop - start for start, stop in map(self.span, self.leading))

    def source(self, position: Position) -> tuple[int | slice, ...]:
        """Index of a plane in the array."""
        at = dict(zip(self.leading, position, strict=True))
        return tuple(at[letter] if letter in at else slice(*self.span(letter)) for letter in self.axes)

    def target(self, position: Position) -> tuple[int | slice, ...]:
        """Index of a plane in the result."""
        at = dict(zip(self.leading, position, strict=True))
        return tuple(at[letter] - self.span(letter)[0] if letter in at else slice(None) for letter in self.axes)

    def read(self, array: Any, position: Position) -> Array:
        """One plane of an array of any kind, in the order of the core; nothing else of it is read."""
        return self.orient(np.asarray(array[self.source(position)]))

    def orient(self, plane: Array) -> Array:
        """What lies at a position of the array or of its mask, in the order of the core."""
        found = [letter for letter in self.axes if letter in self.core]
        return np.transpose(plane, [found.index(letter) for letter in self.core])

    def arrange(self, plane: Array) -> Array:
        """A restored plane with its axes, its last ones, in the order in which the array has them."""
        extra = plane.ndim - len(self.core)
        found = [letter for letter in self.axes if letter in self.core]
        return np.transpose(plane, [*range(extra), *(extra + self.core.index(letter) for letter in found)])

    def orient_mask(self, plane: Array) -> Array:
        """What lies at a position of the mask, in the order of the core; one plane counts for all planes of a volume."""
        if plane.ndim == len(self.core):
            return self.orient(plane)
        plane = plane.T if self.axes.index("y") > self.axes.index("x") else plane
        first, stop = self.span("z")
        return np.broadcast_to(plane, (stop - first, *plane.shape))

    def mask_of(self, mask: Any) -> Layout:
        """Layout of a mask: of the image's shape, of one plane for all of them, or without the channels.

        Raises
        ------
        ValueError
            If the mask has another shape.
        """
        part, plane = ("".join(letter for letter in self.axes if letter in core) for core in (self.core, "yx"))
        for axes in (self.axes, self.axes.replace("c", ""), part, plane):
            shape = tuple(self.shape[self.axes.index(letter)] for letter in axes)
            if tuple(np.shape(mask)) == shape:
                core = "yx" if axes == plane else self.core
                return Layout(axes, shape, {k: v for k, v in self.region.items() if k in axes}, core)
        raise ValueError(f"the mask has the shape {np.shape(mask)}, the image {self.shape}: they must be equal.")

    def named(self, position: Position) -> dict[str, int]:
        """Position by axis."""
        return dict(zip(self.leading, position, strict=True))

    def mask_source(self, mask: Any, position: Position) -> tuple[int | slice, ...]:
        """Index of the mask of a plane."""
        layout, at = self.mask_of(mask), self.named(position)
        return layout.source(tuple(at[letter] for letter in layout.leading))

    def read_mask(self, mask: Any, position: Position) -> Array | None:
        """The mask of one plane, in the order of the core; None if there is no mask."""
        return None if mask is None else self.orient_mask(np.asarray(mask[self.mask_source(mask, position)]))
