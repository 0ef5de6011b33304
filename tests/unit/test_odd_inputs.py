"""Tables as people have them: read right, or refused with what to do, never silently wrong.

Each file is read by `scan`, by the command line in memory and by the command line block by block.
"""

import datetime
import gzip
import os
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from mixtura import GaussianMixture, InputError, InputTypeError, _checks, scan
from mixtura.io import inputs

NAN = np.nan


def python(path):
    return scan(path).table.rows


def held(path):
    return inputs.opened(str(path)).table().rows


def in_blocks(path, monkeypatch):
    monkeypatch.setattr(inputs, "HELD", -1)
    return inputs.opened(str(path)).table().rows


@pytest.fixture(params=["python", "held", "in blocks"])
def read(request, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    ways = {"python": python, "held": held}
    return ways.get(request.param, lambda path: in_blocks(path, monkeypatch))


def write(name, text):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return name


# ---- delimited text

TEXTS = {
    "no names": ("1,2\n3,4\n", [[1, 2], [3, 4]]),
    "no names, a gap first": ("NA,2\n3,4\n", [[NAN, 2], [3, 4]]),
    "byte order mark": (b"\xef\xbb\xbfa,b\n1,2\n", [[1, 2]]),
    "utf-16": ("a,b\n1,2\n".encode("utf-16"), [[1, 2]]),
    "latin-1": ("größe,b\n1,2\n".encode("latin-1"), [[1, 2]]),
    "crlf": (b"a,b\r\n1,2\r\n3,4\r\n", [[1, 2], [3, 4]]),
    "no last newline": ("a,b\n1,2\n3,4", [[1, 2], [3, 4]]),
    "quotes": ('"a","b, c"\n"1","2"\n', [[1, 2]]),
    "decimal commas": ("a;b\n1,5;2,5\n", [[1.5, 2.5]]),
    "gaps": ("a,b\n1,2\nNA,?\n,6\nnan,7\n", [[1, 2], [NAN, NAN], [NAN, 6], [NAN, 7]]),
    "one column": ("a\n1\n2\n", [[1], [2]]),
    "blank lines": ("a,b\n\n1,2\n\n", [[1, 2]]),
    "bools": ("a,b\ntrue,1\nfalse,2\n", [[1, 1], [0, 2]]),
    "beyond 2^53": ("a,b\n9007199254740993,1\n", [[2.0**53, 1]]),
}


@pytest.mark.parametrize("name", TEXTS)
def test_text_is_read_right(name, read):
    text, rows = TEXTS[name]
    np.testing.assert_array_equal(read(write("x.csv", text)), rows)


REFUSED = {
    "two of a name": ("a,a,b\n1,2,3\n", 'two columns are named "a"'),
    "too few cells": ("a,b\n1,2\n3\n", r"row 3.* has 1 cell where 2 are expected.*mend the row"),
    "too many cells": ("a,b\n1,2,5\n", r"row 2.* has 3 cells where 2 are expected.*mend the row"),
    "comments": ("# by x\n# y\na,b\n1,2\n", "take out the lines that begin with #"),
    "a comment": ("a,b\n1,2\n# note\n3,4\n", "take out the lines that begin with #"),
    "infinite": ("a,b\n1,2\ninf,4\n", "infinit"),
    "no names, infinite": ("inf,2\n3,4\n", "infinit"),
    "names alone": ("a,b\n", "no rows"),
    "names alone, no newline": ("a,b", "no rows"),
    "nothing": ("", "no rows|empty"),
    "blank": ("\n\n\n", "no rows"),
    "zero bytes": (b"a,b\n1,\x002\n", "not text"),
    "utf-16 without its mark": ("a,b\n1,2\n".encode("utf-16-le"), "not text"),
    "an archive": (b"PK\x03\x04", "archive"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_text_is_refused_with_what_to_do(name, read):
    text, said = REFUSED[name]
    with pytest.raises(InputError, match=said):
        read(write("x.csv", text))


TOLD = {
    "thousands": ('a,b\n"1,234",2\n', 'text, "1,234" in row 0'),
    "dates": ("a,b\n2020-01-01,1\n", "dates or times"),
    "without a name": (",b\n0,1\n1,2\n", "perhaps row numbers"),
    "ends with a comma": ("b,\n1,\n2,\n", "perhaps row numbers"),
}


@pytest.mark.parametrize("name", TOLD)
def test_other_columns_are_told_or_an_error(name, tmp_path, monkeypatch):
    path = tmp_path / "x.csv"
    path.write_text(TOLD[name][0])
    with pytest.raises((InputError, InputTypeError), match=r"choose .*columns=\['b'\]"):
        python(path)
    for blocks in (False, True):
        monkeypatch.setattr(inputs, "HELD", -1 if blocks else 1 << 26)
        table = inputs.opened(str(path)).table()
        assert table.columns == ("b",) and table.skipped[0].reason == TOLD[name][1]


def test_a_first_row_that_may_be_data_is_told(read):
    """Of the names a and 1 the latter may well be a cell."""
    write("x.csv", "a,1\nb,2\nc,3\n")
    assert "though 1 is a number" in inputs.opened("x.csv").head.notes[0]
    write("x.csv", "1,2\n3,4\n")
    assert "the first row holds numbers" in inputs.opened("x.csv").head.notes[0]


COUNTED = {
    "a frame without names": ("0,1\n1.5,2.0\n3.0,4.5\n5.0,6.0\n", ("0", "1"), 3),
    "wavelengths, gaps below": ("350,400\n1.5,\n,4.5\n1e-05,NA\n", ("350", "400"), 3),
    "years above whole numbers": ("2019,2020\n1,2\n3,4\n5,6\n", ("x1", "x2"), 4),
    "a whole number among fractions": ("1,2\n1.5,2\n3,4.5\n5.5,6.5\n", ("x1", "x2"), 4),
    "falling": ("2,1\n1.5,2.5\n3.5,4.5\n5.5,6.5\n", ("x1", "x2"), 4),
    "too few rows to tell": ("1,2\n1.5,2.5\n3.5,4.5\n", ("x1", "x2"), 3),
    "a gap in the first row": (
        "1,,3\n1.5,2.5,3.5\n3.5,4.5,5.5\n5.5,6.5,7.5\n",
        ("x1", "x2", "x3"),
        4,
    ),
    "one column": ("1\n1.5\n3.5\n5.5\n", ("x1",), 4),
}


@pytest.mark.parametrize("name", COUNTED)
def test_names_that_count_up(name, tmp_path):
    """Whole numbers above fractions alone are names, as of unnamed pandas frames; it is told."""
    text, names, n = COUNTED[name]
    (tmp_path / "x.csv").write_text(text)
    table = inputs.opened(str(tmp_path / "x.csv")).table()
    assert table.columns == names and len(table.rows) == n
    said = f"though {names[0]} is a number" if names[0] != "x1" else "the first row holds numbers"
    assert said in inputs.opened(str(tmp_path / "x.csv")).head.notes[0]


def test_a_pandas_frame_without_names_comes_back(tmp_path):
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 3)))
    for index in (False, True):
        frame.to_csv(tmp_path / "x.csv", index=index)
        table = inputs.opened(str(tmp_path / "x.csv")).table()
        assert table.columns == ("0", "1", "2")
        np.testing.assert_array_equal(table.rows, frame)


