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

__all__ = [
    "add_logits",
    "add_logits_times_first",
    "add_sums",
    "add_upper",
    "lanes",
    "squared_norms",
]

_VECTORS = 2  # row vectors per block of logits
_STRIP = 256  # features times pairs of row vectors that are multiplied by all components in turn
_LEAST = 4  # pairs of row vectors in a strip of many features, that a triangle is read for
_BLOCKS = 8  # rows of sums, by three, that take their turn in the products with four features


def lanes(dtype: np.dtype[Any]) -> int:
    """Tiles hold a multiple of this many rows."""
    return _VECTORS * VECTOR_BYTES // dtype.itemsize


def _logits_block(height: int) -> Any:
    """An intrinsic: logits[c:c+height, start:stop] += theta[c:c+height, lo:hi] @ table[first:].

    With a column `origin` of theta, not negative, the logits begin with it instead. With a row
    `factor` of the table, not negative, what is added is that column and the product, times the
    row. Logits in a wider type than the table are only ever added to so.
    """

    @intrinsic
    def block(
        typing: Any,
        theta: Any,
        table: Any,
        logits: Any,
        c: Any,
        origin: Any,
        lo: Any,
        hi: Any,
        start: Any,
        stop: Any,
        first: Any,
        factor: Any,
    ) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            emit = Vectors(context, builder, table.dtype)
            coefficients, source, target = map(emit.array, signature.args[:3], args[:3])
            c, origin, lo, hi, start, stop, first, factor = args[3:]
            constant = lambda value: ir.Constant(c.type, value)  # noqa: E731
            sums = emit.accumulators(height * _VECTORS)
            rows = [builder.add(c, constant(r)) for r in range(height)]
            fresh = builder.icmp_signed(">=", origin, constant(0))
            scaled = builder.icmp_signed(">=", factor, constant(0))
            shift = builder.sub(first, lo)
            step = constant(_VECTORS * emit.count)
            with cgutils.for_range_slice(builder, start, stop, step) as (i, _):
                columns = [builder.add(i, constant(v * emit.count)) for v in range(_VECTORS)]
                places = [emit.at(target, row, column) for row in rows for column in columns]
                starts = [emit.at(coefficients, row, origin) for row in rows]
                _begin(emit, fresh, scaled, starts, places, sums)
                with cgutils.for_range_slice(builder, lo, hi, constant(1)) as (j, _):
                    feature = builder.add(j, shift)
                    x = [emit.load(emit.at(source, feature, column)) for column in columns]
                    for r, row in enumerate(rows):
                        a = emit.spread(emit.at(coefficients, row, j))
                        for v in range(_VECTORS):
                            slot = sums[r * _VECTORS + v]
                            builder.store(emit.fma(a, x[v], builder.load(slot)), slot)
                factors = [emit.at(source, factor, column) for column in columns]
                _end(emit, scaled, factors, places, sums)
            return context.get_dummy_value()

        given = theta, table, logits, c, origin, lo, hi, start, stop, first, factor
        return types.void(*given), codegen

    return block


def _begin(
    emit: Vectors, fresh: Any, scaled: Any, starts: Any, places: Any, sums: list[Any]
) -> None:
    """Fill the accumulators: one start for each row if `fresh`, zero if `scaled`, or the places."""
    builder = emit.builder
    if _widened(emit, places):
        scaled = ir.Constant(scaled.type, 1)
    with builder.if_else(fresh) as (then, otherwise):
        with then:
            for r, start in enumerate(starts):
                value = emit.spread(start)
                for v in range(_VECTORS):
                    builder.store(value, sums[r * _VECTORS + v])
        with otherwise, builder.if_else(scaled) as (nothing, there):
            with nothing:
                for slot in sums:
                    builder.store(ir.Constant(emit.vector, [0.0] * emit.count), slot)
            with there:
                if not _widened(emit, places):
                    for place, slot in zip(places, sums, strict=True):
                        builder.store(emit.load(place), slot)


