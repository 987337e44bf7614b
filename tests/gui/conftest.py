import time

import numpy as np
import pytest
import torch
from napari.components import ViewerModel
from napari.utils.notifications import notification_manager

from napari_diffprior.device import Device
from napari_diffprior.gui import worker
from napari_diffprior.gui.restore import RestoreWidget
from napari_diffprior.priors.analytic import StationaryPrior
from napari_diffprior.restoration import Cancelled, Restoration, Update, restore_iter


@pytest.fixture(autouse=True)
def no_warm_up(monkeypatch):
    monkeypatch.setattr(worker, "warm_up", lambda: Device("cpu", "torch has no CUDA", "float32"))


@pytest.fixture
def notifications(monkeypatch):
    monkeypatch.setattr(notification_manager, "catch_error", True)
    start = len(notification_manager.records)
    return lambda: list(notification_manager.records)[start:]


@pytest.fixture
def image():
    rng = np.random.default_rng(0)
    return 100 + 20 * rng.standard_normal((70, 80)).cumsum(0).cumsum(1) / 50


@pytest.fixture
def mask(image):
    gaps = np.zeros(image.shape, np.uint8)
    gaps[20:24] = 1
    return gaps


@pytest.fixture
def model(image, mask):
    viewer = ViewerModel()
    viewer.add_image(image, name="cells")
    viewer.add_labels(mask, name="gaps")
    return viewer


@pytest.fixture
def widget(qtbot, model):
    made = RestoreWidget(model)
    qtbot.addWidget(made.native)
    yield made
    if made._run is not None:
        made.start_or_cancel()
        qtbot.waitUntil(lambda: made._run is None, timeout=20000)


class Fake:
    """A core that takes steps as told, instead of restoring."""

    def __init__(self):
        self.steps, self.seconds, self.error, self.requests, self.seen, self.closed = 5, 0.0, None, [], 0, 0

    def __call__(self, request, stop):
        self.requests.append(request)
        return self._run(request, stop)

    def _run(self, request, stop):
        self.seen = 0
        try:
            for step in range(1, self.steps + 1):
                if stop.is_set():
                    raise Cancelled("the restoration was cancelled.")
                time.sleep(self.seconds)
                self.seen = step
                if self.error is not None and step == 2:
                    raise self.error
                yield Update(step, self.steps, 1.0, 1.5, lambda: region_of(request))
        finally:
            self.closed += 1
        return result_of(request)


def region_of(request):
    spans = (slice(*request.layout.span(letter)) for letter in request.layout.axes)
    return np.asarray(request.image, np.float32)[tuple(spans)]


def result_of(request):
    mean = region_of(request)
    for letter in "yx":
        mean = mean.repeat(request.layout.upsample, request.layout.axes.index(letter))
    samples = np.stack([mean] * request.recipe.samples)
    story = {"recipe": {"seed": request.recipe.seed}, "axes": request.layout.axes}
    return Restoration(mean, samples.std(0), samples, (1.0,), 5, 0.1, request.recipe, story)


@pytest.fixture
def fake(monkeypatch):
    made = Fake()
    monkeypatch.setattr(worker, "open_run", made)
    return made


@pytest.fixture
def run_to_end(qtbot):
    def run(widget, start=None, timeout=60000):
        (start or widget.start_or_cancel)()
        qtbot.waitUntil(lambda: widget._run is None, timeout=timeout)

    return run


class Exact:
    """The real core, with an exact prior instead of the network."""

    def __init__(self):
        frequency = torch.hypot(torch.fft.fftfreq(70)[:, None], torch.fft.rfftfreq(80)[None])
        self.prior = StationaryPrior(1 / (0.05 + frequency) ** 2 / 400, (70, 80))
        self._core = restore_iter

    def __call__(self, *arrays, **settings):
        return self._core(*arrays, **settings)

    def open_run(self, request, stop):
        arrays = (request.image, request.mask, request.psf)
        return self(*arrays, recipe=request.recipe, prior=self.prior, cancelled=stop.is_set)


@pytest.fixture
def exact(monkeypatch):
    made = Exact()
    monkeypatch.setattr(worker, "open_run", made.open_run)
    return made


def names(viewer):
    return [layer.name for layer in viewer.layers]
