"""What the user set in napari's Preferences; the defaults where napari has no such page yet (before 0.9)."""

from dataclasses import dataclass

PLUGIN = "napari-diffprior"


@dataclass(frozen=True)
class Preferences:
    """Settings that outlive a session; the fields are those of ``configurations`` in napari.yaml.

    Parameters
    ----------
    device : str
        Where networks run at first.
    quality : str
        Preset that a new widget starts with.
    live_preview : bool
        Whether a layer shows the estimate while it runs.
    cache_folder : str
        Where downloaded and trained priors are kept; empty: the usual places.
    """

    device: str = "auto"
    quality: str = "Balanced"
    live_preview: bool = True
    cache_folder: str = ""


def preferences() -> Preferences:
    """Read napari's settings of the plugin."""
    try:
        from napari.settings import get_plugin_settings

        stored = get_plugin_settings(PLUGIN).restoration
    except (ImportError, KeyError, AttributeError):
        return Preferences()
    return Preferences(stored.device, stored.quality, stored.live_preview, stored.cache_folder)
