"""Parameters as plain data: one declaration gives validation, JSON, a form and command-line options."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar, dataclass_transform

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass

T = TypeVar("T")


@dataclass(frozen=True)
class Ui:
    """How a field is shown to a person.

    Parameters
    ----------
    label : str
        Name in the form; empty means the field's own name.
    help : str
        One sentence with the unit and the range; the tooltip and the command line's help.
    unit : str
        Unit that is written behind the value.
    """

    label: str = ""
    help: str = ""
    unit: str = ""


@dataclass_transform(frozen_default=True, kw_only_default=True)
def params(cls: type[T]) -> type[T]:
    """Make a class a frozen, validated, keyword-only dataclass that refuses unknown fields."""
    return pydantic_dataclass(cls, frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))  # type: ignore[return-value]


def to_dict(value: Any) -> dict[str, Any]:
    """Fields of a params object as JSON types, with its registered ``name`` if it has one."""
    plain: dict[str, Any] = TypeAdapter(type(value)).dump_python(value, mode="json")
    name = getattr(type(value), "name", None)
    return {"name": name, **plain} if name else plain


def from_dict(cls: type[T], settings: Mapping[str, Any]) -> T:
    """Validate plain settings into a params object.

    Raises
    ------
    ValueError
        One sentence that names the parameter, what was given and what is allowed.
    """
    from .registry import nearest

    given = {key: value for key, value in settings.items() if key != "name"}
    known = [field.name for field in fields(cls)]  # type: ignore[arg-type]
    owner = getattr(cls, "name", cls.__name__)
    for key in given:
        if key not in known:
            raise ValueError(f"{owner} has no parameter {key!r}; {nearest(key, known)}.")
    try:
        return TypeAdapter(cls).validate_python(given)
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"] and "error" in first.get("ctx", {}):  # what the class itself says of fields that do not go together
            raise ValueError(str(first["ctx"]["error"])) from error
        where = ".".join(str(part) for part in first["loc"]) or "settings"
        raise ValueError(f"{owner}: {where} = {first['input']!r} is not possible: {first['msg']}.") from error


def to_json(value: Any) -> str:
    """JSON text of a params object, keys sorted so that equal settings give equal text."""
    return json.dumps(to_dict(value), sort_keys=True)
