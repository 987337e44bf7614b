"""Forms from ``@params`` classes: one editor per field, with its label, tooltip, bounds and choices."""

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt
from magicgui.widgets import LineEdit, create_widget
from magicgui.widgets.bases import ValueWidget

from ..params import Ui, from_dict

T = TypeVar("T")
LARGEST = 2**63 - 1


def form(value: Any) -> dict[str, ValueWidget]:
    """Editors of all fields of a params object, filled with its values.

    Parameters
    ----------
    value : object
        Instance of a ``@params`` class.

    Returns
    -------
    dict of str to Widget
        By field name, in the order of declaration; ``read`` is the inverse.
    """
    return {name: editor(type(value), name, getattr(value, name)) for name in fields_of(type(value))}


def read(cls: type[T], editors: Mapping[str, ValueWidget]) -> T:
    """Params object from its editors.

    Raises
    ------
    ValueError
        One sentence that names the field, what was typed and what is allowed.
    """
    return from_dict(cls, {name: value_of(widget) for name, widget in editors.items()})


def fields_of(cls: type[Any]) -> dict[str, Any]:
    """Type hints of a params class's fields, ``Annotated`` kept, in the order of declaration."""
    hints = get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in fields(cls)}


def editor(cls: type[Any], name: str, value: Any) -> ValueWidget:
    """Editor of one field.

    Parameters
    ----------
    cls : type
        A ``@params`` class.
    name : str
        One of its fields.
    value : object
        What the editor shows first.
    """
    kind, extras = _split(fields_of(cls)[name])
    ui = next((extra for extra in extras if isinstance(extra, Ui)), Ui())
    label = ui.label or name.replace("_", " ").capitalize()
    label = f"{label} ({ui.unit})" if ui.unit else label
    options: dict[str, Any] = {"tooltip": _tooltip(ui, extras)}
    if get_origin(kind) is Literal:
        made = "ComboBox", {**options, "choices": get_args(kind)}
    elif kind is bool:
        made = "CheckBox", options
    elif kind is int:
        made = "SpinBox", {**options, **_bounds(extras)}
    else:
        made, value = ("LineEdit", options), text_of(value)
    return cast(ValueWidget, create_widget(value, name=name, label=label, widget_type=made[0], options=made[1]))


def value_of(widget: ValueWidget) -> Any:
    """What an editor holds, as a plain value: text is read as JSON where it is JSON, and empty text is None."""
    if not isinstance(widget, LineEdit):
        return widget.value
    text = widget.value.strip()
    try:
        return json.loads(text) if text else None
    except json.JSONDecodeError:
        return text


def fill(widget: ValueWidget, value: Any) -> None:
    """Show a value in an editor; ``value_of`` is the inverse."""
    widget.value = text_of(value) if isinstance(widget, LineEdit) else value


def text_of(value: Any) -> str:
    """Text of a value in a line editor; exact for every float."""
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def _split(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Type and metadata of a possibly annotated hint."""
    if get_origin(hint) is Annotated:
        kind, *extras = get_args(hint)
        return kind, tuple(extras)
    return hint, ()


def _tooltip(ui: Ui, extras: tuple[Any, ...]) -> str:
    """The field's sentence, with its range and unit where it does not say them itself."""
    words = {Ge: ("ge", "from {:g}"), Gt: ("gt", "above {:g}"), Le: ("le", "to {:g}"), Lt: ("lt", "below {:g}")}
    limits = [words[type(extra)][1].format(getattr(extra, words[type(extra)][0])) for extra in extras if type(extra) in words]
    told = any(character.isdigit() for character in ui.help)
    parts = [ui.help, "" if told else " ".join(limits), f"in {ui.unit}" if ui.unit and ui.unit not in ui.help else ""]
    sentence = "; ".join(part for part in parts if part)
    return sentence[:1].upper() + sentence[1:]


def _bounds(extras: tuple[Any, ...]) -> dict[str, int]:
    """Range of a spin box from annotated bounds; both ends belong to it."""
    low, high = -LARGEST, LARGEST
    for extra in extras:
        if isinstance(extra, Ge | Gt):
            low = int(extra.ge) if isinstance(extra, Ge) else int(extra.gt) + 1  # type: ignore[call-overload]
        if isinstance(extra, Le | Lt):
            high = int(extra.le) if isinstance(extra, Le) else int(extra.lt) - 1  # type: ignore[call-overload]
    return {"min": low, "max": high}
