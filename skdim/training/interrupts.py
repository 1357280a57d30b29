"""Ctrl-C in training: the step is finished, and the weights so far are kept."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType
from typing import Any, Self

#: Where scikit-learn fits the candidates of a search, and the folds of a cross-validation.
SEARCH = "sklearn.model_selection._validation"


class Interrupt:
    """Lets the first Ctrl-C in a block ask for an end, ``requested``, and the second raise KeyboardInterrupt at once.

    Another handler than Python's own is left alone, and threads other than the main one get no signals.
    """

    requested = False
    _before: Any = None

    def __enter__(self) -> Self:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)


def in_search() -> bool:
    """Return whether scikit-learn's search or cross-validation calls: half a candidate is worth nothing there."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_globals.get("__name__") == SEARCH:
            return True
        frame = frame.f_back
    return False
