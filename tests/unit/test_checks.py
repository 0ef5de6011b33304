"""The one door: what users hand in, read once."""

import numpy as np
import pytest

from mixtura._checks import partition, plausibility, positions, row_weights, rows_like, table
from mixtura._errors import InputError, InputTypeError, MissingDependency, MixturaError

frames = (
    pytest.importorskip("pandas"),
    pytest.importorskip("polars"),
    pytest.importorskip("pyarrow"),
)


# ---- tables


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        (np.float64, np.float64), (np.float32, np.float32), (np.float16, np.float64),
        (np.int8, np.float64), (np.uint64, np.float64), (bool, np.float64), (">f8", np.float64),
        (">f4", np.float32), (np.longdouble, np.float64), (object, np.float64),
    ],
)  # fmt: skip
def test_numbers_keep_their_values(given, dtype):
    X = np.array([[1, 0], [0, 1], [1, 1]]).astype(given)
    read = table(X)
    assert read.rows.dtype == dtype and read.rows.dtype.isnative
    np.testing.assert_array_equal(read.rows, [[1, 0], [0, 1], [1, 1]])
    assert read.names is None


def test_what_is_no_number_is_shown_in_short():
    with pytest.raises(InputError, match="sample_weight must be numbers") as caught:
        row_weights(["a"] * 10_000, 10_000)
    assert len(str(caught.value)) < 100


def test_float64_in_order_is_not_copied():
    X = np.ones((4, 2))
    assert np.shares_memory(table(X).rows, X)
    X32 = X.astype(np.float32)
    assert np.shares_memory(table(X32).rows, X32)


def test_numbers_too_large_for_a_float_are_infinite_and_refused():
    with pytest.raises(InputError, match="infinity"):
        table([[np.inf, 1.0]])
    largest = np.finfo(float).max
    rows = table([[largest, -largest], [largest, largest]]).rows  # whose sum overflows
    assert np.isfinite(rows).all()


def test_nested_sequences_and_none():
    np.testing.assert_array_equal(table([[1, 2], [3, 4]]).rows, [[1, 2], [3, 4]])
    np.testing.assert_array_equal(table(((1, 2.5),)).rows, [[1, 2.5]])
    read = table([[1, None], [None, 4]]).rows
    assert np.isnan(read[0, 1]) and np.isnan(read[1, 0]) and read[1, 1] == 4


def test_numeric_strings_are_not_numbers():
    """Not even "1.5": a column of text was read wrongly somewhere else."""
    with pytest.raises(InputTypeError, match="not numbers"):
        table(np.array([["1.5", "2"]]))


def test_where_the_bad_cell_is():
    with pytest.raises((InputError, InputTypeError), match="row 1, column 0 holds 'x'"):
        table(np.array([[1.0, 2.0], ["x", 3.0]], dtype=object))
    X = np.ones((9, 3))
    X[2, 1] = X[4, 0] = X[5, 2] = X[6, 2] = np.inf
    with pytest.raises(InputError, match="row 2, column 1, row 4, column 0, row 5, column 2:"):
        table(X)
    X[2, 1] = X[4, 0] = X[5, 2] = X[6, 2] = 1.0
    X[7, 0], X[8, 0] = np.inf, -np.inf  # whose sum is NaN
    with pytest.raises(InputError, match="row 7"):
        table(X)


def test_infinities_far_down_are_found():
    X = np.zeros((200_000, 1))
    X[150_000] = np.inf
    with pytest.raises(InputError, match="row 150000"):
        table(X)


@pytest.mark.parametrize("module", range(3))
def test_frames(module):
    kind = frames[module]
    columns = {"a": [1.0, 2.0, 3.0], "n": [1, 2, 3], "flag": [True, False, True]}
    frame = kind.table(columns) if module == 2 else kind.DataFrame(columns)
    read = table(frame)
    assert read.names == ("a", "n", "flag")
    assert read.rows.dtype == np.float64
    np.testing.assert_array_equal(read.rows, [[1, 1, 1], [2, 2, 0], [3, 3, 1]])


@pytest.mark.parametrize("module", range(3))
def test_frames_of_float32_stay_float32(module):
    kind = frames[module]
    columns = {"a": np.arange(3, dtype=np.float32), "b": np.ones(3, dtype=np.float32)}
    frame = kind.table(columns) if module == 2 else kind.DataFrame(columns)
    assert table(frame).rows.dtype == np.float32


def test_an_integer_column_with_nulls():
    pd, pl, pa = frames
    for frame in (
        pd.DataFrame({"a": pd.array([1, None, 3], dtype="Int64")}),
        pl.DataFrame({"a": [1, None, 3]}),
        pa.table({"a": [1, None, 3]}),
        pd.DataFrame({"a": pd.array([True, None, True], dtype="boolean")}),
    ):
        rows = table(frame).rows
        assert np.isnan(rows[1, 0]) and not np.isnan(rows[[0, 2], 0]).any()


