"""What every kernel shares: how it is compiled, when running sums begin anew, and the rule for values that are not there.

A kernel gets rows of a contiguous matrix (sessions, instruments) and fills the rows from `first` on; `number` is the absolute
number of the matrix's first session. Every column is worked on alone and in one order of sums, so blocks of instruments, the
full build and the next day's row give the same bits. Without fastmath. Kernels let other threads run. A value that is NaN or
infinite is unknown; a window with fewer known values than `least` is NaN. Rows before the matrix begins are unknown.
"""

from collections.abc import Callable
from typing import TypeVar, cast

import numba

RESTART = (
    256  # running sums are summed anew at session numbers divisible by this: window, build and increment then agree
)

Kernel = TypeVar("Kernel", bound=Callable[..., object])


def compiled(function: Kernel) -> Kernel:
    """The machine code of a kernel, kept beside the source; where no folder can be written it is compiled per process."""
    try:
        made = numba.njit(cache=True, error_model="numpy", nogil=True)(function)
    except RuntimeError:
        made = numba.njit(error_model="numpy", nogil=True)(function)
    return cast("Kernel", made)