def _widened(emit: Vectors, places: list[Any]) -> bool:
    """Whether the places hold doubles while vectors are of single precision."""
    return bool(places[0].type.pointee != emit.scalar)


def _end(emit: Vectors, scaled: Any, factors: list[Any], places: Any, sums: list[Any]) -> None:
    """Write the accumulators to the places, or add them, times one factor a column, if `scaled`."""
    builder = emit.builder
    with builder.if_else(scaled) as (then, otherwise):
        with then:
            by = [emit.load(factor) for factor in factors]
            for index, (place, slot) in enumerate(zip(places, sums, strict=True)):
                product = builder.load(slot), by[index % _VECTORS]
                if _widened(emit, places):
                    _add_wide(emit, *product, place)
                else:
                    emit.store(emit.fma(*product, emit.load(place)), place)
        with otherwise:
            if not _widened(emit, places):
                for place, slot in zip(places, sums, strict=True):
                    emit.store(builder.load(slot), place)


def _norms_block(height: int) -> Any:
    """An intrinsic: out[row, start:stop] += |factor[c:c+height] @ (table - means[which])|^2.

    With c = 0 the norms begin with it. Beyond column c + height the factor is zero.
    """

    @intrinsic
    def block(
        typing: Any,
        factor: Any,
        means: Any,
        table: Any,
        out: Any,
        which: Any,
        row: Any,
        c: Any,
        start: Any,
        stop: Any,
    ) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            emit = Vectors(context, builder, table.dtype)
            matrix, centre, source, target = map(emit.array, signature.args[:4], args[:4])
            which, row, c, start, stop = args[4:]
            constant = lambda value: ir.Constant(c.type, value)  # noqa: E731
            zero = ir.Constant(emit.vector, [0.0] * emit.count)
            slots = emit.accumulators(height * _VECTORS)
            rows = [builder.add(c, constant(r)) for r in range(height)]
            begins = builder.icmp_signed("==", c, constant(0))
            step, end = constant(_VECTORS * emit.count), builder.add(c, constant(height))
            with cgutils.for_range_slice(builder, start, stop, step) as (i, _):
                columns = [builder.add(i, constant(v * emit.count)) for v in range(_VECTORS)]
                for slot in slots:
                    builder.store(zero, slot)
                with cgutils.for_range_slice(builder, constant(0), end, constant(1)) as (j, _):
                    mean = emit.spread(emit.at(centre, which, j))
                    x = [
                        builder.fsub(emit.load(emit.at(source, j, column)), mean)
                        for column in columns
                    ]
                    for r, line in enumerate(rows):
                        a = emit.spread(emit.at(matrix, line, j))
                        for v in range(_VECTORS):
                            slot = slots[r * _VECTORS + v]
                            builder.store(emit.fma(a, x[v], builder.load(slot)), slot)
                for v, column in enumerate(columns):
                    place = emit.at(target, row, column)
                    total = builder.select(begins, zero, emit.load(place))
                    for r in range(height):
                        y = builder.load(slots[r * _VECTORS + v])
                        total = emit.fma(y, y, total)
                    emit.store(total, place)
            return context.get_dummy_value()

        given = factor, means, table, out, which, row, c, start, stop
        return types.void(*given), codegen

    return block


