"""Calls between compiled functions by address.

A function that is linked into another is compiled again with it. The long ones are compiled once
and found at their address instead.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["address_of", "call_compiled"]


def address_of(compiled: Any) -> int:
    """Where the code of a function of one signature lies, as long as the function is kept."""
    (made,) = compiled.overloads.values()
    return int(made.library.get_pointer_to_function(made.fndesc.llvm_func_name))


@intrinsic
def call_compiled(typing: Any, address: Any, given: Any) -> Any:
    """Call a compiled function without a result at its address, with a tuple of its arguments.

    They must be of the kinds that it was compiled for, but for being read-only or a layout that is
    a case of another: these make no difference to where their numbers lie.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kinds, convention = given.types, context.call_conv
        kind = convention.get_function_type(types.none, kinds)
        function = builder.inttoptr(values[0], kind.as_pointer())
        arguments = cgutils.unpack_tuple(builder, values[1])
        status, _ = convention.call_function(builder, function, types.none, kinds, arguments)
        with cgutils.if_unlikely(builder, status.is_error):
            convention.return_status_propagate(builder, status)
        return context.get_dummy_value()

    return types.void(address, given), codegen