def test_rows_like_reorders_by_name():
    pd = frames[0]
    frame = pd.DataFrame({"b": [1.0], "a": [2.0], "z": [3.0]})
    np.testing.assert_array_equal(rows_like(frame, 2, ["a", "b"]), [[2.0, 1.0]])
    with pytest.raises(InputError, match="'c'"):
        rows_like(frame, 2, ["a", "c"])
    with pytest.raises(InputError, match=r"1 features.*2 features"):
        rows_like([[1.0]], 2)


# ---- weights, labels, starts


def test_weights():
    assert row_weights(None, 3) is None
    np.testing.assert_array_equal(row_weights([1, 0, 2], 3), [1.0, 0.0, 2.0])
    np.testing.assert_array_equal(row_weights(2, 3), [2.0, 2.0, 2.0])
    np.testing.assert_array_equal(row_weights(frames[0].Series([1, 2]), 2), [1.0, 2.0])
    np.testing.assert_array_equal(row_weights(frames[1].Series([1, 2]), 2), [1.0, 2.0])
    with pytest.raises(InputError, match="2 such rows"):
        row_weights([-1.0, -2.0, 3.0], 3)
    given = np.ones(3)
    assert not np.shares_memory(row_weights(given, 3), given)


def test_weights_that_quotients_cannot_hold():
    """Weights of 1e-310 once led to indices out of bounds in compiled code."""
    np.testing.assert_array_equal(row_weights([1.0, 1e-310], 2), [1.0, 0.0])
    with pytest.raises(InputError, match=r"below 1e-150 .divide it by its mean. for every row"):
        row_weights([1e-310, 1e-200], 2)
    with pytest.raises(InputError, match=r"at most 1e.150; row 1 has 1e.200"):
        row_weights([1.0, 1e200], 2)


def test_record_batches_have_names_and_nulls():
    batch = frames[2].record_batch({"a": [1.0, None], "b": [3, 4]})
    read = table(batch)
    assert read.names == ("a", "b")
    np.testing.assert_array_equal(read.rows, [[1.0, 3.0], [np.nan, 4.0]])
    np.testing.assert_array_equal(rows_like(batch, 2, ["b", "a"]), [[3.0, 1.0], [4.0, np.nan]])


def test_columns_of_one_name():
    with pytest.raises(InputError, match="no names of their own"):
        table(frames[0].DataFrame(np.ones((3, 2)), columns=["a", "a"]))


def test_a_path_is_not_rows():
    with pytest.raises(InputTypeError, match=r"'rows.csv', not rows: mixtura.scan"):
        table("rows.csv")


def test_plausibility_of_labels():
    assert plausibility(None, 3, 2) is None
    expected = [[0.0, -np.inf], [-np.inf, 0.0], [0.0, 0.0]]
    for given in ([0, 1, -1], np.array([0.0, 1.0, np.nan]), frames[0].Series([0, 1, None])):
        np.testing.assert_array_equal(plausibility(given, 3, 2), expected)
    soft = plausibility([[1.0, 0.5], [0.0, 2.0], [np.nan, np.nan]], 3, 2)
    np.testing.assert_allclose(soft, [[0.0, np.log(0.5)], [-np.inf, 0.0], [0.0, 0.0]])
    with pytest.raises(InputError, match=r"0\.\.1.*row 2"):
        plausibility([0, 1, 2], 3, 2)


def test_partition():
    np.testing.assert_array_equal(partition([0, 1, -1], 3, 2, "x"), [[1, 0], [0, 1], [1, 1]])
    np.testing.assert_allclose(partition([[1, 3], [2, 2], [0, 1]], 3, 2, "x").sum(axis=1), 1.0)
    for wrong in (np.zeros((3, 2)), [[1, -1], [1, 1], [1, 1]], [[np.nan, 1], [1, 1], [1, 1]]):
        with pytest.raises(InputError, match="where"):
            partition(wrong, 3, 2, "where")
    with pytest.raises(InputError, match=r"where has shape \(4,\)"):
        partition(np.zeros(4), 3, 2, "where")


def test_positions():
    names = ["a", "b", "c"]
    assert positions("b", 3, names) == [1]
    assert positions(2, 3, None) == [2]
    assert positions([-1, "a"], 3, names) == [2, 0]
    assert positions(np.array([1, 0]), 3, None) == [1, 0]
    for wrong in ("z", [3], [-4], [0, 0], [2, "c"]):
        with pytest.raises(InputError):
            positions(wrong, 3, names)
    with pytest.raises(InputError, match="named"):
        positions("a", 3, None)


def test_errors_are_of_both_trees():
    """A caller may catch ours, or the builtin kind that other libraries raise."""
    assert issubclass(InputError, ValueError) and issubclass(InputError, MixturaError)
    assert issubclass(InputTypeError, TypeError) and issubclass(InputTypeError, MixturaError)
    error = MissingDependency.of("rich", extra="cli")
    assert isinstance(error, ImportError)
    assert "rich" in str(error) and 'pip install "mixtura[cli]"' in str(error)
