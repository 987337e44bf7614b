"""The last line of the widget after a run: how well it went, and what the user should know of it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..restoration import Restoration

COUNTED = {"saturated_pixels": "saturated pixels are lower bounds", "hot_pixels": "hot pixels were left out"}


def summary(result: "Restoration") -> str:
    """One line: misfit, seconds, seed, and what happened on the way.

    Parameters
    ----------
    result : Restoration
    """
    parts = [f"Misfit {sum(result.misfit) / len(result.misfit):.2f}, {result.seconds:.1f} s, seed {result.recipe.seed}"]
    parts += [f"{count} {text}" for name, text in COUNTED.items() if (count := result.provenance.get(name))]
    if result.effective:
        parts.append(f"{sum(result.effective) / len(result.effective):.1f} effective particles")
    if lacked_memory(result.provenance):
        parts.append("memory ran short: fewer tiles at once")
    if result.reason:
        parts.append(f"not calibrated: {result.reason}")
    return "; ".join(parts)


def lacked_memory(story: Mapping[str, Any]) -> bool:
    """Whether the provenance says, for any plane, that the batch of tiles was halved."""
    return any(plane.get("tiles", {}).get("halved") for plane in (story, *story.get("planes", ())))
