"""``diffprior train``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .app import app
from .terminal import assignment, write_line


@app.command
def train(
    data: Annotated[tuple[Path, ...], Parameter(negative="", consume_multiple=True)],
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    size: str = "s",
    minutes: float = 60.0,
    licence: str = "unknown",
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
) -> None:
    """Train a prior on folders of images; run the same command again to continue.

    Parameters
    ----------
    data
        Folders or files: TIFF, PNG, WebP, JPEG, NPY.
    output
        Folder of the prior; the run's state lies beside it in <output>.run.
    size
        s: about 3 million parameters, for a CPU; m: 12 million, for a GPU.
    minutes
        Time to train; the learning rate ends with it.
    licence
        Licence of the data, for the prior's card.
    set_
        Any other training setting as name=value.
    """
    from ..params import from_dict
    from ..train.command import train_prior
    from ..train.loop import TrainSettings

    options = dict(assignment(text) for text in set_)
    settings = from_dict(TrainSettings, {"size": size, "minutes": minutes, **options})
    train_prior(data, output, settings, licence, lambda event: write_line(json.dumps(event)))
