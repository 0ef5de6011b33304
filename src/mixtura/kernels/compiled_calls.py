"""What keeps the compiler's work small where compiled functions call each other.

A function that is linked into another is compiled again with it. The long ones are compiled once
and found at their address instead; what only compiled functions call gets no wrappers for the
interpreter, which unpack every array of every tuple; and parts of arrays are copied as bytes.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from mixtura.kernels.compiled_sweep import OPTIONS

__all__ = ["INNER", "address_of", "call_compiled", "copy_part", "number_compiled"]

INNER: dict[str, Any] = {**OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Options of functions that only compiled ones call."""


def address_of(compiled: Any) -> int:
    """Where the code of a function of one signature lies, as long as the function is kept."""
    (made,) = compiled.overloads.values()
    return int(made.library.get_pointer_to_function(made.fndesc.llvm_func_name))


def _calling(result: Any) -> Any:
    """A call of a compiled function with such a result at its address, with a tuple of arguments.

    They must be of the kinds that it was compiled for, but for being read-only or a layout that is
    a case of another: these make no difference to where their numbers lie.
    """

    def call(typing: Any, address: Any, given: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            kinds, convention = given.types, context.call_conv
            kind = convention.get_function_type(result, kinds)
            function = builder.inttoptr(values[0], kind.as_pointer())
            arguments = cgutils.unpack_tuple(builder, values[1])
            status, found = convention.call_function(builder, function, result, kinds, arguments)
            with cgutils.if_unlikely(builder, status.is_error):
                convention.return_status_propagate(builder, status)
            return context.get_dummy_value() if result is types.none else found

        return result(address, given), codegen

    return intrinsic(call)


call_compiled, number_compiled = _calling(types.none), _calling(types.float64)
"""Functions without a result, and with a number for one."""


@intrinsic
def copy_part(typing: Any, target: Any, i: Any, source: Any, j: Any) -> Any:
    """``target[i] = source[j]`` for contiguous arrays whose parts are of one shape and apart.

    An assignment of slices is compiled for any strides and overlaps: a third of a second each.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointers = []
        for place in (0, 2):
            kind, number = signature.args[place], values[place + 1]
            array = context.make_array(kind)(context, builder, values[place])
            step = array.itemsize  # strides of a single part may be anything
            for length in cgutils.unpack_tuple(builder, array.shape)[1:]:
                step = builder.mul(step, length)
            first = builder.bitcast(array.data, cgutils.voidptr_t)
            pointers.append(builder.gep(first, [builder.mul(number, step)]))
        cgutils.raw_memcpy(builder, *pointers, step, 1)
        return context.get_dummy_value()

    if not (target.layout == source.layout == "C" and target.dtype == source.dtype):
        raise TypeError("parts of contiguous arrays of one type are copied")
    return types.void(target, types.intp, source, types.intp), codegen
