"""A small plot of losses over steps; napari brings no plotting library."""

import math
from typing import Any

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

COLOURS = ("#3b8eea", "#e8913a")
Point = tuple[float, float]


class Curve(QWidget):
    """Lines over a common horizontal axis, the vertical one logarithmic.

    Parameters
    ----------
    names : sequence of str
        Names of the lines, which the legend shows.
    """

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.lines: dict[str, list[Point]] = {name: [] for name in names}
        self.setMinimumHeight(8 * self.fontMetrics().lineSpacing())
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip("Loss over steps, logarithmic; the validation loss is of images that were held out.")
        self.setAccessibleName("Loss over steps")

    def add(self, name: str, step: float, value: float) -> None:
        """Add a point to a line; what has no logarithm is left out."""
        if value > 0 and math.isfinite(value):
            self.lines[name].append((step, value))
            self.update()

    def clear(self) -> None:
        """Remove all points."""
        for line in self.lines.values():
            line.clear()
        self.update()

    def _range(self) -> tuple[float, float, float]:
        """Last step, and the logarithms of the losses from and to."""
        points = [point for line in self.lines.values() for point in line]
        values = [math.log10(value) for _, value in points]
        low, high = min(values), max(values)
        return max(1.0, *(step for step, _ in points)), low - 0.05, max(high, low + 0.2) + 0.05

    def paintEvent(self, event: Any) -> None:
        """Draw frame, ticks, lines and legend in the colours of the theme."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        left, row = self.fontMetrics().horizontalAdvance("0.0000") + 6, self.fontMetrics().height()
        box = QRectF(left, row / 2, self.width() - left - 8, self.height() - 2 * row)
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        faint = QColor(ink)
        faint.setAlphaF(0.35)
        painter.setPen(QPen(faint, 1))
        painter.drawRect(box)
        painter.setPen(ink)
        if not any(self.lines.values()):
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, "The loss appears here.")
            return
        self._ticks(painter, box)
        self._legend(painter, box)
        for line, colour in zip(self.lines.values(), COLOURS, strict=False):
            self._line(painter, box, line, QColor(colour))

    def _ticks(self, painter: QPainter, box: QRectF) -> None:
        last, low, high = self._range()
        row = self.fontMetrics().height()
        for share in (0.0, 0.5, 1.0):
            place = QRectF(0, box.bottom() - share * box.height() - row / 2, box.left() - 4, row)
            text = f"{10 ** (low + share * (high - low)):.2g}"
            painter.drawText(place, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, text)
        below = QRectF(box.left(), box.bottom() + 2, box.width(), row)
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, f"step {last:,.0f}")

    def _legend(self, painter: QPainter, box: QRectF) -> None:
        metrics, x = self.fontMetrics(), box.left()
        for name, colour in zip(self.lines, COLOURS, strict=False):
            painter.setPen(QColor(colour))
            painter.drawText(QPointF(x, box.bottom() + 2 + metrics.ascent()), name)
            x += metrics.horizontalAdvance(f"{name}   ")

    def _line(self, painter: QPainter, box: QRectF, line: list[Point], colour: QColor) -> None:
        last, low, high = self._range()
        places = [
            QPointF(
                box.left() + step / last * box.width(), box.bottom() - (math.log10(value) - low) / (high - low) * box.height()
            )
            for step, value in line
        ]
        painter.setPen(QPen(colour, 2))
        painter.drawPolyline(QPolygonF(places))
        for place in places if len(places) < 30 else ():
            painter.drawEllipse(place, 2.0, 2.0)
