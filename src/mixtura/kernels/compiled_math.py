"""Exponential and logarithm that compile to vector instructions.

Numba's own call the C library for one number at a time; these are straight lines of
multiplications, so that a loop over an array runs four to sixteen numbers at once.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types
from numba.extending import intrinsic, overload

__all__ = ["exp", "larger", "log"]

# No reassociation here: the reductions below rely on (a + b) - b rounding as written.
_OPTIONS = {"fastmath": {"contract"}, "error_model": "numpy"}

_LOG2E = 1.4426950408889634
# log 2 in two parts, the first short enough that k * _LN2_HIGH is exact (Cody and Waite 1980).
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_ROUND = 6755399441055744.0  # 1.5 * 2**52: adding it leaves round(x) in the low bits
_EXP_LOWEST = -700.0

_LOG2E_4 = np.float32(_LOG2E)
_LN2_HIGH_4, _LN2_LOW_4 = np.float32(0.693359375), np.float32(-2.12194440e-4)
_ROUND_4 = np.float32(12582912.0)  # 1.5 * 2**23
_EXP_LOWEST_4 = np.float32(-87.0)
_ZERO_4, _ONE_4 = np.float32(0.0), np.float32(1.0)

# Minimax polynomials of exp on |r| <= log(2) / 2, by the Remez exchange in 50 digits: relative
# errors 3e-18 and, with the first two coefficients rounded to 1, 1e-8.
_E2, _E3 = 0.5000000000000018, 0.1666666666666617
_E4, _E5, _E6 = 0.04166666666649263, 0.008333333333559434, 0.0013888888951261041
_E7, _E8, _E9 = 0.00019841269432470488, 2.48014864814364e-05, 2.755762262047198e-06
_E10, _E11 = 2.7632308174894487e-07, 2.4994303274813394e-08
_F2 = np.float32(0.49999992)
_F3, _F4 = np.float32(0.1666642007), np.float32(0.0416682262)
_F5, _F6 = np.float32(0.0083748248), np.float32(0.0013836836)

# Minimax polynomial q of log(m) = 2 s + s**3 q(s**2), s = (m - 1) / (m + 1), for m between
# sqrt(1/2) and sqrt(2).
_L0, _L1, _L2 = 0.666666666666667, 0.39999999999898983, 0.2857142862619433
_L3, _L4, _L5 = 0.22222211101449724, 0.1818289141600423, 0.153316492333305
_L6 = 0.14617305248049747
_SQRT_HALF_BITS, _ROUND_BITS = np.int64(0x3FE6A09E667F3BCD), np.int64(0x4338000000000000)


@intrinsic
def larger(typing, a, b):  # type: ignore[no-untyped-def]
    """The larger of two numbers, by a selection: a branch would become slow masked stores."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.select(builder.fcmp_ordered(">", *args), *args)

    return a(a, a), codegen


@njit(**_OPTIONS)
def _exp_8(x):  # type: ignore[no-untyped-def]
    clamped = x if x > _EXP_LOWEST else _EXP_LOWEST
    shifted = clamped * _LOG2E + _ROUND
    k = shifted - _ROUND
    r = (clamped - k * _LN2_HIGH) - k * _LN2_LOW
    # In pairs (Estrin), so that the processor need not wait for one product after the other.
    r2 = r * r
    low, middle = (_E2 + r * _E3) + r2 * (_E4 + r * _E5), (_E6 + r * _E7) + r2 * (_E8 + r * _E9)
    p = low + (r2 * r2) * (middle + (r2 * r2) * (_E10 + r * _E11))
    p = 1.0 + (r + r2 * p)
    bits = np.float64(p).view(np.int64) + (np.float64(shifted).view(np.int64) << 52)
    return np.int64(bits).view(np.float64) if x > _EXP_LOWEST else 0.0


@njit(**_OPTIONS)
def _exp_4(x):  # type: ignore[no-untyped-def]
    clamped = x if x > _EXP_LOWEST_4 else _EXP_LOWEST_4
    shifted = clamped * _LOG2E_4 + _ROUND_4
    k = shifted - _ROUND_4
    r = (clamped - k * _LN2_HIGH_4) - k * _LN2_LOW_4
    r2 = r * r
    p = (_F2 + r * _F3) + r2 * ((_F4 + r * _F5) + r2 * _F6)
    p = _ONE_4 + (r + r2 * p)
    power = np.int32(np.float32(shifted).view(np.int32) << 23)
    bits = np.int32(np.float32(p).view(np.int32) + power)
    return np.int32(bits).view(np.float32) if x > _EXP_LOWEST_4 else _ZERO_4


def exp(x: float) -> float:
    """e**x for x <= 0, to about one unit in the last place; 0 far below. Compiled code only."""
    raise NotImplementedError("mixtura.kernels.compiled_math.exp is for compiled code")


@overload(exp, jit_options=_OPTIONS)
def _exp(x):  # type: ignore[no-untyped-def]
    if x == types.float32:
        return lambda x: _exp_4(x)
    return lambda x: _exp_8(x)


@njit(**_OPTIONS)
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
