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
from llvmlite.binding import get_host_cpu_features
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["add_logits", "add_sums", "lanes"]

_VECTOR_BYTES = 64 if get_host_cpu_features().get("avx512f") else 32
_VECTORS = 2  # row vectors per block of logits
_FEATURES = 4  # features per block of sums; tables are padded to a multiple of it


def lanes(dtype: np.dtype[Any]) -> int:
    """Tiles hold a multiple of this many rows."""
    return _VECTORS * _VECTOR_BYTES // dtype.itemsize


class _Emit:
    """Writes vector instructions for arrays of one float type."""

    def __init__(self, context: Any, builder: Any, float_type: Any) -> None:
        self.context, self.builder = context, builder
        self.scalar = context.get_value_type(float_type)
        self.size = 4 if float_type == types.float32 else 8
        self.count = _VECTOR_BYTES // self.size
        self.vector = ir.VectorType(self.scalar, self.count)
        name = f"llvm.fmuladd.v{self.count}f{8 * self.size}"
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        self._fma = cgutils.get_or_insert_function(builder.module, kind, name)

    def array(self, kind: Any, value: Any) -> tuple[Any, Any]:
        """Base pointer and row stride (in numbers) of a C-contiguous matrix."""
        array = self.context.make_array(kind)(self.context, self.builder, value)
        return array.data, cgutils.unpack_tuple(self.builder, array.shape)[1]

    def at(self, matrix: tuple[Any, Any], row: Any, column: Any) -> Any:
        base, stride = matrix
        index = self.builder.add(self.builder.mul(row, stride), column)
        return self.builder.gep(base, [index])

    def load(self, pointer: Any) -> Any:
        return self.builder.load(
            self.builder.bitcast(pointer, self.vector.as_pointer()), align=self.size
        )

    def store(self, value: Any, pointer: Any) -> None:
        self.builder.store(
            value, self.builder.bitcast(pointer, value.type.as_pointer()), align=self.size
        )

    def spread(self, pointer: Any) -> Any:
        undefined = ir.Constant(self.vector, ir.Undefined)
        lane = self.context.get_constant(types.int32, 0)
        one = self.builder.insert_element(undefined, self.builder.load(pointer), lane)
        return self.shuffle(one, undefined, [0] * self.count)

    def shuffle(self, a: Any, b: Any, order: list[int]) -> Any:
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(order)), order)
        return self.builder.shuffle_vector(a, b, mask)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        return self.builder.call(self._fma, [a, b, c])

    def accumulators(self, number: int) -> list[Any]:
        zero = ir.Constant(self.vector, [0.0] * self.count)
        slots = [cgutils.alloca_once(self.builder, self.vector) for _ in range(number)]
        for slot in slots:
            self.builder.store(zero, slot)
        return slots

    def totals(self, vectors: list[Any]) -> Any:
        """The sums over lanes of four vectors, as one vector of four."""
        while vectors[0].type.count > 4:
            half = vectors[0].type.count // 2
            low, high = list(range(half)), list(range(half, 2 * half))
            vectors = [
                self.builder.fadd(self.shuffle(v, v, low), self.shuffle(v, v, high))
                for v in vectors
            ]
        a, b, c, d = vectors
        ab = self.builder.fadd(
            self.shuffle(a, b, [0, 4, 2, 6]), self.shuffle(a, b, [1, 5, 3, 7])
        )
        cd = self.builder.fadd(
            self.shuffle(c, d, [0, 4, 2, 6]), self.shuffle(c, d, [1, 5, 3, 7])
        )
        return self.builder.fadd(
            self.shuffle(ab, cd, [0, 1, 4, 5]), self.shuffle(ab, cd, [2, 3, 6, 7])
        )


def _logits_block(height: int) -> Any:
    """An intrinsic: logits[c:c+height, i:i+lanes] += theta[c:c+height, lo:hi] @ table[:hi-lo]."""

    @intrinsic
    def block(typing: Any, theta: Any, table: Any, logits: Any, c: Any, i: Any, lo: Any, hi: Any):
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            emit = _Emit(context, builder, table.dtype)
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
    """An intrinsic: sums[c:c+height, lo+j:lo+j+4] += shares[c:c+height, :b] @ table[j:j+4, :b].T."""

    @intrinsic
    def block(typing: Any, shares: Any, table: Any, sums: Any, c: Any, j: Any, lo: Any, b: Any):
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            emit = _Emit(context, builder, table.dtype)
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
                builder.store(
                    builder.fadd(builder.load(place, align=8), total), place, align=8
                )
            return context.get_dummy_value()

        return types.void(shares, table, sums, c, j, lo, b), codegen

    return block


_logits_1, _logits_2, _logits_3, _logits_4, _logits_5, _logits_6 = map(_logits_block, range(1, 7))
_sums_1, _sums_2, _sums_3 = map(_sums_block, range(1, 4))


@njit(nogil=True)
def add_logits(theta, table, logits, lo, hi, b, step):  # type: ignore[no-untyped-def]
    """logits[:, :b] += theta[:, lo:hi] @ table[: hi - lo, :b]; `step` is `lanes` of the type."""
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