def test_a_column_of_gaps_alone(read):
    write("x.csv", "a,b\n1,\n3,\n")
    if read is python:
        np.testing.assert_array_equal(read("x.csv"), [[1, NAN], [3, NAN]])
        return
    with pytest.raises(InputError, match=r'column "b" has no values at all: leave it out'):
        read("x.csv")


def test_texts_of_a_folder_that_differ(read):
    write("parts/1.csv", "a,b\n1,2\n")
    write("parts/2.csv", "b,a\n4,3\n")
    np.testing.assert_array_equal(read("parts"), [[1, 2], [3, 4]])
    write("parts/2.csv", "a,c\n1,2\n")
    with pytest.raises(InputError, match=r'2.csv lacks the column "b" that the first file has'):
        read("parts")


@pytest.mark.parametrize("kind", ["gzip", "Parquet"])
def test_a_file_by_another_name(kind, tmp_path):
    frame = pd.DataFrame({"a": [1.0, 2.0]})
    path = tmp_path / "x.csv"
    frame.to_parquet(path) if kind == "Parquet" else path.write_bytes(gzip.compress(b"a\n1\n2\n"))
    np.testing.assert_array_equal(held(path), frame)
    with pytest.raises(InputError, match=f"holds {kind}, whatever its name says: rename"):
        python(path)


