"""What columns are like, against sums in extended precision."""

import numpy as np
import pytest

from mixtura.block import Block, cuts
from mixtura.fit.summary import summarize
from mixtura.measurement import Errors
from mixtura.source import MemorySource

N = 40_000  # several blocks


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 4)) * [1.0, 1e-3, 50.0, 1.0] + [0.0, 1e4, -20.0, 7.0]
    X[:, 2].sort()  # blocks that have little in common
    X[:, 3] = 7.0
    return X


def modes(X, mode):
    weights, rng = None, np.random.default_rng(1)
    if "gaps" in mode:
        X = np.where(rng.random(X.shape) < 0.3, np.nan, X)
        X[: N // 2, 0] = np.nan
        X[: N // 2, 3] = np.nan
    if "weights" in mode:
        weights = rng.random(N) * (rng.random(N) < 0.7)
        weights[1000:15_000] = 0.0
        X[weights == 0.0] = 1e300  # rows that do not count
    return X, weights


@pytest.mark.parametrize("mode", ["plain", "gaps", "weights", "gaps, weights"])
def test_moments_of_the_observed_cells(rows, mode):
    X, weights = modes(rows.copy(), mode)
    found = summarize(MemorySource(X, weights))
    w = np.ones(N) if weights is None else weights
    assert found.weight == pytest.approx(w.sum(), rel=1e-13)
    assert found.measured is False
    assert found.patterns == max(len(Block(X[cut]).patterns) for cut in cuts(N, 4))
    for j, column in enumerate(X.T):
        seen = ~np.isnan(column) & (w > 0)
        x, v = column[seen].astype(np.longdouble), w[seen].astype(np.longdouble)
        mean = v @ x / v.sum()
        deviation = float(np.sqrt(v @ (x - mean) ** 2 / v.sum()))
        # some 40 000 roundings of one unit in the last place of the span, of either sign
        span = float(x.max() - x.min())
        assert found.observed[j] == pytest.approx(float(v.sum()), rel=1e-13)
        assert found.mean[j] == pytest.approx(float(mean), rel=4e-16, abs=1e-13 * span)
        assert found.deviation[j] == pytest.approx(deviation, rel=1e-12)


@pytest.mark.parametrize("exponent", [-960, 960])
def test_a_power_of_two_changes_no_bit(rows, exponent):
    """Far below and above what can be squared; blocks may lack a column, or hold a constant one."""
    X, _ = modes(rows.copy(), "gaps")
    X[: N // 2, 1] = X[0, 1]
    known = summarize(MemorySource(X))
    found = summarize(MemorySource(np.ldexp(X, exponent)))
    np.testing.assert_array_equal(found.observed, known.observed)
    np.testing.assert_array_equal(found.mean, np.ldexp(known.mean, exponent))
    np.testing.assert_array_equal(found.deviation, np.ldexp(known.deviation, exponent))


@pytest.mark.parametrize("kind", ["float32", "fortran", "strided", "single row"])
def test_layouts_of_the_rows(rows, kind):
    given = {
        "float32": rows.astype(np.float32),
        "fortran": np.asfortranarray(rows),
        "strided": rows[::3, ::2],
        "single row": rows[:1],
    }[kind]
    found = summarize(MemorySource(given))
    known = summarize(MemorySource(np.array(given, dtype=np.float64, order="C")))
    np.testing.assert_array_equal(found.mean, known.mean)
    np.testing.assert_array_equal(found.deviation, known.deviation)


def test_errors_of_measurement_are_taken_off_the_variance(rows):
    few = rows[:20_000, :2]
    variances = np.array([[0.3, 1e-7]])
    block = Block(few, errors=Errors(variances[:, :, None]))
    found = summarize(MemorySource.of(block))
    assert found.measured
    np.testing.assert_allclose(found.deviation**2, few.var(axis=0) - variances[0], rtol=1e-10)


def test_rows_are_read_once(rows):
    class Counted(MemorySource):
        visits = 0

        def map(self, function):
            self.visits += 1
            return super().map(function)

    source = Counted(rows)
    summarize(source)
    assert source.visits == 1
