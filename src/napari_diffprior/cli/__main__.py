"""``python -m napari_diffprior.cli``: the command line of this very Python."""

from . import main

main()
