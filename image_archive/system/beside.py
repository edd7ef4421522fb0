# SPDX-License-Identifier: Apache-2.0
"""Work beside the main thread, for functions of C that release Python's lock while they work."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

_AHEAD = 4  # blocks that are read before they are asked for

Item = TypeVar('Item')
Result = TypeVar('Result')


class Beside(Generic[Item, Result]):
    """A thread that calls a function with one item after the other.

    Its caller bounds what waits: who takes the oldest result before the next item is put never has
    more in memory than at first.
    """

    def __init__(self, work: Callable[[Item], Result]) -> None:
        """Starts the thread.

        Args:
            work: the function. What it raises is raised by result().
        """
        import queue  # imported late: most runs need no thread
        import threading

        self._work = work
        self._is_closed = False
        self._items: queue.SimpleQueue[tuple[Item] | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[tuple[Result] | BaseException] = queue.SimpleQueue()
        # A daemon: a program that ends for another reason does not wait for it.
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def put(self, item: Item) -> None:
        """Hands over an item, for which result() must be called later."""
        self._items.put((item,))

    def result(self) -> Result:
        """Waits for the result of the oldest item; raises what the function raised for it."""
        outcome = self._results.get()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome[0]

    def close(self) -> None:
        """Ends the thread; items for which it did nothing yet are dropped."""
        self._is_closed = True
        self._items.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            item = self._items.get()
            if item is None or self._is_closed:
                return
            try:
                self._results.put((self._work(*item),))
            except BaseException as error:  # nothing is lost: result() raises it
                self._results.put(error)


@contextlib.contextmanager
def read_ahead(blocks: Iterator[bytes]) -> Iterator[Iterator[bytes]]:
    """Makes a thread read blocks, up to a few of them before they are asked for.

    Args:
        blocks: the blocks. What their reading raises is raised at the same place.

    Yields:
        The blocks. After the context nothing reads them any more.
    """
    if _core_count() == 1:
        yield blocks
        return

    def read(_: None) -> bytes | None:
        return next(blocks, None)

    with contextlib.closing(Beside(read)) as beside:
        yield _results_of(beside)


def _results_of(beside: Beside[None, bytes | None]) -> Iterator[bytes]:
    for _ in range(_AHEAD):
        beside.put(None)
    block = beside.result()
    while block is not None:
        beside.put(None)
        yield block
        block = beside.result()


class HashBeside:
    """A hash object of hashlib that a thread updates, as far as there is a second core."""

    def __init__(self, digest: Any) -> None:
        """Starts the thread.

        Args:
            digest: the hash object.
        """
        self._digest = digest
        self._beside: Beside[memoryview, None] | None = None
        self._waiting = 0  # blocks whose results were not taken
        if _core_count() > 1:
            self._beside = Beside(digest.update)

    def update(self, block: memoryview) -> None:
        """Adds a block, which must not change any more."""
        if self._beside is None:
            self._digest.update(block)
            return
        if self._waiting == _AHEAD:
            self._beside.result()
            self._waiting -= 1
        self._beside.put(block)
        self._waiting += 1

    def hexdigest(self) -> str:
        """Returns the hash of all blocks in hex digits."""
        while self._beside is not None and self._waiting:
            self._beside.result()
            self._waiting -= 1
        return str(self._digest.hexdigest())

    def close(self) -> None:
        """Ends the thread."""
        if self._beside is not None:
            self._beside.close()


def _core_count() -> int:
    """Returns the number of cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
