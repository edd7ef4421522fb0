# SPDX-License-Identifier: Apache-2.0
"""The progress of work that takes long: one line on a terminal, which disappears at the end."""

import time
from typing import TextIO

_DELAY = 2.0  # seconds of work before the line is shown
_INTERVAL = 0.2  # seconds between two lines


class Progress:
    """Counts the bytes of one piece of work after the other."""

    def __init__(self, program: str = '', terminal: TextIO | None = None) -> None:
        """Begins to count.

        Args:
            program: the name of the program, with which the line begins.
            terminal: where the line is shown; with None it is not shown.
        """
        self._program = program
        self._terminal = terminal
        self._work = ''
        self._done = 0
        self._total = 0
        self._start = time.monotonic()
        self._next = self._start + _DELAY
        self._width = 0

    def begin(self, work: str, total: int) -> None:
        """Begins another piece of work.

        Args:
            work: the name of the work, a few words.
            total: the bytes to process; 0 if that is not known.
        """
        self._work = work
        self._done = 0
        self._total = total

    def advance(self, size: int) -> None:
        """Counts bytes that were processed, and updates the line from time to time.

        Args:
            size: the bytes processed since the last call.
        """
        self._done += size
        if self._terminal is None:
            return
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _INTERVAL
        text = f'{self._program}: {self._work}: {_mebibytes(self._done)}'
        if self._total:
            text += f' of {_mebibytes(self._total)}'
        self._show(f'{text} MiB')

    def clear(self) -> None:
        """Removes the line from the terminal."""
        if self._terminal is not None and self._width:
            self._show('')
            self._terminal.write('\r')
            self._terminal.flush()
            self._width = 0

    def _show(self, text: str) -> None:
        if self._terminal is None:
            return
        self._terminal.write('\r' + text.ljust(self._width))
        self._terminal.flush()
        self._width = len(text)


def _mebibytes(size: int) -> str:
    return f'{size / (1 << 20):.0f}'
