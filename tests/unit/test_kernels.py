"""The kernels: plain against slow loops, compiled against plain."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy.special import logsumexp, softmax

from mixtura import Mixture, kernels
from mixtura.kernels import plain
from mixtura.kernels.layout import DIAGONAL, FULL, LINEAR, SPHERICAL, second_width, width

SHAPES = [FULL, DIAGONAL, SPHERICAL, LINEAR]
SIZES = [
    (500, 2, 3),
    (300, 7, 5),
    (601, 20, 7),
    (70, 40, 1),
    (300, 50, 3),
    (300, 150, 2),
    (1, 1, 1),
    (0, 3, 2),
    (513, 1, 14),
]
# Rounding of sums of about a thousand numbers; in float32 of products of numbers up to 10.
TOLERANCE = {np.float64: 1e-12, np.float32: 3e-6}


@pytest.fixture(scope="module")
def compiled() -> ModuleType:
    pytest.importorskip("numba")
    from mixtura.kernels import compiled

    return compiled


def problem(n: int, d: int, k: int, dtype: Any = np.float64) -> dict[str, Any]:
    rng = np.random.default_rng([n, d, k])
    upper = np.triu(rng.normal(size=(k, d, d))) + 2 * np.eye(d)
    return {
        "rows": rng.normal(size=(n, d)).astype(dtype),
        "pivot": rng.normal(size=d),
        "scale": 2.0 ** rng.integers(-1, 1, d),
        "weights": rng.random(n),
        "log_weights": np.log(rng.dirichlet(np.ones(k))),
        "means": rng.normal(size=(k, d)),
        "log_norms": rng.normal(size=k),
        "factors": {FULL: upper, DIAGONAL: rng.random((k, d)), SPHERICAL: rng.random(k)},
        "theta": {s: rng.normal(size=(k, width(s, d))) for s in SHAPES},
    }


def fast(p: dict[str, Any], shape: int, hard: bool = False, **other: Any) -> tuple[Any, ...]:
    given = {**p, **other}
    return (
        *(given[name] for name in ("rows", "pivot", "scale", "weights")),
        given["theta"][shape],
        shape,
        hard,
    )


def accurate(p: dict[str, Any], shape: int, hard: bool = False, **other: Any) -> tuple[Any, ...]:
    given = {**p, **other}
    return (
        *(given[name] for name in ("rows", "pivot", "scale", "weights", "log_weights", "means")),
        given["factors"][shape],
        given["log_norms"],
        shape,
        hard,
    )


def joint(p: dict[str, Any], shape: int, **other: Any) -> tuple[Any, ...]:
    given = accurate(p, shape, **other)
    return (*given[:3], *given[4:-1])


def assert_same(a: Any, b: Any, tolerance: float) -> None:
    np.testing.assert_allclose(a[0], b[0], rtol=tolerance, atol=tolerance)
    largest = np.abs(b[1]).max(initial=1.0)
    np.testing.assert_allclose(a[1] / largest, b[1] / largest, rtol=0, atol=tolerance)


def slow_features(z: np.ndarray, shape: int) -> list[float]:
    d = len(z)
    second = {
        FULL: [z[i] * z[j] for i in range(d) for j in range(i, d)],
        DIAGONAL: [z[i] * z[i] for i in range(d)],
        SPHERICAL: [sum(v * v for v in z)],
        LINEAR: [],
    }
    return [*second[shape], *z, 1.0]


def slow_assign(logits: list[float], hard: bool) -> tuple[float, list[float]]:
    top = max(logits)
    if hard:
        return top, [float(c == logits.index(top)) for c in range(len(logits))]
    total = sum(np.exp(v - top) for v in logits)
    return top + np.log(total), [np.exp(v - top) / total for v in logits]


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_plain_is_the_sum_over_rows(shape: int, hard: bool) -> None:
    p = problem(40, 3, 4)
    total, sums = 0.0, np.zeros((4, width(shape, 3)))
    for row, weight in zip(p["rows"], p["weights"], strict=True):
        table = slow_features((row - p["pivot"]) * p["scale"], shape)
        logits = [float(np.dot(theta, table)) for theta in p["theta"][shape]]
        gain, shares = slow_assign(logits, hard)
        total += weight * gain
        sums += weight * np.outer(shares, table)
    assert_same(plain.accumulate(*fast(p, shape, hard)), (total, sums), 1e-12)


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("shape", [FULL, DIAGONAL, SPHERICAL])
def test_plain_centred_is_the_sum_over_rows(shape: int, hard: bool) -> None:
    p = problem(40, 3, 4)
    total, sums, table = 0.0, np.zeros((4, width(shape, 3))), []
    for row, weight in zip(p["rows"], p["weights"], strict=True):
        off = [(row - p["pivot"]) * p["scale"] - mean for mean in p["means"]]
        white = [
            o @ f if shape == FULL else o * f for o, f in zip(off, p["factors"][shape], strict=True)
        ]
        constants = p["log_weights"] + p["log_norms"]
        logits = [c - float(y @ y) / 2 for c, y in zip(constants, white, strict=True)]
        gain, shares = slow_assign(logits, hard)
        total += weight * gain
        table.append(logits)
        for c in range(4):
            sums[c] += weight * shares[c] * np.array(slow_features(off[c], shape))
    assert_same(plain.accumulate_centred(*accurate(p, shape, hard)), (total, sums), 1e-12)
    np.testing.assert_allclose(plain.log_joint(*joint(p, shape)), table, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", SIZES)
def test_compiled_accumulate(
    compiled: ModuleType, size: tuple[int, int, int], shape: int, dtype: Any
) -> None:
    p = problem(*size, dtype)
    for hard in (False, True):
        for weights in (p["weights"], np.empty(0)):
            given = fast(p, shape, hard, weights=weights)
            assert_same(compiled.accumulate(*given), plain.accumulate(*given), TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [FULL, DIAGONAL, SPHERICAL])
@pytest.mark.parametrize("size", SIZES)
def test_compiled_centred(
    compiled: ModuleType, size: tuple[int, int, int], shape: int, dtype: Any
) -> None:
    p = problem(*size, dtype)
    for hard in (False, True):
        for weights in (p["weights"], np.empty(0)):
            given = accurate(p, shape, hard, weights=weights)
            found, expected = compiled.accumulate_centred(*given), plain.accumulate_centred(*given)
            assert_same(found, expected, 1e-12)
    found, expected = compiled.log_joint(*joint(p, shape)), plain.log_joint(*joint(p, shape))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def layouts(rows: np.ndarray) -> dict[str, np.ndarray]:
    wide = np.zeros((len(rows), 2 * rows.shape[1] + 1), rows.dtype)
    wide[:, 1::2] = rows
    locked = rows.copy()
    locked.setflags(write=False)
    record = np.zeros(len(rows), np.dtype([("tag", "i1"), ("x", rows.dtype, rows.shape[1])]))
    record["x"] = rows
    return {
        "fortran": np.asfortranarray(rows),
        "strided": wide[:, 1::2],
        "backwards": rows[::-1].copy()[::-1],
        "read-only": locked,
        "big-endian": rows.astype(rows.dtype.newbyteorder(">")),
        "unaligned": record["x"],
    }


@pytest.mark.parametrize("kernels", ["plain", "compiled"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_layout_of_rows_does_not_matter(kernels: str, dtype: Any, compiled: ModuleType) -> None:
    module = {"plain": plain, "compiled": compiled}[kernels]
    p = problem(300, 5, 3, dtype)
    expected = module.accumulate(*fast(p, FULL))
    centred = module.accumulate_centred(*accurate(p, FULL))
    for name, rows in layouts(p["rows"]).items():
        found = module.accumulate(*fast(p, FULL, rows=rows))
        np.testing.assert_array_equal(found[1], expected[1], err_msg=name)
        found = module.accumulate_centred(*accurate(p, FULL, rows=rows))
        np.testing.assert_array_equal(found[1], centred[1], err_msg=name)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_far_rows_give_numbers(compiled: ModuleType, dtype: Any) -> None:
    p = problem(64, 2, 3, dtype)
    far = 1e150 if dtype == np.float64 else 1e15
    p["rows"][::7] *= dtype(far)
    p["theta"][DIAGONAL][:, :2] = -1.0
    for module in (plain, compiled):
        value, sums = module.accumulate(*fast(p, DIAGONAL))
        assert np.isfinite(value)
        assert np.isfinite(sums).all()


def test_first_wins_ties(compiled: ModuleType) -> None:
    p = problem(50, 2, 4)
    p["theta"][FULL][:] = p["theta"][FULL][0]
    for module in (plain, compiled):
        sums = module.accumulate(*fast(p, FULL, True))[1]
        assert sums[0, -1] == pytest.approx(p["weights"].sum())
        assert not sums[1:].any()


def test_threads_share_nothing(compiled: ModuleType) -> None:
    p = problem(4000, 6, 5)
    whole = compiled.accumulate(*fast(p, FULL))

    def part(cut: slice) -> Any:
        return compiled.accumulate(*fast(p, FULL, rows=p["rows"][cut], weights=p["weights"][cut]))

    cuts = [slice(start, start + 500) for start in range(0, 4000, 500)]
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(part, cuts))
    total = sum(value for value, _ in parts), sum(sums for _, sums in parts)
    assert_same(total, whole, 1e-12)


@pytest.mark.parametrize(("dtype", "bound"), [(np.float64, 3e-16), (np.float32, 1.5e-7)])
def test_exponential(compiled: ModuleType, dtype: Any, bound: float) -> None:
    import numba

    from mixtura.kernels import compiled_math

    @numba.njit
    def run(values, top, norm, constants, n):  # type: ignore[no-untyped-def]
        compiled_math.exponentiate(values, top, norm, constants, 0, n)

    lowest = -1021.0 if dtype == np.float64 else -125.0
    x = np.sort(np.random.default_rng(0).uniform(lowest, 0, (1, 4096)), axis=1).astype(dtype)
    x[0, :2], x[0, -1] = (-np.finfo(dtype).max, 2 * lowest), 0.0
    found, norm = x.copy(), np.zeros_like(x)
    constants = compiled_math.exp_constants(np.dtype(dtype))
    run(found, np.zeros_like(x), norm, constants, x.shape[1])
    exact = np.exp2(x.astype(np.longdouble))
    assert found[0, 0] == found[0, 1] == 0.0
    assert found[0, -1] == 1.0
    assert np.abs(found[0, 2:] / exact[0, 2:] - 1).max() < bound
    np.testing.assert_array_equal(norm, found)


def test_logarithm(compiled: ModuleType) -> None:
    from mixtura.kernels import compiled_math

    x = np.concatenate([1 + np.geomspace(1e-16, 1, 2000), np.geomspace(2, 1e300, 2000)])
    found = np.array([compiled_math.log(value) for value in x])
    exact = np.log(x.astype(np.longdouble))
    assert found[0] == 0.0
    np.testing.assert_allclose(found, exact.astype(float), rtol=4.5e-16, atol=0)


def test_cancellation_grows_with_distance_and_conditioning() -> None:
    def lost(mean: float, precision: np.ndarray) -> float:
        deviations = np.sqrt(np.linalg.inv(precision).diagonal())[None]
        return plain.cancellation(np.full((1, 2), mean), precision[None], deviations)

    assert lost(0.0, np.eye(2)) < 1e-14
    assert lost(1e6, np.eye(2)) == pytest.approx(2e12 * 2**-53, rel=1e-4)
    stretched = np.linalg.inv(np.array([[1.0, 1 - 1e-10], [1 - 1e-10, 1.0]]))
    assert lost(0.0, stretched) > 1e-6
    diagonal = plain.cancellation(np.full((1, 2), 3.0), np.ones((1, 2)), np.ones((1, 2)))
    spherical = plain.cancellation(np.full((1, 2), 3.0), np.ones(1), np.ones((1, 2)))
    assert diagonal == spherical == pytest.approx(72 * 2**-53)


@pytest.mark.parametrize("shape", SHAPES)
def test_features_follow_the_layout(shape: int) -> None:
    z = np.random.default_rng(0).normal(size=(6, 4))
    expected = np.array([slow_features(row, shape) for row in z]).T
    np.testing.assert_allclose(plain.features(z, shape), expected)
    assert len(expected) == width(shape, 4) == second_width(shape, 4) + 5


def either(name: str) -> ModuleType:
    if name == "plain":
        return plain
    pytest.importorskip("numba")
    from mixtura.kernels import compiled

    return compiled


@pytest.mark.parametrize("name", ["plain", "compiled"])
@pytest.mark.parametrize("size", [(0, 3), (1, 1), (7, 5), (1001, 8), (130, 700)])
def test_shares_are_those_of_scipy(name: str, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(size)
    joint = rng.normal(size=size) * 10.0 ** rng.integers(-3, 4, (size[0], 1)) - 500.0
    joint[:, 1:][rng.random(joint[:, 1:].shape) < 0.1] = -np.inf
    joint[::3, -1] = joint[::3].max(axis=1)  # as good as another, which comes first
    for given in (joint, np.asfortranarray(joint), np.broadcast_to(joint[:1], joint.shape)):
        sums, (shares, same) = either(name).log_sums(given), either(name).soft(given)
        np.testing.assert_array_equal(sums, same)
        # to the rounding of sums of k terms
        np.testing.assert_allclose(sums, logsumexp(given, axis=1), rtol=4e-16, atol=1e-15)
        np.testing.assert_allclose(shares, softmax(given, axis=1), rtol=1e-13, atol=1e-300)
        np.testing.assert_array_equal(either(name).best(given), given.argmax(axis=1))


@pytest.mark.parametrize("name", ["plain", "compiled"])
@pytest.mark.parametrize("bad", [[np.nan, np.nan], [-1.0, np.nan], [-np.inf, -np.inf]])
def test_a_row_without_a_density_is_not_given_one(name: str, bad: list[float]) -> None:
    joint = np.log([[0.5, 0.5], [0.2, 0.8], [0.1, 0.3]])
    joint[1] = bad
    with np.errstate(invalid="ignore", divide="ignore"):
        sums, (shares, _) = either(name).log_sums(joint), either(name).soft(joint)
    np.testing.assert_allclose(sums[::2], np.log([1.0, 0.4]), atol=1e-15)
    assert not np.isfinite(sums[1])
    assert np.isnan(shares[1]).all()


@pytest.mark.parametrize("name", ["plain", "compiled"])
def test_lloyd_is_k_means(name: str) -> None:
    cluster = pytest.importorskip("sklearn.cluster")
    rng = np.random.default_rng(0)
    for n, d, k in [(300, 2, 4), (200, 9, 3), (5, 1, 5), (300, 3, 12)]:
        rows, weights = rng.normal(size=(n, d)), rng.random(n)
        seeds = rows[:k].copy()
        labels = either(name).lloyd(rows.T, weights, seeds, 300)
        theirs = cluster.KMeans(k, init=seeds, n_init=1, tol=0.0).fit(rows, sample_weight=weights)
        np.testing.assert_array_equal(labels, theirs.labels_)
        np.testing.assert_array_equal(seeds, rows[:k])


@pytest.mark.parametrize("name", ["plain", "compiled"])
def test_an_empty_cluster_keeps_its_seed(name: str) -> None:
    columns = np.array([[0.0, 1.0, 5.0, 6.0]])
    seeds = np.array([[0.0], [100.0], [6.0]])
    assert either(name).lloyd(columns, np.ones(4), seeds, 9).tolist() == [0, 0, 2, 2]


@pytest.mark.parametrize("name", ["plain", "compiled"])
def test_spread_draws_by_weighted_squared_distance(name: str) -> None:
    columns, weights = np.array([[0.0, 1.0, 3.0]]), np.array([1.0, 4.0, 1.0])
    rng = np.random.default_rng(1)
    second = [
        either(name).spread(columns, weights, np.array([0.0, draw]))[1] for draw in rng.random(4000)
    ]
    # From row 0 the chances are 0, 4 * 1, 1 * 9.
    shares = np.bincount(second, minlength=3) / 4000
    np.testing.assert_allclose(shares, [0.0, 4 / 13, 9 / 13], atol=0.03)
    same = either(name).spread(np.ones((2, 4)), np.ones(4), np.array([0.1, 0.6, 0.99]))
    assert len(same) == 3


def test_seeds_are_the_same_compiled(compiled: ModuleType) -> None:
    rng = np.random.default_rng(2)
    for n, d, k in [(700, 3, 6), (50, 20, 4), (400, 5, 9)]:
        columns, weights, draws = rng.normal(size=(d, n)), rng.random(n), rng.random(k)
        chosen = plain.spread(columns, weights, draws)
        np.testing.assert_array_equal(compiled.spread(columns, weights, draws), chosen)
        seeds = columns.T[chosen]
        expected = plain.lloyd(columns, weights, seeds, 8)
        np.testing.assert_array_equal(compiled.lloyd(columns, weights, seeds, 8), expected)


def test_code_of_another_signature_in_the_cache_is_not_run(tmp_path, monkeypatch):
    """As two processes leave it that compile at once for float32 and for float64."""
    numba = pytest.importorskip("numba")
    from mixtura.kernels.calling import compile_for

    path = tmp_path / "doubled.py"
    path.write_text("def doubled(x):\n    return x + x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    from doubled import doubled  # type: ignore[import-not-found]

    single, double = (numba.types.float32,), (numba.types.float64,)
    for signature in (single, double):
        compile_for(doubled, signature)
    first, second = sorted(tmp_path.rglob("*.nbc"))
    second.write_bytes(first.read_bytes())
    found = compile_for(doubled, double)
    assert found(0.1) == 0.2 and found.signatures == [double]
    assert compile_for(doubled, double).stats.cache_hits


@pytest.mark.parametrize("fixed", [False, True])
def test_small_parts_of_work_add_up(fixed: bool, compiled: ModuleType, monkeypatch) -> None:
    monkeypatch.setattr(kernels, "_state", {"active": plain})
    monkeypatch.setattr(kernels, "_spent", {"seconds": 0.0})
    monkeypatch.setattr(kernels, "LOADING", 1e-4)
    monkeypatch.setattr(kernels, "COMPILING", 1e-4)
    kernels.use("plain" if fixed else "auto")
    mixture = Mixture([1.0], [[0.0]], [[[1.0]]])
    mixture.logpdf(np.zeros((10, 1)))
    assert kernels.active() is plain
    for _ in range(100):  # half a microsecond each
        mixture.logpdf(np.zeros((10, 1)))
    assert kernels.active() is plain
    for _ in range(3):
        mixture.logpdf(np.zeros((1000, 1)))
    assert kernels.active() is (plain if fixed else compiled)
