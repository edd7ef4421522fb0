# SPDX-License-Identifier: Apache-2.0
"""Work beside the main thread, for functions of C that release Python's lock while they work."""

import collections
import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

_AHEAD = 4  # blocks that are read before they are asked for

Item = TypeVar('Item')
Result = TypeVar('Result')


class Pending(Generic[Result]):
    """The result that a thread will have."""

    def __init__(self) -> None:
        import queue  # imported late: most runs need no thread

        self._outcome: queue.SimpleQueue[tuple[Result] | BaseException] = queue.SimpleQueue()

    def set(self, outcome: 'tuple[Result] | BaseException') -> None:
        """Sets what result() returns, in a tuple, or raises."""
        self._outcome.put(outcome)

    def result(self) -> Result:
        """Waits for the result and returns it, once; raises what the function raised."""
        outcome = self._outcome.get()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome[0]


class Beside(Generic[Item, Result]):
    """Threads that call a function with one item after the other.

    Its caller bounds what waits: who takes the oldest result before the next item is put never has
    more in memory than at first.
    """

    def __init__(self, work: Callable[[Item], Result], thread_count: int = 1) -> None:
        """Starts the threads.

        Args:
            work: the function.
            thread_count: how many items are worked on at a time.
        """
        import queue
        import threading

        self._work = work
        self._is_closed = False
        self._items: queue.SimpleQueue[tuple[Item, Pending[Result]] | None] = queue.SimpleQueue()
        # Daemons: a program that ends for another reason does not wait for them.
        self._threads = [
            threading.Thread(target=self._run, daemon=True) for _ in range(thread_count)
        ]
        for thread in self._threads:
            thread.start()

    def put(self, item: Item) -> Pending[Result]:
        """Hands over an item; returns the result that the function will have for it."""
        pending: Pending[Result] = Pending()
        self._items.put((item, pending))
        return pending

    def close(self) -> None:
        """Ends the threads; items for which they did nothing yet are dropped."""
        self._is_closed = True
        for _ in self._threads:
            self._items.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while True:
            found = self._items.get()
            if found is None or self._is_closed:
                return
            item, pending = found
            try:
                pending.set((self._work(item),))
            except BaseException as error:  # nothing is lost: result() raises it
                pending.set(error)


def call_both(check: Callable[[], object] | None, work: Callable[[], object]) -> None:
    """Calls two functions, at the same time if there is a second core.

    Args:
        check: called in this thread; None for nothing. What it raises is raised, whatever the other
            function does.
        work: called in a thread of its own; it has ended after the call.
    """
    if check is None or core_count() == 1:
        if check is not None:
            check()
        work()
        return

    with contextlib.closing(Beside(_call)) as beside:
        pending = beside.put(work)
        check()
        pending.result()


def _call(function: Callable[[], object]) -> None:
    function()


@contextlib.contextmanager
def read_ahead(blocks: Iterator[bytes]) -> Iterator[Iterator[bytes]]:
    """Makes a thread read blocks, up to a few of them before they are asked for.

    Args:
        blocks: the blocks. What their reading raises is raised at the same place.

    Yields:
        The blocks. After the context nothing reads them any more.
    """
    if core_count() == 1:
        yield blocks
        return

    def read(_: None) -> bytes | None:
        return next(blocks, None)

    with contextlib.closing(Beside(read)) as beside:
        yield _results_of(beside)


def _results_of(beside: Beside[None, bytes | None]) -> Iterator[bytes]:
    waiting = collections.deque(beside.put(None) for _ in range(_AHEAD))
    block = waiting.popleft().result()
    while block is not None:
        waiting.append(beside.put(None))
        yield block
        block = waiting.popleft().result()


class HashBeside:
    """A hash object of hashlib that a thread updates, as far as there is a second core."""

    def __init__(self, digest: Any) -> None:
        """Starts the thread.

        Args:
            digest: the hash object.
        """
        self._digest = digest
        self._beside: Beside[memoryview, None] | None = None
        self._waiting: collections.deque[Pending[None]] = collections.deque()
        if core_count() > 1:
            self._beside = Beside(digest.update)

    def update(self, block: memoryview) -> None:
        """Adds a block, which must not change any more."""
        if self._beside is None:
            self._digest.update(block)
            return
        if len(self._waiting) == _AHEAD:
            self._waiting.popleft().result()
        self._waiting.append(self._beside.put(block))

    def hexdigest(self) -> str:
        """Returns the hash of all blocks in hex digits."""
        while self._waiting:
            self._waiting.popleft().result()
        return str(self._digest.hexdigest())

    def close(self) -> None:
        """Ends the thread."""
        if self._beside is not None:
            self._beside.close()


def core_count() -> int:
    """Returns the number of cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
