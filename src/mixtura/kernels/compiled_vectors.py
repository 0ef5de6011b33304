"""LLVM vector instructions, for the few loops that a loop vectoriser does not get right."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["VECTOR_BYTES", "Vectors", "call_at", "keep_apart"]

VECTOR_BYTES = 64 if get_host_cpu_features().get("avx512f") else 32


class Vectors:
    """Writes vector instructions for arrays of one float type."""

    def __init__(self, context: Any, builder: Any, float_type: Any) -> None:
        self.context, self.builder = context, builder
        self.scalar = context.get_value_type(float_type)
        self.size = 4 if float_type == types.float32 else 8
        self.count = VECTOR_BYTES // self.size
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
        ab = self.builder.fadd(self.shuffle(a, b, [0, 4, 2, 6]), self.shuffle(a, b, [1, 5, 3, 7]))
        cd = self.builder.fadd(self.shuffle(c, d, [0, 4, 2, 6]), self.shuffle(c, d, [1, 5, 3, 7]))
        return self.builder.fadd(
            self.shuffle(ab, cd, [0, 1, 4, 5]), self.shuffle(ab, cd, [2, 3, 6, 7])
        )


@intrinsic
def keep_apart(typing: Any) -> Any:
    """Called in a function, keeps it from being compiled again into each of its callers."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def call_at(typing: Any, address: Any, arrays: Any, sizes: Any) -> Any:
    """Call the C function at an address with pointers to contiguous arrays, then whole numbers.

    It returns a whole number.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        whole = ir.IntType(64)
        pointers = [
            context.make_array(kind)(context, builder, value).data
            for kind, value in zip(arrays, cgutils.unpack_tuple(builder, args[1]), strict=True)
        ]
        numbers = cgutils.unpack_tuple(builder, args[2])
        given = [*pointers, *numbers]
        kind = ir.FunctionType(whole, [value.type for value in given])
        return builder.call(builder.inttoptr(args[0], kind.as_pointer()), given)

    return types.int64(address, arrays, sizes), codegen