def _sums_block(height: int, features: int) -> Any:
    """An intrinsic: sums[c:c+height, lo+j:] += shares[c:c+height, :b] @ table[j:j+features, :b]'.

    Zeros are added up to the next multiple of four features.
    """

    @intrinsic
    def block(
        typing: Any, shares: Any, table: Any, sums: Any, c: Any, j: Any, lo: Any, b: Any
    ) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            emit = Vectors(context, builder, table.dtype)
            weights, source, target = map(emit.array, signature.args[:3], args[:3])
            c, j, lo, b = args[3:]
            constant = lambda value: ir.Constant(c.type, value)  # noqa: E731
            slots = emit.accumulators(height * features)
            with cgutils.for_range_slice(builder, constant(0), b, constant(emit.count)) as (i, _):
                # 12 accumulators + 3 shares + 1 feature: all sixteen registers of AVX2.
                y = [
                    emit.load(emit.at(weights, builder.add(c, constant(r)), i))
                    for r in range(height)
                ]
                for s in range(features):
                    x = emit.load(emit.at(source, builder.add(j, constant(s)), i))
                    for r in range(height):
                        slot = slots[r * features + s]
                        builder.store(emit.fma(y[r], x, builder.load(slot)), slot)
            zero = ir.Constant(emit.vector, [0.0] * emit.count)
            for r in range(height):
                row = [builder.load(slot) for slot in slots[r * features : (r + 1) * features]]
                row += [zero] * (-features % 4)
                for first in range(0, features, 4):
                    column = builder.add(builder.add(lo, j), constant(first))
                    place = emit.at(target, builder.add(c, constant(r)), column)
                    _add_four(emit, place, emit.totals(row[first : first + 4]))
            return context.get_dummy_value()

        return types.void(shares, table, sums, c, j, lo, b), codegen

    return block


def _add_wide(emit: Vectors, a: Any, b: Any, place: Any) -> None:
    """Add the products of two vectors of single precision to the doubles at a place."""
    builder, wide = emit.builder, ir.VectorType(ir.DoubleType(), emit.count)
    place = builder.bitcast(place, wide.as_pointer())
    total = builder.fmul(builder.fpext(a, wide), builder.fpext(b, wide), flags=("contract",))
    total = builder.fadd(builder.load(place, align=8), total, flags=("contract",))
    builder.store(total, place, align=8)


def _add_four(emit: Vectors, place: Any, values: Any) -> None:
    """Add four numbers to the float64 ones at a place."""
    builder, wide = emit.builder, ir.VectorType(ir.DoubleType(), 4)
    if emit.size == 4:
        values = builder.fpext(values, wide)
    place = builder.bitcast(place, wide.as_pointer())
    builder.store(builder.fadd(builder.load(place, align=8), values), place, align=8)


_logits_1, _logits_2, _logits_3, _logits_4, _logits_5, _logits_6 = map(_logits_block, range(1, 7))
_norms_1, _norms_2, _norms_3, _norms_4, _norms_5, _norms_6 = map(_norms_block, range(1, 7))
_sums_1, _sums_2, _sums_3 = (_sums_block(height, 4) for height in range(1, 4))
_sums_1_by_6, _sums_2_by_6 = _sums_block(1, 6), _sums_block(2, 6)


@njit(nogil=True)
def add_logits(theta, table, logits, origin, lo, hi, b, step):  # type: ignore[no-untyped-def]
    """logits[:, :b] += theta[:, lo:hi] @ table[: hi - lo, :b]; `step` is `lanes` of the type.

    The logits begin with column `origin` of theta instead of what they hold, unless it is negative.
    """
    _add(theta, table, logits, origin, lo, hi, b, step, 0, -1)


@njit(nogil=True)
def add_logits_times_first(  # type: ignore[no-untyped-def]
    theta, table, logits, origin, lo, hi, b, step, first
):
    """logits[:, :b] += (theta[:, origin] + theta[:, lo:hi] @ table[first:]) * table[0, :b].

    Without the column `origin` where that is negative.
    """
    _add(theta, table, logits, origin, lo, hi, b, step, first, 0)


