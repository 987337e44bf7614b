"""The dock widget "Train prior"."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox, Container, Label, PushButton, Select
from napari.layers import Image
from qtpy.QtCore import QSettings, QTimer

from ..params import from_dict
from ..priors.store import list_priors, own_priors
from ..train.loop import FINE_TUNING_RATE, TrainSettings
from .form import editor, fields_of, fill, value_of
from .layer_choice import follow_layers, is_role
from .open_docks import choose_prior
from .pace import duration
from .preferences import PLUGIN, preferences
from .rows import finish_line, headline, path_box, path_of, row
from .sample_grids import SampleGrids
from .training_run import Plan, TrainingRun, save_layers

if TYPE_CHECKING:
    import napari.components

FOLDER, LAYERS = "Folder", "Image layers"
POLL_MS = 500
SHOWN = ("size", "from_prior", "minutes")
NOTHING = "nothing"
CLOSED, OPEN = "▸  Advanced", "▾  Advanced"


class TrainWidget(Container):
    """Train a prior on images of one's own, in a process that goes on when napari is closed.

    Parameters
    ----------
    napari_viewer : napari.components.ViewerModel
        Viewer whose image layers can be learned from; samples are shown in it as they get better.
    """

    def __init__(self, napari_viewer: "napari.components.ViewerModel") -> None:
        from .curve import Curve

        super().__init__(labels=False)
        self._viewer = napari_viewer
        self._run: TrainingRun | None = None
        self._closed = False
        self._prior: str | None = None
        self._make_rows()
        self.curve = Curve("training", "validation")
        self.grids = SampleGrids(napari_viewer)
        self.train = PushButton(text="Train", tooltip="Start in a process of its own; napari stays free, and may be closed.")
        self.message = Label(value="")
        self._lay_out()
        self._connect()
        self.attach()

    def _make_rows(self) -> None:
        start = TrainSettings()
        self.source = ComboBox(choices=[FOLDER, LAYERS], name="source", label="Learn from")
        self.source.tooltip = "Clean images of the kind that is to be restored: at least 500 patches, without much noise."
        self.data = path_box("data", "Images", "Folder of TIFF, PNG, WebP, JPEG or NPY files.")
        self.layers: Any = Select(choices=self._choices, name="layers", label="Layers")
        self.layers.tooltip = "Image layers to learn from; several can be selected, stacks are taken plane by plane."
        output = "Folder that becomes the prior; the state of the training lies beside it, in <folder>.run."
        self.output = path_box("output", "Prior folder", output, value=last_output())
        self.form: dict[str, Any] = {name: editor(TrainSettings, name, getattr(start, name)) for name in fields_of(TrainSettings)}
        names = [NOTHING, *(info.name for info in list_priors())]
        self.form["from_prior"] = start_from = ComboBox(choices=names, name="from_prior", label="Start from")
        start_from.tooltip = "Nothing, or a prior that is fine-tuned: fewer images and less time are enough then."
        start_from.changed.connect(self._suit_rate)
        self.toggle = PushButton(text=CLOSED, tooltip="Patches, batch, learning rate and more.")
        self._hidden = [self.form[name] for name in self.form if name not in SHOWN]

    def _suit_rate(self, prior: str) -> None:
        """Fine-tuning goes in small steps."""
        rate = TrainSettings().learning_rate if prior == NOTHING else FINE_TUNING_RATE
        fill(self.form["learning_rate"], rate)

    def _choices(self, _: Any) -> list[Any]:
        return [layer for layer in self._viewer.layers if isinstance(layer, Image) and not is_role(layer, "preview")]

    def _lay_out(self) -> None:
        shown = [self.form[name] for name in SHOWN]
        self._rows: Container = Container(labels=True)
        self._rows.margins = (0, 0, 0, 0)
        self._rows.extend([self.source, self.data, self.layers, self.output, *shown, self.toggle, *self._hidden])
        self._rows.extend([headline()])
        finish_line(self.message)
        self.extend([self._rows, row("", self.train)])
        self.native.layout().addWidget(self.curve)
        self.append(self.message)
        self._show_rows()
        for each in self._hidden:
            each.visible = False

    def _connect(self) -> None:
        self._timer = QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self.poll)
        self.source.changed.connect(self._show_rows)
        self.toggle.changed.connect(self._toggle)
        self.output.changed.connect(self.attach)
        self.train.changed.connect(self.start_or_stop)
        self._unfollow = follow_layers(self._viewer, self.reset_choices)
        self.native.destroyed.connect(self._gone)

    def _show_rows(self) -> None:
        self.data.visible = self.source.value == FOLDER
        self.layers.visible = self.source.value == LAYERS

    def _toggle(self) -> None:
        open_ = self.toggle.text == CLOSED
        self.toggle.text = OPEN if open_ else CLOSED
        for each in self._hidden:
            each.visible = open_

    def reset_choices(self, *_: Any, **__: Any) -> None:
        """Follow the viewer's layers."""
        if not self._closed:
            self.layers.reset_choices()

    # What is trained.

    def settings(self) -> TrainSettings:
        """Settings as they stand.

        Raises
        ------
        ValueError
            If one of them is not possible.
        """
        given = {name: value_of(each) for name, each in self.form.items()}
        chosen = given["from_prior"]
        return from_dict(TrainSettings, {**given, "from_prior": None if chosen == NOTHING else chosen})

    def plan(self) -> Plan:
        """Data, output and settings; layers are written into the run's folder.

        Raises
        ------
        ValueError
            If there is nothing to learn from, or no place for the prior.
        """
        output, settings = path_of(self.output), self.settings()
        if output is None or output == Path.home() or output.is_file():
            raise ValueError("choose a folder of its own for the prior.")
        output.parent.mkdir(parents=True, exist_ok=True)
        if self.source.value == FOLDER:
            data = path_of(self.data)
            if data is None or not data.is_dir():
                raise ValueError("choose the folder of the images to learn from.")
            return Plan((data,), output, settings)
        if not self.layers.value:
            raise ValueError("select the image layers to learn from.")
        return Plan((save_layers(self.layers.value, output.with_name(f"{output.name}.run") / "layers"),), output, settings)

    # Running.

    def start_or_stop(self) -> None:
        """Start a training; while one runs, ask it to stop and keep what it has learned."""
        if self._run is not None:
            self._run.stop()
            self.train.text, self.train.enabled = "Stopping...", False
            self.message.value = "Stopping: what it has learned is calibrated and becomes the prior."
            return
        try:
            run = TrainingRun(self.plan())
            if not run.alive:
                run.start()
        except (ValueError, OSError) as error:
            self.message.value = str(error)[:1].upper() + str(error)[1:]
            return
        remember_output(run.plan.output)
        self._follow(run)

    def attach(self, *_: Any) -> None:
        """Follow the run of the chosen output if it is at work, else show how it went."""
        output = path_of(self.output)
        if self._run is not None or self._closed or output is None:
            return
        try:
            plan = Plan.read(output.with_name(f"{output.name}.run"))
        except (OSError, ValueError, KeyError, TypeError):
            self.curve.clear()
            return
        run = TrainingRun(plan)
        self._show_settings(plan.settings)
        if "layers" not in plan.data[0].parts[-1:]:
            self.source.value, self.data.value = FOLDER, plan.data[0]
        if run.alive:
            self._follow(run)
        else:
            self.curve.clear()
            self._take(run.events())

    def _show_settings(self, settings: TrainSettings) -> None:
        prior = settings.from_prior or NOTHING
        box = self.form["from_prior"]
        box.choices = tuple(dict.fromkeys((*box.choices, prior)))
        for name, each in self.form.items():
            fill(each, prior if name == "from_prior" else getattr(settings, name))

    def _follow(self, run: TrainingRun) -> None:
        self._run = run
        self.curve.clear()
        self.grids.restart()
        self.train.text = "Stop"
        self.message.value = "Reading the images..."
        self._timer.start()
        self.poll()

    def poll(self) -> None:
        """Read what is new in the run's folder."""
        run = self._run
        if run is None or self._closed:
            return
        alive = run.alive  # asked first: what it wrote before it ended is read below
        self._take(run.events())
        self.grids.show(run.grids())
        if not alive:
            self._end(run)

    def _take(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            kind = event["event"]
            if kind == "start":
                self._prior = None
            elif kind == "step":
                self.curve.add("training", event["step"], event["loss"])
                self.message.value = f"Step {event['step']}, loss {event['loss']:.3g}, about {duration(event['eta_s'])} left"
            elif kind == "validation":
                self.curve.add("validation", event["step"], event["loss"])
            elif kind == "data":
                skipped = f", {len(event['skipped'])} skipped" if event["skipped"] else ""
                self.message.value = f"{event['images']} images, {event['held_out']} held out{skipped}"
            elif kind == "done":
                self._prior = event["prior"]
                self.message.value = f"The prior is ready: {event['prior']}"

    def _end(self, run: TrainingRun) -> None:
        self._timer.stop()
        self._run = None
        self.train.text, self.train.enabled = "Train", True
        if self._prior is None:
            self.message.value = run.error()
        else:
            choose_prior(self._viewer, self._prior)

    def _gone(self, *_: Any) -> None:
        """Stop looking; the training goes on."""
        self._closed = True
        self._timer.stop()
        self._unfollow()


def last_output() -> Path:
    """Folder of the last training, of this session or an earlier one; at first one in the cache folder."""
    stored = QSettings(PLUGIN, PLUGIN).value("train/output")
    if stored:
        return Path(str(stored))
    cache = preferences().cache_folder
    return (Path(cache) / "priors" if cache else own_priors()) / "my-prior"


def remember_output(output: Path) -> None:
    """Keep it for the next session."""
    QSettings(PLUGIN, PLUGIN).setValue("train/output", str(output))
