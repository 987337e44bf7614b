"""Find the restore widget of a viewer, for the widgets that hand something over to it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .restore import RestoreWidget


def open_restore(viewer: Any) -> "list[RestoreWidget]":
    """Restore widgets that are docked in the viewer's window."""
    from .restore import RestoreWidget

    docked = getattr(getattr(viewer, "window", None), "dock_widgets", {})
    return [widget for widget in docked.values() if isinstance(widget, RestoreWidget)]


def choose_prior(viewer: Any, prior: str) -> None:
    """Select a prior in every open restore widget."""
    for widget in open_restore(viewer):
        widget.inputs.prior.choose(prior)
