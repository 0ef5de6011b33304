"""Rows of a scan written to a file, block by block."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from mixtura import _checks
from mixtura._errors import InputError
from mixtura._types import Rows
from mixtura.atomic import written_whole

__all__ = ["write_array", "write_blocks"]

_WRITERS = {
    ".parquet": pa.parquet.ParquetWriter,
    ".arrow": pa.ipc.new_file,
    ".feather": pa.ipc.new_file,
    ".csv": pa.csv.CSVWriter,
}


def write_blocks(blocks: Iterable[_checks.Table], path: str | os.PathLike[str]) -> None:
    """Blocks with the same columns as one table, whole or not at all; NaN is a missing cell.

    Raises
    ------
    InputError
        The suffix is none of .parquet .arrow .feather .csv.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _WRITERS:
        raise InputError(
            f"{os.fspath(path)}: no format is known by the suffix {suffix or '(none)'!r}: use one "
            f"of {' '.join(_WRITERS)} or .npy"
        )
    with written_whole(path) as stream:
        _write(blocks, stream, _WRITERS[suffix])


def _write(blocks: Iterable[_checks.Table], stream: IO[bytes], open_writer: Any) -> None:
    writer: Any = None
    for block in blocks:
        names = block.names or [f"x{index}" for index in range(block.rows.shape[1])]
        columns = [pa.array(column, from_pandas=True) for column in block.rows.T]
        batch = pa.RecordBatch.from_arrays(columns, list(names))
        writer = open_writer(stream, batch.schema) if writer is None else writer
        writer.write_batch(batch)
    writer.close()


def write_array(parts: Iterable[Rows], like: Rows, path: str | os.PathLike[str]) -> None:
    """Rows as a ``.npy`` file of the shape and kind of `like`, whole or not at all."""
    header = {"descr": like.dtype.str, "fortran_order": False, "shape": like.shape}
    with written_whole(path) as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for part in parts:
            stream.write(np.ascontiguousarray(part).data)
