"""Open napari with the sample and the docked widget: ``python -m napari_diffprior.gui``."""

import napari


def main() -> None:
    """Show the BPAE sample, ready to be restored."""
    viewer = napari.Viewer(title="napari-diffprior")
    viewer.open_sample("napari-diffprior", "bpae")
    viewer.window.add_plugin_dock_widget("napari-diffprior", "Restore image")
    napari.run()


if __name__ == "__main__":
    main()
