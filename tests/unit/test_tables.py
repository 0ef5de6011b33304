"""Reading and writing tables: what is guessed, what is told, what is refused."""

import bz2
import gzip
import io
import os
import sys

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow")
feather = pytest.importorskip("pyarrow.feather")
parquet = pytest.importorskip("pyarrow.parquet")

from mixtura._errors import InputError  # noqa: E402
from mixtura.io.columns import match, numbers_of  # noqa: E402
from mixtura.io.tables import read_raw, read_table  # noqa: E402
from mixtura.reading.writing import format_of, write_table  # noqa: E402

NAN = np.nan


@pytest.fixture
def read(tmp_path):
    """Write a content to a file and read it as a table."""

    def read(content, name="t.csv", **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_table(path, **options)

    return read


GUESSES = {
    "comma": ("a,b\n1,2\n3,4\n", ("a", "b"), [[1, 2], [3, 4]]),
    "tab": ("a\tb\n1\t2\n", ("a", "b"), [[1, 2]]),
    "semicolon": ("a;b\n1.5;2\n", ("a", "b"), [[1.5, 2]]),
    "decimal comma": ("a;b\n1,5;2\n3;-0,25\n", ("a", "b"), [[1.5, 2], [3, -0.25]]),
    "bar": ("a|b\n1|2\n", ("a", "b"), [[1, 2]]),
    "spaces": ("a  b c\n 1 2   3\n4\t5 6 \n", ("a", "b", "c"), [[1, 2, 3], [4, 5, 6]]),
    "one column": ("a\n1\n2\n", ("a",), [[1], [2]]),
    "no header": ("1,2\n3,?\n", ("x1", "x2"), [[1, 2], [3, NAN]]),
    "header of years and words": ("land,y2010\nx,2\n", ("y2010",), [[2]]),
    "no header, with text": ("5.1,3,setosa\n2,3,iris\n", ("x1", "x2"), [[5.1, 3], [2, 3]]),
    "missing": ("a,b\nNA,1\n,2\nnull,3\nNaN,4\n?,5\n6,6\n", ("a", "b"), None),
    "quoted": ('"a, x",b\n"1",2\n3,"4"\n', ("a, x", "b"), [[1, 2], [3, 4]]),
    "newline in quotes": ('a,b\n"x\ny",2\n"z",3\n', ("b",), [[2], [3]]),
    "spaces around": ("a, b\n1, NA\n 2 , 3\n", ("a", "b"), [[1, NAN], [2, 3]]),
    "byte-order mark": ("\ufeffa,b\n1,2\n", ("a", "b"), [[1, 2]]),
    "UTF-16": ("a,b\n1,2\n".encode("utf-16"), ("a", "b"), [[1, 2]]),
    "Latin 1": ("größe,b\n1,2\n".encode("latin-1"), ("größe", "b"), [[1, 2]]),
    "gzip": (gzip.compress(b"a,b\n1,2\n"), ("a", "b"), [[1, 2]]),
    "bzip2": (bz2.compress(b"a,b\n1,2\n"), ("a", "b"), [[1, 2]]),
    "carriage returns": ("a,b\r\n1,2\r\n", ("a", "b"), [[1, 2]]),
    "blank lines": ("\na,b\n\n1,2\n\n", ("a", "b"), [[1, 2]]),
    "boolean": ("a,b\n1,true\n2,false\n", ("a", "b"), [[1, 1], [2, 0]]),
    "constant": ("a,b\n1,7\n2,7\n", ("a", "b"), [[1, 7], [2, 7]]),
    "types seen late": ("a\n" + "1\n" * 200_000 + "1.5\n", ("a",), None),
}


@pytest.mark.parametrize("case", GUESSES)
def test_text_is_guessed(read, case):
    content, columns, rows = GUESSES[case]
    table = read(content)
    assert table.columns == columns
    assert table.rows.dtype == np.float64
    if rows is not None:
        np.testing.assert_array_equal(table.rows, np.array(rows, dtype=float))


def test_missing_cells_are_counted(read):
    table = read(GUESSES["missing"][0])
    assert table.missing == (5, 0)
    assert np.isnan(table.rows[:5, 0]).all()


def test_header_less_file_is_told(read):
    assert "columns named x1, x2" in read("1,2\n3,4\n").notes[0]


def test_skipped_columns_are_told_with_the_reason(read):
    table = read(",day,when,n,value\n1,Mon,2020-01-01,1,2\n2,Tue,2020-01-02,x,3\n3,We,,2,4\n")
    assert table.columns == ("value",)
    told = {skipped.column: skipped.reason for skipped in table.skipped}
    assert told["a column without a name"] == "perhaps row numbers"
    assert told["day"] == 'text, "Mon" in row 0'
    assert told["when"] == "dates or times"
    assert told["n"] == 'text: 1 of 3 cells is no number, first "x" in row 1'


def test_column_that_counts_rows_is_told(read):
    table = read("id,a\n" + "".join(f"{i},{i % 3}\n" for i in range(20)))
    assert table.columns == ("id", "a")
    assert '"id" only counts the rows' in table.notes[0]


@pytest.mark.parametrize(
    ("asked", "columns"),
    [
        (["b"], ("b",)),
        (["c,a"], ("c", "a")),
        (["c", "a"], ("c", "a")),
        (["^b"], ("a", "c")),
        (["[ab]"], ("a", "b")),
        (["*", "^a"], ("b", "c")),
        (["a*", "^a"], ("b", "c")),
    ],
)
def test_columns_are_chosen_by_name_and_pattern(read, asked, columns):
    assert read("a,b,c\n1,2,3\n", columns=asked).columns == columns


def test_taking_columns_away_leaves_those_that_would_be_taken(read):
    text = "w,id,a,b,kind\n1,1,2,3,x\n0.5,7,3,4,y\n"
    table = read(text, columns=["^b"], identifier="id", weights="w")
    assert table.columns == ("a",)
    assert [one.column for one in table.skipped] == ["kind"]


def test_identifier_and_weights_are_kept_aside(read):
    table = read("w,id,a\n1,q,2\n0.5,r,3\n", identifier="id", weights="w")
    assert table.columns == ("a",)
    assert table.ids.to_pylist() == ["q", "r"]
    np.testing.assert_array_equal(table.weights, [1, 0.5])


REFUSED = {
    "empty": ("", {}, "is empty"),
    "blank": ("\n\n", {}, "no rows"),
    "no rows": ("a,b\n", {}, "column names but no rows"),
    "no number": ("a,b\nx,y\n", {}, 'no numeric column: "a" is text'),
    "infinite": ("a,b\n1,inf\n2,3\n4,-inf\n", {}, r'"b" holds infinite values in rows 0, 2 '),
    "overflow": ("a,b\n1,1e400\n", {}, '"b" holds infinite values in row 0 '),
    "all missing": ("a,b\n1,\n2,NA\n", {}, '"b" has no values at all'),
    "too many cells": ("a,b\n1,2\n1,2,3\n", {}, r"row 3 \(the header is row 1\) has 3 cells"),
    "too few cells": ("a,b\n1\n2,3\n", {}, r"row 2 .* has 1 cell where 2"),
    "ragged, no header": ("1,2\n1,2,3\n", {}, r"row 2 has 3 cells where 2"),
    "open quote": ('a,b\n"x,2\n3,4\n', {}, "quote cells"),
    "same name": ("a,a\n1,2\n", {}, 'two columns are named "a"'),
    "binary": (b"\x00\x01\x02\x03", {}, "is not text, Parquet or Arrow"),
    "spreadsheet": (b"PK\x03\x04abc", {}, "spreadsheet"),
    "damaged gzip": (gzip.compress(b"a,b\n1,2\n" * 99)[:-20], {}, "damaged gzip"),
    "near name": ("Waiting,b\n1,2\n", {"columns": ["waitin"]}, 'did you mean "Waiting"'),
    "no match": ("a,b\n1,2\n", {"columns": ["z*"]}, 'nothing matches "z\\*": it has "a", "b"'),
    "text asked for": (
        "a,b\n1,x\n",
        {"columns": ["b"]},
        r'"b" is not numeric \(text, "x" in row 0',
    ),
    "no identifier": ("a,b\n1,2\n", {"identifier": "id"}, 'no column "id"'),
    "negative weight": ("w,a\n1,2\n-1,3\n", {"weights": "w"}, "from 0 up: look at row 1 "),
    "text weight": ("w,a\nx,2\ny,3\n", {"weights": "w"}, '"w" are not numeric'),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_what_where_and_remedy(read, case):
    content, options, message = REFUSED[case]
    with pytest.raises(InputError, match=message):
        read(content, **options)


def test_missing_file_names_its_neighbours(tmp_path):
    (tmp_path / "faithful.csv").write_text("a\n1\n")
    with pytest.raises(InputError, match=r"did you mean .*faithful\.csv"):
        read_table(tmp_path / "faithfull.csv")
    with pytest.raises(InputError, match="does not exist either"):
        read_table(tmp_path / "no" / "x.csv")
    with pytest.raises(InputError, match="is a folder"):
        read_table(tmp_path)


def test_parquet_of_float32_stays_float32(tmp_path):
    path = tmp_path / "t.parquet"
    columns = {"a": pa.array([1, None], pa.float32()), "b": pa.array([3, 4], pa.float32())}
    parquet.write_table(pa.table(columns | {"c": ["x", "y"]}), path)
    table = read_table(path)
    assert table.rows.dtype == np.float32
    np.testing.assert_array_equal(table.rows, np.array([[1, 3], [NAN, 4]], np.float32))
    parquet.write_table(pa.table(columns | {"c": [1.0, 2.0]}), path)
    assert read_table(path).rows.dtype == np.float64


def test_arrow_types(tmp_path):
    path = tmp_path / "t.arrow"
    columns = {
        "small": pa.array([1, None], pa.int8()),
        "money": pa.array([1, 2], pa.decimal128(5, 2)),
        "flag": pa.array([True, None]),
        "kind": pa.array(["x", "y"]).dictionary_encode(),
        "list": pa.array([[1], [2]]),
    }
    feather.write_feather(pa.table(columns), path)
    table = read_table(path)
    assert table.columns == ("small", "money", "flag")
    np.testing.assert_array_equal(table.rows, [[1, 1, 1], [NAN, 2, NAN]])
    assert [skipped.column for skipped in table.skipped] == ["kind", "list"]


@pytest.mark.parametrize("content", [b"PAR1 and no more", b"ARROW1 and no more", b"a,b\n1,2\n"])
def test_broken_or_misnamed_parquet(tmp_path, content):
    path = tmp_path / "t.parquet"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"damaged or cut short|does not hold Parquet"):
        read_table(path)


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a,b\n1,2\n")))
    table = read_table("-")
    assert (table.columns, table.source) == (("a", "b"), "standard input")


def test_match_finds_columns_by_name_in_any_order(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("who,b,a\nx,2,1\ny,,3\n")
    raw = read_raw(path)
    assert match(raw, ("a", "b")) == ("a", "b")
    np.testing.assert_array_equal(numbers_of(raw.arrow, ("a", "b"), "t"), [[1, 2], [3, NAN]])
    with pytest.raises(InputError, match='the model needs a column "c"'):
        match(read_raw(path), ("a", "c"))
    assert match(raw, ("a", "c"), allow_missing=True) == ("a",)
    np.testing.assert_array_equal(numbers_of(raw.arrow, ("a", "c"), "t"), [[1, NAN], [3, NAN]])
    with pytest.raises(InputError, match='"who" is not numeric'):
        match(read_raw(path), ("a", "who"))


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.parquet", "t.arrow"])
def test_written_tables_come_back(tmp_path, name):
    numbers = np.array([0.1, NAN, 1 / 3])
    texts = ["u", 'say "v", w', "line\nbreak"]
    write_table({"a": numbers, 'b, "x"': texts}, tmp_path / name)
    raw = read_raw(tmp_path / name).arrow
    np.testing.assert_array_equal(raw["a"].to_numpy(), numbers)
    assert raw['b, "x"'].to_pylist() == texts
    assert raw["a"].null_count == 1


def test_csv_quotes_only_where_it_must(tmp_path):
    write_table({"id": ["u", "v"], "a": [1, 2]}, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "id,a\nu,1\nv,2\n"


def test_suffix_says_the_format():
    assert format_of("x.PQ") == "parquet"
    with pytest.raises(InputError, match=r"use one of \.csv"):
        format_of("x.xls")


def test_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    write_table({"a": [1]}, path)

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(pa.csv, "write_csv", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_table({"a": [2]}, path)
    assert path.read_text() == "a\n1\n"
    assert os.listdir(tmp_path) == ["t.csv"]


def test_unwritable_place_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cannot write .*no/t\.csv"):
        write_table({"a": [1]}, tmp_path / "no" / "t.csv")
