"""The two matrix products of the fast kernel, on one tile of rows, in registers.

A tile holds its rows side by side: ``table (p, b)`` with ``b`` a multiple of `lanes`. General
matrix products first copy their operands into a better order; for a handful of components that
copy costs as much as the product. The table is built in the right order in the first place, so
each product here is one loop over vector registers, written in LLVM's vector instructions because
loop vectorisers do not keep a block of accumulators in registers by themselves.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from mixtura.kernels.compiled_vectors import VECTOR_BYTES, Vectors, keep_apart

__all__ = ["add_logits", "add_sums", "lanes"]

_VECTORS = 2  # row vectors per block of logits
_FEATURES = 4  # features per block of sums; tables are padded to a multiple of it


def lanes(dtype: np.dtype[Any]) -> int:
    """Tiles hold a multiple of this many rows."""
    return _VECTORS * VECTOR_BYTES // dtype.itemsize


def _logits_block(height: int) -> Any:
    """An intrinsic: logits[c:c+height, i:i+lanes] += theta[c:c+height, lo:hi] @ table[:hi-lo]."""

    @intrinsic
    def block(
        typing: Any, theta: Any, table: Any, logits: Any, c: Any, i: Any, lo: Any, hi: Any
    ) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            emit = Vectors(context, builder, table.dtype)
            coefficients, source, target = map(emit.array, signature.args[:3], args[:3])
            c, i, lo, hi = args[3:]
            constant = lambda value: ir.Constant(c.type, value)  # noqa: E731
            sums = emit.accumulators(height * _VECTORS)
            with cgutils.for_range_slice(builder, lo, hi, constant(1)) as (j, _):
                row = builder.sub(j, lo)
                x = [
                    emit.load(emit.at(source, row, builder.add(i, constant(v * emit.count))))
                    for v in range(_VECTORS)
                ]
                for r in range(height):
                    a = emit.spread(emit.at(coefficients, builder.add(c, constant(r)), j))
                    for v in range(_VECTORS):
                        slot = sums[r * _VECTORS + v]
                        builder.store(emit.fma(a, x[v], builder.load(slot)), slot)
            for r in range(height):
                for v in range(_VECTORS):
                    column = builder.add(i, constant(v * emit.count))
                    place = emit.at(target, builder.add(c, constant(r)), column)
                    total = builder.load(sums[r * _VECTORS + v])
                    emit.store(builder.fadd(emit.load(place), total), place)
            return context.get_dummy_value()

        return types.void(theta, table, logits, c, i, lo, hi), codegen

    return block


def _sums_block(height: int) -> Any:
    """An intrinsic: sums[c:c+height, lo+j:lo+j+4] += shares[c:c+height, :b] @ table[j:j+4, :b]'."""

    @intrinsic
    def block(
        typing: Any, shares: Any, table: Any, sums: Any, c: Any, j: Any, lo: Any, b: Any
    ) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            emit = Vectors(context, builder, table.dtype)
            weights, source, target = map(emit.array, signature.args[:3], args[:3])
            c, j, lo, b = args[3:]
            constant = lambda value: ir.Constant(c.type, value)  # noqa: E731
            slots = emit.accumulators(height * _FEATURES)
            with cgutils.for_range_slice(builder, constant(0), b, constant(emit.count)) as (i, _):
                # 12 accumulators + 3 shares + 1 feature: all sixteen registers of AVX2.
                y = [
                    emit.load(emit.at(weights, builder.add(c, constant(r)), i))
                    for r in range(height)
                ]
                for s in range(_FEATURES):
                    x = emit.load(emit.at(source, builder.add(j, constant(s)), i))
                    for r in range(height):
                        slot = slots[r * _FEATURES + s]
                        builder.store(emit.fma(y[r], x, builder.load(slot)), slot)
            wide = ir.VectorType(ir.DoubleType(), _FEATURES)
            for r in range(height):
                row = slots[r * _FEATURES : (r + 1) * _FEATURES]
                total = emit.totals([builder.load(slot) for slot in row])
                if emit.size == 4:
                    total = builder.fpext(total, wide)
                place = builder.bitcast(
                    emit.at(target, builder.add(c, constant(r)), builder.add(lo, j)),
                    wide.as_pointer(),
                )
                builder.store(builder.fadd(builder.load(place, align=8), total), place, align=8)
            return context.get_dummy_value()

        return types.void(shares, table, sums, c, j, lo, b), codegen

    return block


_logits_1, _logits_2, _logits_3, _logits_4, _logits_5, _logits_6 = map(_logits_block, range(1, 7))
_sums_1, _sums_2, _sums_3 = map(_sums_block, range(1, 4))


@njit(nogil=True)
def add_logits(theta, table, logits, lo, hi, b, step):  # type: ignore[no-untyped-def]
    """logits[:, :b] += theta[:, lo:hi] @ table[: hi - lo, :b]; `step` is `lanes` of the type."""
    keep_apart()
    k = len(theta)
    blocks = (k + 5) // 6
    for i in range(0, b, step):
        c = 0
        for block in range(blocks):
            height = (k - c + blocks - block - 1) // (blocks - block)
            if height == 6:
                _logits_6(theta, table, logits, c, i, lo, hi)
            elif height == 5:
                _logits_5(theta, table, logits, c, i, lo, hi)
            elif height == 4:
                _logits_4(theta, table, logits, c, i, lo, hi)
            elif height == 3:
                _logits_3(theta, table, logits, c, i, lo, hi)
            elif height == 2:
                _logits_2(theta, table, logits, c, i, lo, hi)
            else:
                _logits_1(theta, table, logits, c, i, lo, hi)
            c += height


@njit(nogil=True)
def add_sums(shares, table, sums, lo, hi, b):  # type: ignore[no-untyped-def]
    """sums[:, lo:hi] += shares[:, :b] @ table[: hi - lo, :b].T; hi - lo is a multiple of 4."""
    keep_apart()
    k = len(shares)
    blocks = (k + 2) // 3
    for j in range(0, hi - lo, 4):
        c = 0
        for block in range(blocks):
            height = (k - c + blocks - block - 1) // (blocks - block)
            if height == 3:
                _sums_3(shares, table, sums, c, j, lo, b)
            elif height == 2:
                _sums_2(shares, table, sums, c, j, lo, b)
            else:
                _sums_1(shares, table, sums, c, j, lo, b)
            c += height
