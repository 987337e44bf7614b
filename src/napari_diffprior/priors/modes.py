"""A stationary error in independent coordinates, and what a measurement sees of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..half_grid import column_weights
from ..operators.contract import adjoint
from ..operators.identity import Identity

if TYPE_CHECKING:
    from torch import Tensor


class Modes:
    """R = S S^T with S from the Fourier modes of a padded grid to images, and A S.

    In these coordinates the error is white and what a measurement says of it is nearly diagonal, so that an iteration of
    the data step costs one pair of FFTs. Coordinates are the real and imaginary parts on the real-FFT grid, shape
    (B, C, *half grid, 2), scaled so that a plain dot product counts every mode once.

    Parameters
    ----------
    power : Tensor, shape (*half grid) or (B, 1, *half grid)
        Spectrum of R; its mean over the full grid is the pixel variance.
    grid : tuple of int
        FFT shape, of planes or of volumes.
    shape : tuple of int
        (C, H, W) or (C, D, H, W) of the images.
    operator : Operator
        With ``transfer``, ``response``, ``embed`` and ``extract``.
    """

    def __init__(self, power: Tensor, grid: tuple[int, ...], shape: Sequence[int], operator: Any) -> None:
        import torch

        self.grid, self.shape, self.operator = grid, tuple(shape), operator
        self._axes = tuple(range(-len(grid), 0))
        twice = torch.as_tensor(column_weights(grid[-1])).to(power)
        image = (power / twice).sqrt()
        data = torch.as_tensor(operator.transfer(grid)) * image
        self._white = _pairs(twice.sqrt())
        self._image, self._data, self._back = _pairs(image), _pairs(data), _pairs(data.conj() * twice)
        self._seen = operator.response(grid) * power

    def white(self, field: Tensor) -> Tensor:
        """Coordinates of a field of white noise, shape (B, C, *grid)."""
        return _times(self._spectrum(field), self._white)

    def image(self, modes: Tensor) -> Tensor:
        """S z, shape (B, C, H, W)."""
        return self._field(modes, self._image)

    def data(self, modes: Tensor) -> Tensor:
        """A S z."""
        seen: Tensor = self.operator.extract(self._field(modes, self._data))
        return seen

    def adjoint(self, data: Tensor) -> Tensor:
        """S^T A^T u."""
        return _times(self._spectrum(self.operator.embed(data)), self._back)

    def normal(self, weights: float | Tensor, like: Tensor) -> Callable[[Tensor], Tensor]:
        """Map z to z + S^T A^T W A S z: to cut out the measurement, weigh it and put it back is to weigh the grid.

        Parameters
        ----------
        weights : float or Tensor
            W.
        like : Tensor
            Measurement of the shape that W is for.
        """
        import torch
        from torch.nn.functional import pad

        inside = self.operator.embed(weights + like.new_zeros(like.shape))
        missing = [(0, self.grid[axis] - inside.shape[axis]) for axis in reversed(self._axes)]
        window = pad(inside, [width for pair in missing for width in pair])

        def system(modes: Tensor) -> Tensor:
            spectrum = self._spectrum(window * self._grid_field(modes, self._data))
            if self._back.is_complex():
                return modes + _times(spectrum, self._back)
            return torch.addcmul(modes, spectrum, self._back)

        return system

    def preconditioner(self, weight: float) -> Callable[[Tensor], Tensor]:
        """Map z to (1 + w S^T A^T A S)^-1 z, as if gaps took the same share of every mode."""
        gain = _pairs(1 / (1 + weight * self._seen))
        return lambda modes: modes * gain

    def _spectrum(self, field: Tensor) -> Tensor:
        import torch

        return torch.view_as_real(torch.fft.rfftn(field, s=self.grid, dim=self._axes, norm="ortho"))

    def _grid_field(self, modes: Tensor, gain: Tensor) -> Tensor:
        import torch

        spectrum = torch.view_as_complex(_times(modes, gain))
        field: Tensor = torch.fft.irfftn(spectrum, s=self.grid, dim=self._axes, norm="ortho")
        return field

    def _field(self, modes: Tensor, gain: Tensor) -> Tensor:
        return corner(self._grid_field(modes, gain), self.shape[1:])


class LocalModes(Modes):
    """The same where the error's deviation changes from pixel to pixel: R = diag(a) S S^T diag(a).

    Where A only leaves out pixels, an iteration costs no more; a filter after a changing a costs a pair of FFTs of its own.

    Parameters
    ----------
    power, grid, shape, operator
        As of ``Modes``, of S S^T.
    amplitude : Tensor, shape (B, C, H, W)
        a.
    """

    def __init__(self, power: Tensor, grid: tuple[int, ...], shape: Sequence[int], operator: Any, amplitude: Tensor) -> None:
        super().__init__(power, grid, shape, Identity())
        self._seen = operator.response(grid) * power
        self._measures, self._amplitude = operator, amplitude

    def image(self, modes: Tensor) -> Tensor:
        """diag(a) S z, shape (B, C, H, W)."""
        return self._amplitude * super().image(modes)

    def data(self, modes: Tensor) -> Tensor:
        """A diag(a) S z."""
        seen: Tensor = self._measures.apply(self.image(modes))
        return seen

    def adjoint(self, data: Tensor) -> Tensor:
        """S^T diag(a) A^T u."""
        return super().adjoint(self._amplitude * adjoint(self._measures, data, self.shape))

    def normal(self, weights: float | Tensor, like: Tensor) -> Callable[[Tensor], Tensor]:
        """Map z to z + S^T diag(a) A^T W A diag(a) S z."""
        if isinstance(self._measures.transfer(self.grid), float):  # pixels as they are
            inside = self._measures.embed(weights + like.new_zeros(like.shape))
            return super().normal(self._amplitude**2 * inside, self._amplitude)
        return lambda modes: modes + self.adjoint(weights * self.data(modes))


def corner(field: Tensor, sides: Sequence[int]) -> Tensor:
    """The first values along the last axes, as many as ``sides`` says: what a padded grid was padded from."""
    inside: tuple[Any, ...] = tuple(slice(side) for side in sides)
    return field[(..., *inside)]


def _pairs(gain: Tensor) -> Tensor:
    """A real gain for real and imaginary parts each, which multiplies faster than one for both; a complex one as it is."""
    import torch

    return gain if gain.is_complex() else torch.view_as_real(torch.complex(gain, gain))


def _times(modes: Tensor, gain: Tensor) -> Tensor:
    import torch

    return torch.view_as_real(torch.view_as_complex(modes) * gain) if gain.is_complex() else modes * gain
