# SPDX-License-Identifier: Apache-2.0
"""The files of a run: those it is given, opened once, and those it makes, whole or not at all."""

import contextlib
import errno
import io
import os
import re
import signal
import stat
from collections.abc import Iterator
from types import TracebackType

from image_archive.errors import ArgumentError

# What ends a program by default, and can be handled.
STOPPING_SIGNALS = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGALRM,
    signal.SIGXCPU,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
_LINKS_LIMIT = 40  # that Linux follows
_TEXT_LIMIT = 64 << 20  # bytes of a configuration, metadata or identifier file


@contextlib.contextmanager
def errors_name(path: str) -> Iterator[None]:
    """Has the system's errors name a file as the caller knows it.

    Args:
        path: the path as the user gave it.

    Raises:
        OSError: the one that was raised in the context, which names the file now.
    """
    try:
        yield
    except OSError as error:
        error.filename = path
        error.filename2 = None
        raise


def read_whole(path: str) -> bytes:
    """Reads a small file, which may be a pipe.

    Args:
        path: the path, /dev/stdin and a shell's /dev/fd/N among them.

    Returns:
        All its bytes.

    Raises:
        OSError: it cannot be read.
        ArgumentError: it has over 64 MiB.
    """
    with errors_name(path), open(path, 'rb') as file:
        data = file.read(_TEXT_LIMIT + 1)
    if len(data) > _TEXT_LIMIT:
        raise ArgumentError(f'{path!r} has over {_TEXT_LIMIT >> 20} MiB: give a smaller file')
    return data


class InputFile:
    """A regular file that is opened once, however often it is read.

    Attributes:
        path: the path as the user gave it.
        file: the file, open for reading.
        size: its size in bytes.
    """

    def __init__(self, path: str) -> None:
        """Opens the file.

        Args:
            path: the path of a regular file.

        Raises:
            OSError: it is missing, no regular file, or cannot be opened.
        """
        self.path = path
        with errors_name(path):
            # Asked first, for to open a FIFO waits for its writer.
            kind = os.stat(path).st_mode
            if stat.S_ISDIR(kind):
                raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
            if not stat.S_ISREG(kind):
                raise OSError(errno.ESPIPE, 'Not a regular file')
            self.file = open(path, 'rb')
            self._status = os.fstat(self.file.fileno())
        self.size = self._status.st_size

    def is_same(self, path: str) -> bool:
        """Tells whether a path leads to this file.

        Args:
            path: any path; one that leads nowhere is not the same.
        """
        try:
            return os.path.samestat(os.stat(path), self._status)
        except OSError:
            return False

    def check_unchanged(self) -> None:
        """Raises OSError if the file, or what its path leads to, is another than at first."""
        with errors_name(self.path):
            for now in (os.fstat(self.file.fileno()), os.stat(self.path)):
                if _identity(now) != _identity(self._status):
                    raise OSError(errno.ESTALE, 'it changed while it was read')

    def close(self) -> None:
        """Closes the file."""
        self.file.close()


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


class PartialFiles:
    """The temporary files of a run, for a signal handler to remove."""

    def __init__(self) -> None:
        self._paths: set[str] = set()

    def add(self, path: str) -> None:
        """Has a signal remove a file.

        Args:
            path: the path of the file.
        """
        self._paths.add(path)

    def discard(self, path: str) -> None:
        """Removes a file, which need not be there.

        Args:
            path: the path of the file.
        """
        try:
            os.unlink(path)
        except OSError:
            pass
        self._paths.discard(path)

    def forget(self, path: str) -> None:
        """Leaves a file to whoever put it in its place.

        Args:
            path: the path that it had.
        """
        self._paths.discard(path)

    def discard_all(self) -> None:
        """Removes all the files."""
        for path in list(self._paths):
            self.discard(path)


class OutputFile:
    """A file that appears at its path whole, or not at all; a context manager.

    It is written beside its path, and put there by put_in_place(). Into a FIFO or a device, and
    to standard output, it is written directly.

    Attributes:
        path: where it is to appear; '-' is standard output.
        name: the path, or 'standard output', for messages.
        file: the file, open for writing.
        target: the path of the file that is replaced, without links; None for what is written
            directly.
    """

    def __init__(self, path: str, partial_files: PartialFiles | None = None) -> None:
        """Opens the file for writing.

        Args:
            path: where it is to appear; '-' is standard output.
            partial_files: where the temporary file is noted while there is one.

        Raises:
            OSError: the folder is missing or cannot be written.
        """
        self.path = path
        self.name = _name_of(path)
        self._partial_files = partial_files or PartialFiles()
        self.target: str | None = None
        self._temporary: str | None = None
        with errors_name(self.name):
            descriptor = _descriptor(path)
            if descriptor is not None:
                # To open /dev/stdout would begin the file behind it anew.
                self.file: io.FileIO = open(os.dup(descriptor), 'wb', buffering=0)
            elif is_replaced(path):
                self._open_beside(path)
            else:
                self.file = open(path, 'wb', buffering=0)

    def _open_beside(self, path: str) -> None:
        target = os.path.realpath(path)
        if os.path.islink(target):
            os.stat(target)  # raises ELOOP
        if path.endswith('/'):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        folder = os.path.dirname(target)
        self._temporary = _temporary_path(folder)
        self._partial_files.add(self._temporary)
        self.file = open(self._temporary, 'xb', buffering=0)
        self.target = target

    def write(self, data: bytes | memoryview) -> None:
        """Writes all of some bytes.

        Args:
            data: the bytes.

        Raises:
            OSError: the system's, with the name of the output.
        """
        rest = memoryview(data)
        with errors_name(self.name):
            while rest:
                count = os.write(self.file.fileno(), rest)
                rest = rest[count:]

    def close(self) -> None:
        """Ends the file, which is not yet in its place."""
        with errors_name(self.name):
            self.file.close()

    def put_in_place(self) -> None:
        """Puts the file at its path, where it replaces what is there."""
        self.close()
        if self._temporary is None or self.target is None:
            return
        with errors_name(self.name):
            os.replace(self._temporary, self.target)
        self._partial_files.forget(self._temporary)
        self._temporary = None

    def discard(self) -> None:
        """Removes what is not in its place."""
        try:
            self.file.close()
        except (OSError, AttributeError):  # a full disk may tell at the end; or it never opened
            pass
        if self._temporary is not None:
            self._partial_files.discard(self._temporary)
            self._temporary = None

    def __enter__(self) -> 'OutputFile':
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.discard()

    def __del__(self) -> None:
        self.discard()


