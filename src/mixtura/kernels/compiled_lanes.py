"""Small triangular factors, of eight components at a time: each number is a row of eight.

All take the same steps, so a step is one on vector registers. Loop vectorisers do not see that rows
of the same matrix are apart, so the steps are written in LLVM's vector instructions.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from mixtura.kernels.compiled_vectors import Vectors

__all__ = ["LANES", "add_products", "forward", "pivot"]

LANES = 8


class _Rows:
    """Writes vector code for rows of `LANES` float64."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any) -> None:
        self.builder, self._emit = builder, Vectors(context, builder, types.float64)
        kinds = zip(signature.args, args, strict=True)
        self.given = [
            self._emit.array(kind, value) if isinstance(kind, types.Array) else value
            for kind, value in kinds
        ]
        self._integer = ir.IntType(64)
        self._columns = [self.whole(v) for v in range(0, LANES, self._emit.count)]
        name = f"llvm.sqrt.v{self._emit.count}f64"
        kind = ir.FunctionType(self._emit.vector, [self._emit.vector])
        self._sqrt = cgutils.get_or_insert_function(builder.module, kind, name)

    def whole(self, value: int) -> Any:
        return ir.Constant(self._integer, value)

    def number(self, value: float) -> list[Any]:
        """The same number in all lanes."""
        return [ir.Constant(self._emit.vector, [value] * self._emit.count)] * len(self._columns)

    def load(self, matrix: Any, row: Any) -> list[Any]:
        return [self._emit.load(self._emit.at(matrix, row, column)) for column in self._columns]

    def store(self, values: list[Any], matrix: Any, row: Any) -> None:
        for value, column in zip(values, self._columns, strict=True):
            self._emit.store(value, self._emit.at(matrix, row, column))

    def times(self, a: list[Any], b: list[Any]) -> list[Any]:
        return [self.builder.fmul(x, y) for x, y in zip(a, b, strict=True)]

    def plus(self, a: list[Any], b: list[Any], c: list[Any]) -> list[Any]:
        """``a b + c``."""
        return [self._emit.fma(x, y, z) for x, y, z in zip(a, b, c, strict=True)]

    def minus(self, a: list[Any]) -> list[Any]:
        return [self.builder.fneg(x) for x in a]

    def inverse_root(self, a: list[Any]) -> list[Any]:
        one = self.number(1.0)
        roots = [self.builder.call(self._sqrt, [x]) for x in a]
        return [self.builder.fdiv(x, y) for x, y in zip(one, roots, strict=True)]

    def sum(self, a: Any, b: Any) -> Any:
        return self.builder.add(a, b)

    def product(self, a: Any, b: Any) -> Any:
        return self.builder.mul(a, b)

    @contextmanager
    def each(self, start: Any, stop: Any) -> Iterator[Any]:
        """A loop over whole numbers."""
        with cgutils.for_range_slice(self.builder, start, stop, self.whole(1)) as (i, _):
            yield i

    def add(self, target: Any, at: Any, x: list[Any], y: Any, begin: Any, count: Any) -> None:
        """``target[at + i] += x y[begin + i]`` for i < count."""
        with self.each(self.whole(0), count) as i:
            place = self.sum(at, i)
            terms = self.load(y, self.sum(begin, i))
            self.store(self.plus(x, terms, self.load(target, place)), target, place)


@intrinsic
def pivot(typing: Any, factor: Any, s: Any, d: Any, reach: Any, product: Any) -> Any:
    """One step of a Cholesky factorization of the upper triangles ``factor[a * d + b]``.

    Row s becomes that of the factor, but with the inverse of its diagonal, as far as `reach` right
    of it, and is taken out of what is below. The pivot is multiplied into ``product[0]``.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        emit = _Rows(context, builder, signature, args)
        factor, s, d, reach, product = emit.given
        zero, one = emit.whole(0), emit.whole(1)
        own = emit.sum(emit.product(s, d), s)
        squared = emit.load(factor, own)
        emit.store(emit.times(squared, emit.load(product, zero)), product, zero)
        inverse = emit.inverse_root(squared)
        emit.store(inverse, factor, own)
        begin = emit.sum(own, one)
        with emit.each(zero, reach) as i:
            place = emit.sum(begin, i)
            emit.store(emit.times(inverse, emit.load(factor, place)), factor, place)
        with emit.each(zero, reach) as i:
            place, below = emit.sum(begin, i), emit.sum(emit.sum(s, one), i)
            many = emit.minus(emit.load(factor, place))
            diagonal = emit.sum(emit.product(below, d), below)
            emit.add(factor, diagonal, many, factor, place, builder.sub(reach, i))
        return context.get_dummy_value()

    return types.void(factor, s, d, reach, product), codegen


@intrinsic
def forward(
    typing: Any, factor: Any, d: Any, seen: Any, dense: Any, work: Any, squares: Any, g: Any
) -> Any:
    """Solve for the first `seen` of d unknowns, in place; ``squares[g]`` becomes the sum of theirs.

    `work` begins as the right-hand side. Rows from `seen` on end as what is left of it there.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        emit = _Rows(context, builder, signature, args)
        factor, d, seen, dense, work, squares, g = emit.given
        emit.store(emit.number(0.0), squares, g)
        with emit.each(emit.whole(0), seen) as s:
            own, after = emit.sum(emit.product(s, d), s), emit.sum(s, emit.whole(1))
            solved = emit.times(emit.load(factor, own), emit.load(work, s))
            emit.store(emit.plus(solved, solved, emit.load(squares, g)), squares, g)
            emit.store(solved, work, s)
            count = emit.product(builder.sub(d, after), dense)
            following = emit.sum(own, emit.whole(1))
            emit.add(work, after, emit.minus(solved), factor, following, count)
        return context.get_dummy_value()

    return types.void(factor, d, seen, dense, work, squares, g), codegen


@intrinsic
def add_products(
    typing: Any, sums: Any, first: Any, off: Any, d: Any, full: Any, step: Any, share: Any, g: Any
) -> Any:
    """Add ``share off_i`` from row `first` of the sums on, and products from row 0 on.

    With `full` one, ``share off_i off_j`` for i <= j, row after row; with zero only the squares,
    each `step` rows after the one before. The shares are row g of theirs.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        emit = _Rows(context, builder, signature, args)
        sums, first, off, d, full, step, share, g = emit.given
        zero, one = emit.whole(0), emit.whole(1)
        at = cgutils.alloca_once_value(builder, zero)
        shares = emit.load(share, g)
        with emit.each(zero, d) as i:
            own, place = emit.times(shares, emit.load(off, i)), emit.sum(first, i)
            emit.store(emit.plus(own, emit.number(1.0), emit.load(sums, place)), sums, place)
            rest = builder.sub(builder.sub(d, i), one)
            count = emit.sum(one, emit.product(full, rest))
            here = builder.load(at)
            emit.add(sums, here, own, off, i, count)
            jump = builder.select(builder.icmp_signed("==", full, one), count, step)
            builder.store(emit.sum(here, jump), at)
        return context.get_dummy_value()

    return types.void(sums, first, off, d, full, step, share, g), codegen
