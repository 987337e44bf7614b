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
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    licence: str = "unknown",
    attribution: str = "",
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    recalibrate: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Train a prior on folders of images; run the same command again to continue.

    Parameters
    ----------
    data
        Folders or files: TIFF, PNG, WebP, JPEG, NPY, OME-Zarr.
    output
        Folder of the prior; the run's state lies beside it in <output>.run.
    size
        s: about 3 million parameters, for a CPU; m: 12 million, for a GPU.
    minutes
        Time to train; the learning rate ends with it.
    from_
        Fine-tune this prior, a name or a folder, instead of training from nothing.
    licence
        Licence of the data, for the prior's card.
    attribution
        Who must be named for the data, for the prior's card.
    set_
        Any other training setting as name=value.
    recalibrate
        Do not train: measure the coverage of the finished prior <output> again, on what was held out of its data,
        with --set calibration=N on N patches for each noise level and task.
    """
    from ..params import from_dict
    from ..train.command import recalibrate as measure_again
    from ..train.command import train_prior
    from ..train.loop import FINE_TUNING_RATE, TrainSettings

    options = dict(assignment(text) for text in set_)
    if recalibrate:
        if set(options) - {"calibration"}:
            raise ValueError("a finished prior keeps its settings: --recalibrate takes --set calibration=N alone.")
        measure_again(data, output, lambda event: write_line(json.dumps(event)), options.get("calibration"))
        return
    gentle = {"from_prior": from_, "learning_rate": FINE_TUNING_RATE} if from_ else {}
    settings = from_dict(TrainSettings, {"size": size, "minutes": minutes, **gentle, **options})
    train_prior(data, output, settings, licence, lambda event: write_line(json.dumps(event)), attribution)
