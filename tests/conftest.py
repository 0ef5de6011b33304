"""Shared fixtures: both kernels, the reference data, and how hard Hypothesis looks."""

import contextlib
import csv
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from mixtura import kernels

_QUIET = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much]
settings.register_profile("dev", max_examples=20, deadline=None, suppress_health_check=_QUIET)
settings.register_profile(
    "ci", max_examples=25, deadline=None, suppress_health_check=_QUIET, derandomize=True
)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

DATA = Path(__file__).parent / "data"


@pytest.fixture(params=["plain", "compiled"])
def kernel(request):
    """Run the test on the NumPy kernels and on the compiled ones."""
    before = dict(kernels._state)
    if request.param == "compiled":
        pytest.importorskip("numba")
        module = pytest.importorskip("mixtura.kernels.compiled")
        needed = ("accumulate", "accumulate_centred", "log_joint")
        if not all(hasattr(module, name) for name in needed):
            pytest.skip("the compiled kernels are not complete")
    kernels.use(request.param)
    yield request.param
    kernels._state.clear()
    kernels._state.update(before)


@pytest.fixture
def each_kernel():
    """To loop over where the oracle is slow: the NumPy kernels, then the compiled ones if any."""

    def use():
        yield kernels.use("plain")
        with contextlib.suppress(ImportError):
            yield kernels.use("compiled")

    return use


@pytest.fixture(autouse=True)
def _same_kernels_before_and_after():
    """Every test begins without compiled kernels, whatever tests and fixtures loaded before."""
    kernels.use("auto")
    yield
    kernels.use("auto")


@pytest.fixture(scope="session")
def faithful():
    """Old Faithful, (272, 2): eruptions and waiting in minutes."""
    with open(DATA / "faithful.csv", newline="") as lines:
        rows = list(csv.reader(lines))
    return np.array([[float(cell) for cell in row[-2:]] for row in rows[1:]])


@pytest.fixture(scope="session")
def iris():
    """Iris as (rows (150, 4), species (150,))."""
    from sklearn.datasets import load_iris

    loaded = load_iris()
    return loaded.data, loaded.target


@pytest.fixture
def quiet():
    """Let warnings pass: for tests of what a hostile fit returns, not of what it says."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
