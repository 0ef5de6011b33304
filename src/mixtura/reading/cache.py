"""Decoded rows: in memory while they are few, else in a file that is mapped."""

from __future__ import annotations

import errno
import mmap
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np

from mixtura._errors import InputError
from mixtura._types import Array, Indices, Rows

__all__ = ["backing", "gathered", "kept", "released"]

IN_MEMORY = 1 << 26
"""Bytes up to which rows stay in memory."""


def kept(blocks: Iterable[Rows], folder: str | Path | None = None, expected: int = 0) -> Rows:
    """Blocks (m, d) one after the other, as one array (n, d).

    More than `IN_MEMORY` bytes go to a file without a name, which is gone with the array, whatever
    ends the process.

    Parameters
    ----------
    blocks : of one type and width
    folder : where the file lies; the system's folder for temporary files by default
    expected : bytes to come, as far as they are known

    Raises
    ------
    InputError
        There is no such folder, or no room in it.
    """
    coming = iter(blocks)
    held: list[Array] = []
    for block in coming:
        held.append(block)
        if max(expected, sum(one.nbytes for one in held)) > IN_MEMORY:
            return _on_disk(chain(held, coming), folder, expected)
    return np.concatenate(held)


def _on_disk(blocks: Iterator[Rows], folder: str | Path | None, expected: int) -> Rows:
    place = Path(folder or tempfile.gettempdir())
    if not place.is_dir():
        raise InputError(f"cache={str(place)!r} is no folder: make it, or name another")
    free = shutil.disk_usage(place).free
    if expected > free:
        raise _full(place, f"{expected / 1e9:.2f} GB are needed and {free / 1e9:.2f} GB free")
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            return _written(blocks, file)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise _full(place, str(error)) from None


def _written(blocks: Iterator[Rows], file: IO[bytes]) -> Rows:
    n, first = 0, None
    for block in blocks:
        first = block[:0] if first is None else first
        file.write(np.ascontiguousarray(block).data)
        n += len(block)
    file.flush()
    assert first is not None
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return np.frombuffer(mapped, first.dtype).reshape(n, first.shape[1])


def _full(place: Path, what: str) -> InputError:
    return InputError(
        f"the decoded rows do not fit into {place}: {what}; name a folder with more room by "
        'cache=, choose fewer columns, or dtype="float32"'
    )


def backing(rows: Any) -> tuple[mmap.mmap, int] | None:
    """The mapped file that an array lies in, and where it starts there; None for other arrays."""
    holder = rows
    while isinstance(holder, np.ndarray | memoryview):
        holder = holder.obj if isinstance(holder, memoryview) else holder.base
    if not isinstance(holder, mmap.mmap):
        return None
    start = np.frombuffer(holder, np.uint8).__array_interface__["data"][0]
    return holder, int(rows.__array_interface__["data"][0]) - int(start)


def released(rows: Rows) -> None:
    """Let the pages of mapped rows go: they stay in the system's cache, but are not this process's.

    Whole pages only, as the rows next to them may be in use.
    """
    found = backing(rows)
    if found is None or not len(rows) or not hasattr(mmap, "MADV_DONTNEED"):
        return
    mapped, start = found
    page, length = mmap.PAGESIZE, (len(rows) - 1) * rows.strides[0] + rows[-1].nbytes
    first, end = -(-start // page) * page, (start + length) // page * page
    if end > first:
        mapped.madvise(mmap.MADV_DONTNEED, first, end - first)


def gathered(rows: Rows, indices: Indices) -> Rows:
    """Some of the mapped rows, of whose pages only a few are held at a time; many are mapped, too.

    Raises
    ------
    InputError
        There is no room for them in the folder of temporary files.
    """
    size = len(indices) * rows.shape[1] * rows.itemsize
    return kept(_gathered(rows, indices), None, size if size > IN_MEMORY else 0)


def _gathered(rows: Rows, indices: Indices) -> Iterator[Rows]:
    spread = (int(indices[-1]) - int(indices[0])) // len(indices) if len(indices) else 0
    few = _MANY if 0 <= spread <= _NEAR else _FEW
    yield rows[:0]
    for at in range(0, len(indices), few):
        out = rows[indices[at : at + few]]
        released(rows)
        yield out


_FEW, _MANY, _NEAR = 128, 1 << 14, 8
"""Rows whose pages, and those the system brings along, are held together; more where they are near
one another, at most so many rows apart."""
