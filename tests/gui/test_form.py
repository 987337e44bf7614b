from dataclasses import fields
from typing import Annotated, Literal, get_args, get_origin

import pytest
from annotated_types import Ge, Gt, Le
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from magicgui.widgets import CheckBox, ComboBox, LineEdit, SpinBox

from napari_diffprior.gui.form import fields_of, form, read
from napari_diffprior.params import Ui, params
from napari_diffprior.recipe import Recipe
from napari_diffprior.registry import registered

pytestmark = pytest.mark.usefixtures("qapp")


@params
class Every:
    """One field of each kind."""

    switch: Annotated[bool, Ui("Switch", "on or off")] = True
    count: Annotated[int, Ge(-3), Le(2**40), Ui("Count", "a number")] = 5
    small: Annotated[float, Gt(0), Ui("Small", "a share", unit="px")] = 1e-4
    choice: Annotated[Literal["one", "two", "three"], Ui("Choice")] = "two"
    word: Annotated[str, Ui("Word")] = "text"
    maybe: Annotated[float | None, Ui("Maybe")] = None
    level: float | Literal["auto"] = "auto"
    batch: Annotated[Annotated[int, Ge(1)] | None, Ui("Batch")] = None


@pytest.mark.parametrize("cls", [Every, *registered("sampler").values()], ids=lambda cls: cls.__name__)
def test_defaults_make_the_round_trip(cls):
    assert read(cls, form(cls())) == cls()


@pytest.mark.parametrize("cls", [Every, *registered("sampler").values()], ids=lambda cls: cls.__name__)
@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_value_makes_the_round_trip(cls, data):
    value = data.draw(st.builds(cls, **{name: strategy(hint) for name, hint in fields_of(cls).items()}))
    assert read(cls, form(value)) == value


def strategy(hint):
    """Values that a field takes, from its type and bounds."""
    kind, *extras = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    low = next((getattr(e, "ge", getattr(e, "gt", None)) for e in extras if isinstance(e, Ge | Gt)), None)
    high = next((e.le for e in extras if isinstance(e, Le)), None)
    if kind is bool:
        return st.booleans()
    if kind is int:
        return st.integers(low if low is not None else -(2**62), high if high is not None else 2**62)
    if kind is float:
        open_end = any(isinstance(e, Gt) for e in extras)
        return st.floats(low, high, exclude_min=open_end, allow_nan=False)
    if kind is str:
        return st.text("abcdefghijklmnopqrstuvwxyz_ÄÖ-", min_size=1).filter(lambda text: text not in ("null", "true", "false"))
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if kind is type(None):
        return st.none()
    return st.one_of(*(strategy(part) for part in get_args(kind)))


def test_widgets_suit_their_fields():
    made = form(Every())
    kinds = {name: type(widget) for name, widget in made.items()}
    assert kinds == {
        "switch": CheckBox, "count": SpinBox, "small": LineEdit, "choice": ComboBox,
        "word": LineEdit, "maybe": LineEdit, "level": LineEdit, "batch": LineEdit,
    }  # fmt: skip
    assert (made["count"].min, made["count"].max) == (-3, 2**40)
    assert made["small"].label == "Small (px)"
    assert made["small"].value == "0.0001"
    assert made["maybe"].value == ""


@pytest.mark.parametrize("cls", registered("sampler").values(), ids=lambda cls: cls.__name__)
def test_every_sampler_field_has_a_label_and_a_tooltip(cls):
    made = form(cls())
    assert list(made) == [field.name for field in fields(cls)]
    assert all(widget.label and widget.tooltip for widget in made.values())


def test_what_cannot_be_is_one_sentence():
    made = form(Every())
    made["small"].value = "many"
    with pytest.raises(ValueError, match=r"small = 'many' is not possible"):
        read(Every, made)


def test_recipe_fields_that_the_widget_shows():
    for name in ("noise", "samples", "seed", "precision", "psf_sigma"):
        assert name in fields_of(Recipe)
