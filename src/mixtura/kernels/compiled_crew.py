"""Threads that do one compiled job together without the interpreter: atomic steps and waiting.

To wake a thread that sleeps takes as long as a pass over some ten thousand rows, and the
interpreter lets one thread through at a time. So helpers watch for the next job a little while
after each, in compiled code: between two steps of EM they need no waking.
"""

from __future__ import annotations

import platform
from functools import cache
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from mixtura.kernels.calling import compile_for
from mixtura.kernels.compiled_calls import call_compiled
from mixtura.kernels.compiled_sweep import OPTIONS
from mixtura.kernels.compiled_vectors import keep_apart
from mixtura.kernels.crew import CODE, GIVEN, HELPED, NEXT, ROUND, STATE, YIELD

__all__ = ["add", "address_in", "attend", "close_job", "entrance", "helper", "open_job"]

_OPEN = 1 << 32
_PAUSES = 32


@intrinsic
def add(typing: Any, control: Any, place: Any, number: Any) -> Any:
    """Add to a control word at once, for all threads to see; returns what stood there."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, values[0])
        pointer = builder.gep(array.data, [values[1]])
        return builder.atomic_rmw("add", pointer, values[2], "seq_cst")

    return types.int64(control, types.intp, types.int64), codegen


@intrinsic
def look(typing: Any, control: Any, place: Any) -> Any:
    """What stands in a control word now, with all that was written before it."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, values[0])
        return builder.load_atomic(builder.gep(array.data, [values[1]]), "acquire", 8)

    return types.int64(control, types.intp), codegen


@intrinsic
def pause(typing: Any) -> Any:
    """Tell the processor that this thread is waiting."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if platform.machine().lower() in ("x86_64", "amd64"):
            kind = ir.FunctionType(ir.VoidType(), [])
            name = "llvm.x86.sse2.pause"
            builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def give_way(typing: Any, address: Any) -> Any:
    """Call a C function without arguments."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), [])
        builder.call(builder.inttoptr(values[0], kind.as_pointer()), [])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@intrinsic
def address_in(typing: Any, given: Any) -> Any:
    """Where a copy of a tuple lies, as long as the function that asks is at work."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        slot = cgutils.alloca_once_value(builder, values[0])
        return builder.ptrtoint(slot, context.get_value_type(types.int64))

    return types.int64(given), codegen


@intrinsic
def entrance(typing: Any, work: Any, given: Any) -> Any:
    """Where code lies that does `work` on the tuple at an address."""
    known = work.get_call_type(typing, (given,), {})

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        convention = context.call_conv
        kind = convention.get_function_type(types.none, (types.int64,))
        name = builder.module.get_unique_name("entrance")
        function = ir.Function(builder.module, kind, name)
        function.linkage = "internal"
        inside = ir.IRBuilder(function.append_basic_block())
        place = context.get_value_type(given).as_pointer()
        (address,) = convention.get_arguments(function)
        tuple_given = inside.load(inside.inttoptr(address, place))
        context.get_function(work, known)(inside, (tuple_given,))
        convention.return_value(inside, context.get_dummy_value())
        return builder.ptrtoint(function, context.get_value_type(types.int64))

    return types.int64(work, given), codegen


@njit(**OPTIONS)
def _wait(control):  # type: ignore[no-untyped-def]
    """A microsecond or so, in which other processes may run."""
    keep_apart()
    for _ in range(_PAUSES):
        pause()
    give_way(control[YIELD])


@njit(**OPTIONS)
def attend(control, patience):  # type: ignore[no-untyped-def]
    """Help with one job after the other, until none has come for so many waits."""
    done, waited = 0, 0
    while waited < patience:
        if look(control, STATE) < _OPEN or look(control, ROUND) == done:
            _wait(control)
            waited += 1
            continue
        if add(control, STATE, 1) >= _OPEN:
            done, waited = look(control, ROUND), 0
            control[HELPED] = done
            call_compiled(control[CODE], (control[GIVEN],))
        add(control, STATE, -1)


@cache
def helper() -> Any:
    """`attend`, compiled or loaded."""
    return compile_for(attend.py_func, (types.int64[::1], types.int64))


@njit(**OPTIONS)
def open_job(control, code, given):  # type: ignore[no-untyped-def]
    """Let helpers in, to begin with the first piece."""
    keep_apart()
    control[CODE], control[GIVEN], control[NEXT] = code, given, 0
    add(control, ROUND, 1)
    add(control, STATE, _OPEN)


@njit(**OPTIONS)
def close_job(control):  # type: ignore[no-untyped-def]
    """Let no more helpers in, and wait until those inside are done."""
    keep_apart()
    add(control, STATE, -_OPEN)
    while look(control, STATE) != 0:
        _wait(control)
