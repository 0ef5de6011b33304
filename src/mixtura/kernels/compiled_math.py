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

__all__ = ["LN2", "LOG2E", "exp_constants", "exponentiate", "larger", "log"]

LN2, LOG2E = 0.6931471805599453, 1.4426950408889634
"""Nats in a bit, and bits in a nat."""

# log 2 in two parts, the first short enough that k * high is exact (Cody and Waite 1980).
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
# Adding 1.5 * 2**52 rounds to an integer and leaves it in the low bits.
_ROUND, _ROUND_4 = 6755399441055744.0, 12582912.0
# Where a whole power of two has all bits zero: one below the smallest exponent.
_LOWEST, _LOWEST_4 = -1023.0, -127.0

# (2**r - 1) / r on |r| <= 1 / 2: minimax polynomials for the relative error of 2**r by the Remez
# exchange in 60 digits, 2e-17 and (five coefficients fewer) 3e-9.
_EXP2 = [
    0.6931471805599457,
    0.24022650695910097,
    0.05550410866479039,
    0.009618129107607003,
    0.0013333558153440072,
    0.000154035304415723,
    1.5252727385103187e-05,
    1.3215442675238752e-06,
    1.0180647693436777e-07,
    7.072570428847417e-09,
    4.078067173367583e-10,
]
_EXP2_4 = [0.6931472150, 0.2402265278, 0.0555031055, 0.0096176930, 0.0013406644, 0.0001559468]

# log(m) = 2 s + s**3 q(s**2), s = (m - 1) / (m + 1), for m between sqrt(1/2) and sqrt(2).
_L0, _L1, _L2 = 0.666666666666667, 0.39999999999898983, 0.2857142862619433
_L3, _L4, _L5 = 0.22222211101449724, 0.1818289141600423, 0.153316492333305
_L6 = 0.14617305248049747
_SQRT_HALF_BITS, _ROUND_BITS = np.int64(0x3FE6A09E667F3BCD), np.int64(0x4338000000000000)


@cache
def exp_constants(dtype: np.dtype[Any]) -> NDArray[Any]:
    """What `exponentiate` adds and multiplies with, one full vector register a row.

    They are an argument so that each instruction reads its constant from memory: sixteen registers
    do not hold them, and to spread each anew would double the instructions.
    """
    if dtype == np.float32:
        values = [_LOWEST_4, _ROUND_4, 1.0, *_EXP2_4]
    else:
        values = [_LOWEST, _ROUND, 1.0, *_EXP2]
    return np.repeat(np.array(values, dtype)[:, None], VECTOR_BYTES // dtype.itemsize, axis=1)


def _exp2(emit: Vectors, constants: list[Any], several: list[Any]) -> list[Any]:
    """Vector code of 2**x for some x <= 0, step by step for all: each constant is loaded once."""
    builder, fma = emit.builder, emit.fma
    lowest, rounding, one, *terms = constants
    bounded = [builder.select(builder.fcmp_ordered(">", x, lowest), x, lowest) for x in several]
    shifted = [builder.fadd(x, rounding) for x in bounded]
    wholes = [builder.fsub(s, rounding) for s in shifted]
    rests = [builder.fsub(x, k) for x, k in zip(bounded, wholes, strict=True)]
    squares = [builder.fmul(r, r) for r in rests]
    # Even and odd powers apart: half the waiting of Horner's rule for one multiplication more.
    halves = [[terms[-1]] * len(several), [terms[-2]] * len(several)]
    for turn, term in enumerate(reversed(terms[:-2])):
        sums = halves[turn % 2]
        halves[turn % 2] = [fma(s, q, term) for s, q in zip(squares, sums, strict=True)]
    odd, even = halves if len(terms) % 2 == 0 else halves[::-1]
    integers = ir.VectorType(ir.IntType(8 * emit.size), emit.count)
    shift = ir.Constant(integers, [23 if emit.size == 4 else 52] * emit.count)
    out = []
    for s, r, a, b in zip(shifted, rests, even, odd, strict=True):
        p = fma(r, fma(r, b, a), one)
        # p * 2**k: k is in the low bits of s and is added to the exponent
        exponent = builder.shl(builder.bitcast(s, integers), shift)
        sum_of_bits = builder.add(builder.bitcast(p, integers), exponent)
        out.append(builder.bitcast(sum_of_bits, emit.vector))
    return out


@intrinsic
def exponentiate(
    typing: Any, logits: Any, top: Any, norm: Any, constants: Any, c: Any, b: Any
) -> Any:
    """logits[c] = 2 ** (logits[c] - top) and norm[0] += logits[c], over the first `b` columns.

    No difference may be positive; far below, the result is 0. Elsewhere it is right to about one
    unit in the last place. `top` and `norm` are matrices of one row; `b` a multiple of `lanes`.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        emit = Vectors(context, builder, logits.dtype)
        values, tops, norms, table = map(emit.array, signature.args[:4], args[:4])
        c, b = args[4:]
        integer = lambda value: ir.Constant(c.type, value)  # noqa: E731
        rows = range(3 + len(_EXP2_4 if emit.size == 4 else _EXP2))
        zero, middle = integer(0), builder.and_(b, integer(-4 * emit.count))
        # Four vectors at a time keep the processor busy; two are left where b is odd.
        for vectors, start, stop in ((4, zero, middle), (2, middle, b)):
            step = integer(vectors * emit.count)
            with cgutils.for_range_slice(builder, start, stop, step) as (i, _):
                known = [emit.load(builder.gep(table[0], [integer(r * emit.count)])) for r in rows]
                columns = [builder.add(i, integer(v * emit.count)) for v in range(vectors)]
                places = [emit.at(values, c, column) for column in columns]
                best = [emit.load(emit.at(tops, zero, column)) for column in columns]
                pairs = zip(places, best, strict=True)
                drops = [builder.fsub(emit.load(place), most) for place, most in pairs]
                for share, place, column in zip(
                    _exp2(emit, known, drops), places, columns, strict=True
                ):
                    total = emit.at(norms, zero, column)
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
