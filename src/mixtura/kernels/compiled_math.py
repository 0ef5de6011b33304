"""Exponential and logarithm in vector instructions.

Numba's own call the C library for one number at a time; these are straight lines of
multiplications, four to sixteen numbers at once.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from mixtura.kernels.compiled_vectors import VECTOR_BYTES, Vectors

__all__ = ["exp_constants", "exponentiate", "larger", "log"]

# log 2 in two parts, the first short enough that k * high is exact (Cody and Waite 1980).
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_LN2_HIGH_4, _LN2_LOW_4 = 0.693359375, -2.12194440e-4
# Adding 1.5 * 2**52 rounds to an integer and leaves it in the low bits.
_ROUND, _ROUND_4 = 6755399441055744.0, 12582912.0
_LOWEST, _LOWEST_4 = -700.0, -87.0

# (exp(r) - 1 - r) / r**2 on |r| <= log(2) / 2: minimax polynomials for the relative error of exp
# by the Remez exchange in 50 digits, 3e-18 and (six coefficients fewer) 1e-8.
_EXP = [
    0.5000000000000018,
    0.1666666666666617,
    0.04166666666649263,
    0.008333333333559434,
    0.0013888888951261041,
    0.00019841269432470488,
    2.48014864814364e-05,
    2.755762262047198e-06,
    2.7632308174894487e-07,
    2.4994303274813394e-08,
]
_EXP_4 = [0.49999992, 0.1666642007, 0.0416682262, 0.0083748248, 0.0013836836]

# log(m) = 2 s + s**3 q(s**2), s = (m - 1) / (m + 1), for m between sqrt(1/2) and sqrt(2).
_L0, _L1, _L2 = 0.666666666666667, 0.39999999999898983, 0.2857142862619433
_L3, _L4, _L5 = 0.22222211101449724, 0.1818289141600423, 0.153316492333305
_L6 = 0.14617305248049747
_SQRT_HALF_BITS, _ROUND_BITS = np.int64(0x3FE6A09E667F3BCD), np.int64(0x4338000000000000)


@cache
def exp_constants(dtype: np.dtype[Any]) -> NDArray[Any]:
    """What `exponentiate` multiplies with, one full vector register a row.

    They are an argument so that each instruction reads its constant from memory: sixteen registers
    do not hold them, and to spread each anew would double the instructions.
    """
    if dtype == np.float32:
        values = [_LOWEST_4, 1 / np.log(2), _ROUND_4, -_LN2_HIGH_4, -_LN2_LOW_4, 1.0, *_EXP_4]
    else:
        values = [_LOWEST, 1 / np.log(2), _ROUND, -_LN2_HIGH, -_LN2_LOW, 1.0, *_EXP]
    return np.repeat(np.array(values, dtype)[:, None], VECTOR_BYTES // dtype.itemsize, axis=1)


def _exp(emit: Vectors, constants: Any, several: list[Any]) -> list[Any]:
    """Vector code of exp(x) for some x <= 0, step by step for all: each constant is loaded once."""
    builder, fma = emit.builder, emit.fma
    lowest, log2e, rounding, high, low, one, *terms = constants
    shifted = [fma(x, log2e, rounding) for x in several]
    wholes = [builder.fsub(s, rounding) for s in shifted]
    partly = [fma(k, high, x) for k, x in zip(wholes, several, strict=True)]
    rests = [fma(k, low, x) for k, x in zip(wholes, partly, strict=True)]
    squares = [builder.fmul(r, r) for r in rests]
    # In pairs (Estrin), so that the processor need not wait for one product after the other.
    powers, tables = rests, [terms] * len(several)
    while len(tables[0]) > 1:
        tables = [_halved(emit, table, power) for table, power in zip(tables, powers, strict=True)]
        powers = [builder.fmul(p, p) for p in powers]
    integers = ir.VectorType(ir.IntType(8 * emit.size), emit.count)
    shift = ir.Constant(integers, [23 if emit.size == 4 else 52] * emit.count)
    zero = ir.Constant(emit.vector, [0.0] * emit.count)
    out = []
    for x, s, r, r2, (q,) in zip(several, shifted, rests, squares, tables, strict=True):
        p = builder.fadd(one, fma(r2, q, r))
        # p * 2**k: k is in the low bits of s and is added to the exponent
        exponent = builder.shl(builder.bitcast(s, integers), shift)
        value = builder.bitcast(builder.add(builder.bitcast(p, integers), exponent), emit.vector)
        out.append(builder.select(builder.fcmp_ordered(">", x, lowest), value, zero))
    return out


def _halved(emit: Vectors, terms: list[Any], power: Any) -> list[Any]:
    """The polynomial in `power` as one of half the degree in its square."""
    pairs = zip(terms[::2], terms[1::2], strict=False)
    return [emit.fma(power, b, a) for a, b in pairs] + (terms[-1:] if len(terms) % 2 else [])


@intrinsic
def exponentiate(
    typing: Any, logits: Any, top: Any, norm: Any, constants: Any, c: Any, b: Any
) -> Any:
    """logits[c] = exp(logits[c] - top) and norm[0] += logits[c], over the first `b` columns.

    No difference may be positive; far below, the result is 0. Elsewhere it is right to about one
    unit in the last place. `top` and `norm` are matrices of one row; `b` a multiple of `lanes`.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        emit = Vectors(context, builder, logits.dtype)
        values, tops, norms, table = map(emit.array, signature.args[:4], args[:4])
        c, b = args[4:]
        integer = lambda value: ir.Constant(c.type, value)  # noqa: E731
        rows = range(6 + len(_EXP_4 if emit.size == 4 else _EXP))
        with cgutils.for_range_slice(builder, integer(0), b, integer(2 * emit.count)) as (i, _):
            known = [emit.load(builder.gep(table[0], [integer(r * emit.count)])) for r in rows]
            columns = [builder.add(i, integer(v * emit.count)) for v in range(2)]
            places = [emit.at(values, c, column) for column in columns]
            totals = [emit.at(norms, integer(0), column) for column in columns]
            best = [emit.load(emit.at(tops, integer(0), column)) for column in columns]
            drops = [
                builder.fsub(emit.load(place), t) for place, t in zip(places, best, strict=True)
            ]
            shares = _exp(emit, known, drops)
            for share, place, total in zip(shares, places, totals, strict=True):
                emit.store(share, place)
                emit.store(builder.fadd(emit.load(total), share), total)
        return context.get_dummy_value()

    return types.void(logits, top, norm, constants, c, b), codegen


@intrinsic
def larger(typing: Any, a: Any, b: Any) -> Any:
    """The larger of two numbers, by a selection: a branch would become slow masked stores."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", *args), *args)

    return a(a, a), codegen


# No reassociation here: (a + b) - b must round as written.
@njit(error_model="numpy", fastmath={"contract"})
def log(x):  # type: ignore[no-untyped-def]
    """Natural logarithm of a finite float64 x >= 1, to about one unit in the last place."""
    bits = np.float64(x).view(np.int64)
    # k such that x / 2**k lies between sqrt(1/2) and sqrt(2); unsigned, as AVX2 has no signed shift
    k = np.int64(np.uint64(bits - _SQRT_HALF_BITS) >> np.uint64(52))
    m = np.int64(bits - (k << 52)).view(np.float64)
    power = np.int64(k + _ROUND_BITS).view(np.float64) - _ROUND  # float(k), in vector instructions
    s = (m - 1.0) / (m + 1.0)
    u = s * s
    q = _L0 + u * (_L1 + u * (_L2 + u * (_L3 + u * (_L4 + u * (_L5 + u * _L6)))))
    return power * _LN2_HIGH + (2.0 * s + (s * u * q + power * _LN2_LOW))
