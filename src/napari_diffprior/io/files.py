"""Files that are written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4


def check_writable(path: str | Path, suffixes: tuple[str, ...] = ()) -> None:
    """Make sure, before any work, that a file can be written.

    Parameters
    ----------
    path : str or Path
        The file; it is neither made nor changed.
    suffixes : tuple of str
        Endings that are allowed, for example `TIFF_SUFFIXES`; empty allows all.

    Raises
    ------
    ValueError
        If the name does not end as it should.
    OSError
        If the folder is missing or cannot be written to, or the path is a folder.
    """
    path = Path(path)
    if suffixes and path.suffix.lower() not in suffixes:
        raise ValueError(f"{path} must end in {' or '.join(suffixes)}.")
    if path.is_dir() and not is_zarr(path):
        raise IsADirectoryError(f"{path} is a folder, not a file that can be written.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path} cannot be written: there is no folder {path.parent}.")
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(f"{path} cannot be written: it is read-only.")
    try:
        with replacing(path, keep=False) as temporary:
            temporary.touch(exist_ok=False)
    except OSError as error:
        raise PermissionError(f"{path} cannot be written: {error.strerror or error}.") from error


@contextmanager
def replacing(path: Path, keep: bool = True) -> Iterator[Path]:
    """Yield a temporary name in the same folder; at the end it becomes `path`, on an error it is removed.

    Parameters
    ----------
    path : Path
        The name in the end.
    keep : bool
        False only tries: the temporary file is removed in any case.
    """
    temporary = path.with_name(f".{path.name[:100]}.{uuid4().hex[:8]}.part")
    try:
        yield temporary
        if keep:
            move_into_place(temporary, path)
    finally:
        _remove(temporary)


def move_into_place(temporary: Path, path: Path) -> None:
    """Give a finished file or folder its name; an older one of that name goes only when the new one is there."""
    if not path.is_dir():
        temporary.replace(path)
        return
    old = path.with_name(f".{path.name[:100]}.{uuid4().hex[:8]}.old")
    path.replace(old)
    temporary.replace(path)
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file, or of the names and contents of a folder, as hexadecimal digits."""
    path = Path(path)
    if path.is_dir():
        parts = sorted(part for part in path.rglob("*") if part.is_file())
        lines = "".join(f"{part.relative_to(path).as_posix()} {file_hash(part)}\n" for part in parts)
        return hashlib.sha256(lines.encode()).hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def is_zarr(path: Path) -> bool:
    """Whether a folder is a zarr array or group."""
    return any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray"))


def plain_json(record: Any, path: Path) -> str:
    """JSON text of a record.

    Raises
    ------
    ValueError
        If it holds something else than JSON types.
    """
    try:
        return json.dumps(record, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the metadata of {path} is not plain JSON: {error}.") from error


def with_addition(path: Path, addition: str) -> Path:
    """The path with an addition to its name, before all endings: a_std.ome.zarr of a.ome.zarr."""
    stem, dot, endings = path.name.partition(".")
    return path.with_name(f"{stem}{addition}{dot}{endings}")