# ---- columns of tables

NUMBERS = {
    "dictionary": (pa.array([1.5, 2.0, None]).dictionary_encode(), [1.5, 2, NAN]),
    "decimal": (pa.array([Decimal("1.5"), Decimal("2"), None]), [1.5, 2, NAN]),
    "bool": (pa.array([True, False, None]), [1, 0, NAN]),
    "uint8": (pa.array([1, 255, None], pa.uint8()), [1, 255, NAN]),
    "float16": (pa.array(np.array([1, 2, 3], np.float16)), [1, 2, 3]),
    "beyond 2^53": (pa.array([2**53 + 1, 2**62, None]), [2.0**53, 2.0**62, NAN]),
    "uint64": (pa.array([2**64 - 1, 1, None], pa.uint64()), [2.0**64, 1, NAN]),
}
OTHERS = {
    "timestamp": pa.array([datetime.datetime(2020, 1, 1)] * 3),
    "date": pa.array([datetime.date(2020, 1, 1)] * 3),
    "duration": pa.array([datetime.timedelta(1)] * 3),
    "list": pa.array([[1.0, 2.0]] * 3),
    "structure": pa.array([{"a": 1.0}] * 3),
    "text": pa.array(["a", "b", "c"]),
    "dictionary of text": pa.array(["a", "b", "c"]).dictionary_encode(),
    "numbers as text": pa.array(["1", "2", "3"]),
}
READERS = {
    "table": lambda table: _checks.table(table).rows,
    "scan of a table": python,
    "pandas": lambda table: _checks.table(table.to_pandas()).rows,
    "pandas with Arrow": lambda table: (
        _checks.table(table.to_pandas(types_mapper=pd.ArrowDtype)).rows
    ),
    "polars": lambda table: _checks.table(pl.from_arrow(table)).rows,
    "lazy polars": lambda table: python(pl.from_arrow(table).lazy()),
    "Parquet": lambda table: pa.parquet.write_table(table, "x.parquet") or python("x.parquet"),
    "Feather": lambda table: pa.feather.write_feather(table, "x.feather") or python("x.feather"),
    "stream": lambda table: streamed(table, "x.arrow"),
    "DuckDB": lambda table: python(pytest.importorskip("duckdb").from_arrow(table)),
}