@njit(nogil=True)
def _add(  # type: ignore[no-untyped-def]
    theta, table, logits, origin, lo, hi, b, step, first, factor
):
    """`add_logits`, from a row of the table on and times another, unless that is negative."""
    keep_apart()
    k = len(theta)
    blocks = (k + 5) // 6
    least = k // blocks
    more = k - least * blocks
    strip = max(_STRIP // max(hi - lo, 1), 1) * step  # of the table, to stay in the closest cache
    for start in range(0, b, strip):
        stop, c = min(start + strip, b), 0
        for block in range(blocks):
            height = least + 1 if block < more else least
            if height == 6:
                _logits_6(theta, table, logits, c, origin, lo, hi, start, stop, first, factor)
            elif height == 5:
                _logits_5(theta, table, logits, c, origin, lo, hi, start, stop, first, factor)
            elif height == 4:
                _logits_4(theta, table, logits, c, origin, lo, hi, start, stop, first, factor)
            elif height == 3:
                _logits_3(theta, table, logits, c, origin, lo, hi, start, stop, first, factor)
            elif height == 2:
                _logits_2(theta, table, logits, c, origin, lo, hi, start, stop, first, factor)
            else:
                _logits_1(theta, table, logits, c, origin, lo, hi, start, stop, first, factor)
            c += height


@njit(nogil=True)
def squared_norms(  # type: ignore[no-untyped-def]
    factor, means, table, out, which, row, b, step
):
    """out[row, :b] = |factor @ (table[:, :b] - means[which])|^2 for a lower triangle (d, d)."""
    keep_apart()
    d = len(factor)
    blocks = (d + 5) // 6
    least = d // blocks
    more = d - least * blocks
    strip = max(_STRIP // d, _LEAST) * step
    for start in range(0, b, strip):
        stop, c = min(start + strip, b), 0
        for block in range(blocks):
            height = least + 1 if block < more else least
            if height == 6:
                _norms_6(factor, means, table, out, which, row, c, start, stop)
            elif height == 5:
                _norms_5(factor, means, table, out, which, row, c, start, stop)
            elif height == 4:
                _norms_4(factor, means, table, out, which, row, c, start, stop)
            elif height == 3:
                _norms_3(factor, means, table, out, which, row, c, start, stop)
            elif height == 2:
                _norms_2(factor, means, table, out, which, row, c, start, stop)
            else:
                _norms_1(factor, means, table, out, which, row, c, start, stop)
            c += height


@njit(nogil=True)
def add_sums(shares, table, sums, lo, hi, b):  # type: ignore[no-untyped-def]
    """sums[:, lo:hi] += shares[:, :b] @ table[: hi - lo, :b].T; both are padded to fours."""
    keep_apart()
    k = len(shares)
    blocks = (k + 2) // 3
    least = k // blocks
    more = k - least * blocks
    width = hi - lo
    # Six at the end where four twice would be two too many.
    narrow = width // 4 * 4 - 4 if width > 4 and 0 < width % 4 < 3 else width
    for j in range(0, narrow, 4):
        c = 0
        for block in range(blocks):
            height = least + 1 if block < more else least
            if height == 3:
                _sums_3(shares, table, sums, c, j, lo, b)
            elif height == 2:
                _sums_2(shares, table, sums, c, j, lo, b)
            else:
                _sums_1(shares, table, sums, c, j, lo, b)
            c += height
    if narrow < width:
        for c in range(0, k - 1, 2):
            _sums_2_by_6(shares, table, sums, c, narrow, lo, b)
        if k % 2 == 1:
            _sums_1_by_6(shares, table, sums, k - 1, narrow, lo, b)


@njit(nogil=True)
def add_upper(shares, table, sums, b):  # type: ignore[no-untyped-def]
    """sums (d, d) += shares[:, :b] @ table[:d, :b].T on and right of the diagonal.

    Table and sums are padded to fours; some numbers left of the diagonal are written, too.
    """
    keep_apart()
    d = len(shares)
    blocks = (d + 2) // 3
    least = d // blocks
    more = d - least * blocks
    for near in range(0, blocks, _BLOCKS):  # few rows of shares at a time stay in the cache
        first = near * least + min(near, more)
        for j in range(first // 4 * 4, d, 4):
            for block in range(near, min(near + _BLOCKS, blocks)):
                c = block * least + min(block, more)
                if c >= j + 4:
                    break
                height = least + 1 if block < more else least
                if height == 3:
                    _sums_3(shares, table, sums, c, j, 0, b)
                elif height == 2:
                    _sums_2(shares, table, sums, c, j, 0, b)
                else:
                    _sums_1(shares, table, sums, c, j, 0, b)
