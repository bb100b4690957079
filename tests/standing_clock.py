"""A live clock that stands: for tests in which the hour decides."""

import datetime as dt


class Standing:
    """Live, always at one instant; it waits for nobody."""

    live = True

    def __init__(self, at: dt.datetime) -> None:
        self._at = at

    def now(self, session: dt.date) -> dt.datetime:
        return self._at

    def sending(self, session: dt.date) -> dt.datetime:
        return self._at

    def wait(self, seconds: float) -> None:
        return None