def streamed(table, path):
    with pa.OSFile(path, "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)
    np.testing.assert_array_equal(held(path)[:, 0], python(path)[:, 0])
    return python(path)


@pytest.mark.parametrize("reader", READERS)
def test_columns_of_numbers_are_numbers_wherever_they_are(reader, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, (column, values) in NUMBERS.items():
        if (name, reader) == ("float16", "DuckDB") or (
            name == "dictionary" and reader.startswith("pandas")
        ):
            continue  # DuckDB has no halves; categories of pandas say that they are no numbers
        rows = READERS[reader](pa.table({"x": [1.0, 2.0, 4.0], "c": column}))
        np.testing.assert_array_equal(rows, np.column_stack([[1.0, 2.0, 4.0], values]), name)


@pytest.mark.parametrize("reader", [one for one in READERS if one != "stream"])
def test_columns_of_other_things_are_refused(reader, tmp_path, monkeypatch):
    """Lists in a column of pandas once became columns without names."""
    monkeypatch.chdir(tmp_path)
    for name, column in OTHERS.items():
        table = pa.table({"x": [1.0, 2.0, 4.0], "c": column})
        with pytest.raises(InputTypeError, match=r"column.*'c'.*not.*numbers"):
            READERS[reader](table)
        pa.parquet.write_table(table, "x.parquet")
        told = inputs.opened("x.parquet").table()
        assert told.columns == ("x",) and [one.column for one in told.skipped] == ["c"], name


def test_parquet_of_no_rows_two_of_a_name_and_an_index(read):
    pa.parquet.write_table(pa.table({"a": pa.array([], pa.float64())}), "none.parquet")
    pa.parquet.ParquetWriter("groups.parquet", pa.schema([("a", pa.float64())])).close()
    for path in ("none.parquet", "groups.parquet"):
        with pytest.raises(InputError, match="no rows"):
            read(path)
    twice = pa.table([pa.array([1.0]), pa.array([2.0])], names=["a", "a"])
    pa.parquet.write_table(twice, "twice.parquet")
    with pytest.raises(InputError, match="two columns have the same name: rename one"):
        read("twice.parquet")
    pd.DataFrame({"a": [1.0, 2.0]}, index=[5, 7]).to_parquet("index.parquet")
    np.testing.assert_array_equal(read("index.parquet"), [[1], [2]])


def test_a_later_file_of_text_is_refused(read):
    """Its words were once read as numbers where they could be."""
    Path("parts").mkdir()
    pa.parquet.write_table(pa.table({"a": [1.0, 2.0]}), "parts/1.parquet")
    pa.parquet.write_table(pa.table({"a": ["1", "2"]}), "parts/2.parquet")
    with pytest.raises(InputError, match=r"2.parquet: the columns \['a'\] hold no numbers"):
        read("parts")


def test_weights_of_zero_alone():
    rows = scan(pa.table({"a": [1.0, 2.0], "w": [0.0, 0.0]}), weights="w")
    with pytest.raises(InputError, match="weights are zero for every row"):
        GaussianMixture(1).fit(rows)


# ---- arrays in files


def test_arrays_are_read_right(read):
    rows = np.arange(12.0).reshape(6, 2)
    for made in (rows.astype(int), np.asfortranarray(rows), rows.astype(np.longdouble), rows > 3):
        np.save("x.npy", made)
        np.testing.assert_array_equal(read("x.npy"), made.astype(float))


class Trap:
    """Unpickled, it makes a folder."""

    def __reduce__(self):
        return os.mkdir, ("sprung",)


def test_other_arrays_are_refused(read):
    fields = np.zeros(3, [("a", float), ("b", float)])
    for made in (np.arange(3.0), np.zeros((2, 2, 2)), fields, np.array([["a"]]), np.zeros((0, 2))):
        np.save("x.npy", made)
        with pytest.raises(InputError, match=r"numbers of shape \(n, d\) are needed"):
            read("x.npy")
    np.save("x.npy", np.array([[Trap()]], object), allow_pickle=True)
    with pytest.raises(InputError, match="cannot be read as an array"):
        read("x.npy")
    assert not Path("sprung").exists()
    for path in ("*.npy", f"file://{Path.cwd()}/x.npy"):
        with pytest.raises(InputError, match="on this machine; several go as a list"):
            read(path)


# ---- places


def test_places_with_odd_names(read, monkeypatch):
    table = pa.table({"a": [1.0, 2.0]})
    monkeypatch.setenv("HOME", str(Path.cwd()))
    for place in ("a b/x y.parquet", "[odd]/x.parquet"):
        Path(place).parent.mkdir()
        pa.parquet.write_table(table, place)
        np.testing.assert_array_equal(read(place), [[1], [2]])
    here = Path.cwd()
    for place in (here / "a b" / "x y.parquet", "~/a b/x y.parquet", f"file://{here}/a%20b"):
        np.testing.assert_array_equal(read(place), [[1], [2]])
    for place in ("file:///a b/x.parquet", "http://somewhere/x.csv"):
        with pytest.raises(InputError, match=r"no place that pyarrow knows.*%20 for spaces"):
            read(place)
    for place in ("none*.parquet", "none.parquet", "none/"):
        with pytest.raises(InputError, match="there is no"):
            read(place)
    with pytest.raises(InputTypeError, match="bytes cannot be scanned: give a path"):
        GaussianMixture(1).fit(b"x.parquet")


def test_what_lies_beside_tables_is_left_alone(read):
    """Half-written parts and copies that editors keep would count rows twice."""
    table = pa.table({"a": [1.0, 2.0]})
    for place in ("x.parquet", "_temporary/x.parquet", ".ipynb_checkpoints/x.parquet"):
        Path("rows", place).parent.mkdir(parents=True, exist_ok=True)
        pa.parquet.write_table(table, f"rows/{place}")
    for place in ("_SUCCESS", ".x.parquet.crc", "._x.parquet"):
        write(f"rows/{place}", "x")
    for place in ("rows", "rows/*", "rows/**/*.parquet", f"file://{Path.cwd()}/rows"):
        np.testing.assert_array_equal(read(place), [[1], [2]])
    np.testing.assert_array_equal(read("rows/_temporary/*"), [[1], [2]])
    np.testing.assert_array_equal(read("rows/_*/*.parquet"), [[1], [2]])
