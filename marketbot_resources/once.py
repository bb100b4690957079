"""What a frozen object says of itself, worked out once per object and never carried over to a copy. Pure.

It is kept beside the object, not in it: a copy with other fields would take it along.
"""

import weakref
from collections.abc import Callable

OBJECTS_MAX = 64
_KEPT: dict[int, tuple["weakref.ref[object]", str]] = {}


def once(of: object, make: Callable[[], str]) -> str:
    """What `make` said when it was first asked about this very object."""
    kept = _KEPT.get(id(of))
    if kept is None or kept[0]() is not of:
        if len(_KEPT) >= OBJECTS_MAX:
            _KEPT.clear()
        kept = _KEPT[id(of)] = weakref.ref(of), make()
    return kept[1]
