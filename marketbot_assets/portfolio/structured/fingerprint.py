"""What identifies compiled code: the bytecode of its functions and the numbers they read. Pure.

The compiler keeps machine code on disk and looks for changes in the file of the entry point alone; with this text in the entry
point's closure a change in any file of the kernel compiles anew. Not here: the kernel.
"""

import hashlib
from types import ModuleType

from numba.core.registry import CPUDispatcher


def fingerprint(*modules: ModuleType) -> str:
    """SHA-256 over every compiled function and every number at the top of the modules."""
    digest = hashlib.sha256()
    for module in modules:
        for name, value in sorted(vars(module).items()):
            if isinstance(value, CPUDispatcher):
                code = value.py_func.__code__
                digest.update(repr((name, code.co_code, code.co_consts, code.co_names, code.co_varnames)).encode())
            elif isinstance(value, int | float):
                digest.update(repr((name, value)).encode())
    return digest.hexdigest()
