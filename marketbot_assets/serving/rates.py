"""Token buckets: how often one caller may ask. Pure. Not here: who the caller is (`doors`, `access`)."""

from collections import OrderedDict

CALLERS_MAX = 4096


class Buckets:
    """One bucket per caller: `burst` requests at once, then `per_second`. The callers longest unheard of are forgotten."""

    def __init__(self, per_second: float, burst: float, most: int = CALLERS_MAX) -> None:
        self._rate, self._burst, self._most = per_second, burst, most
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str, at: float) -> float:
        """0 when the caller may go on, which costs one; else in how many seconds it may. `at`: seconds, any origin."""
        left, since = self._left.pop(caller, (self._burst, at))
        left = min(self._burst, left + max(0.0, at - since) * self._rate)
        wait = 0.0 if left >= 1.0 else (1.0 - left) / self._rate
        self._left[caller] = (left if wait else left - 1.0, at)
        while len(self._left) > self._most:
            self._left.popitem(last=False)
        return wait

    def __len__(self) -> int:
        return len(self._left)