def _name_of(output: str) -> str:
    """Returns what errors call an output."""
    return 'standard output' if output == '-' else output


def _temporary_path(folder: str) -> str:
    return os.path.join(folder, f'.create_image-{os.urandom(8).hex()}.partial')


def put_all_in_place(outputs: list[OutputFile]) -> None:
    """Puts files in their places, all of them before a signal is heeded.

    Args:
        outputs: the files, written to their ends.

    Raises:
        OSError: one cannot be put in its place; then those before it are not there either, and
            the old files are again, where the file system gives a file a second name.
    """
    for output in outputs:
        output.close()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING_SIGNALS)
    try:
        with contextlib.ExitStack() as undone_on_errors:
            for output in outputs[:-1]:
                undone_on_errors.enter_context(_put_for_now(output))
            outputs[-1].put_in_place()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _put_for_now(output: OutputFile) -> Iterator[None]:
    """Puts a file in its place, and undoes that if an error ends the context."""
    target = output.target
    if target is None:
        output.put_in_place()
        yield
        return
    had_old = os.path.exists(target)
    kept = _second_name(target)
    try:
        output.put_in_place()
        try:
            yield
        except OSError:
            if kept is not None:
                os.replace(kept, target)
            elif not had_old:
                os.unlink(target)
            raise
    finally:
        if kept is not None:
            PartialFiles().discard(kept)


def _second_name(path: str) -> str | None:
    """Gives a file a second name beside it; None where that fails, or there is no file."""
    name = _temporary_path(os.path.dirname(path))
    try:
        os.link(path, name)
    except OSError:
        return None
    return name


def is_replaced(path: str) -> bool:
    """Tells whether a path has no file, or a regular one, which a new one replaces.

    Args:
        path: the path of an output; '-' is standard output, which is not replaced.
    """
    if _descriptor(path) is not None:
        return False
    return os.path.isfile(path) or not os.path.exists(path)


def _descriptor(path: str) -> int | None:
    """Returns the number of the descriptor that an output's path stands for, or None.

    '-' does, as do /dev/stdout, /dev/fd/3 and what leads there. Were it looked at as a file once
    inputs are open, one of them might have got the number of a descriptor that was closed.
    """
    if path == '-':
        return 1
    own_descriptors = rf'/dev/fd|/proc/{os.getpid()}(/task/[0-9]+)?/fd'
    for _ in range(_LINKS_LIMIT):
        folder, name = os.path.split(path)
        folder = os.path.realpath(folder)
        if re.fullmatch(own_descriptors, folder) and name.isdecimal():
            return int(name)
        path = os.path.join(folder, name)
        if not os.path.islink(path):
            break
        path = os.path.join(folder, os.readlink(path))
    return None


def folder_for_temporary(output: str) -> str | None:
    """Returns the folder of an output, or None where that is no regular file.

    What is inflated there needs as much room as the output, on the same file system, which may
    share its blocks.

    Args:
        output: the path of the output; '-' is standard output.
    """
    if not is_replaced(output):
        return None
    return os.path.dirname(os.path.realpath(output))


def check_output(output: str) -> None:
    """Checks that there is where to write an output, before a file is opened.

    Args:
        output: the path of the output; '-' is standard output.

    Raises:
        OSError: its folder is not there, or the descriptor is not open that it stands for.
    """
    descriptor = _descriptor(output)
    with errors_name(_name_of(output)):
        if descriptor is not None:
            os.fstat(descriptor)
        elif is_replaced(output):
            os.stat(os.path.join(os.path.dirname(os.path.realpath(output)), ''))


def overwrites(output: str, path: str) -> bool:
    """Tells whether to write an output changes the file at a path.

    Args:
        output: the path of the output, which check_output() passed.
        path: the path of an input.
    """
    if is_replaced(output):
        return os.path.realpath(output) == os.path.realpath(path)
    try:
        status = os.stat(path)
        return stat.S_ISREG(status.st_mode) and os.path.samestat(status, _output_status(output))
    except OSError:  # said where it is opened
        return False


def are_one_output(one: str, other: str) -> bool:
    """Tells whether two outputs would be one file.

    Args:
        one: the path of an output; '-' is standard output.
        other: the path of another one.
    """
    if os.path.realpath(one) == os.path.realpath(other):
        return True
    try:
        return os.path.samestat(_output_status(one), _output_status(other))
    except OSError:  # one is not there yet
        return False


def _output_status(path: str) -> os.stat_result:
    descriptor = _descriptor(path)
    if descriptor is not None:
        return os.fstat(descriptor)
    return os.stat(path)
