# SPDX-License-Identifier: Apache-2.0
"""The files that a program writes: each appears whole or not at all, and replaces no input."""

import contextlib
import errno
import io
import os
import re
import signal
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType

from image_archive.errors import AdvisedError, ArgumentError
from image_archive.system.inputs import errors_about, read_at


def _stopping_signals() -> list[int]:
    """Returns the signals that end a program by default and can be handled, as far as they exist.

    Those that mean a mistake of the program (SIGSEGV) are not among them.
    """
    names = 'INT TERM HUP QUIT ALRM VTALRM PROF IO XCPU USR1 USR2 PWR STKFLT'.split()
    found = [getattr(signal, f'SIG{name}', None) for name in names]
    numbers = [number for number in found if number is not None]
    if hasattr(signal, 'SIGRTMIN'):
        numbers += range(signal.SIGRTMIN, signal.SIGRTMAX + 1)
    return numbers


STOPPING_SIGNALS = _stopping_signals()
_LINKS_LIMIT = 40  # Linux follows as many


class PartialFiles:
    """The temporary files of a run, which a signal handler removes."""

    def __init__(self) -> None:
        self._paths: set[str] = set()

    def add(self, path: str) -> None:
        """Adds a file, which need not be there yet."""
        self._paths.add(path)

    def discard(self, path: str) -> None:
        """Removes a file, if it is there."""
        try:
            os.unlink(path)
        except OSError:
            pass
        self._paths.discard(path)

    def forget(self, path: str) -> None:
        """Forgets a file that was put in its place; path is the one that it had."""
        self._paths.discard(path)

    def discard_all(self) -> None:
        """Removes all the files."""
        for path in list(self._paths):
            self.discard(path)


class OutputFile:
    """A file that appears at its path whole, or not at all; a context manager.

    It is written beside its path, and put there by put_in_place(). Meanwhile its bytes can be read.
    A FIFO, a device and stdout are written directly.

    Attributes:
        path: the path of the output; '-' is stdout.
        name: the path, or 'standard output', for messages.
        file: the file, open for writing.
        target: the path of the file that is replaced, without links; None if the output is
            written directly.
    """

    def __init__(self, path: str, partial_files: PartialFiles | None = None) -> None:
        """Opens the file for writing.

        Args:
            path: the path of the output; '-' is stdout.
            partial_files: gets the path of the temporary file while there is one.

        Raises:
            ArgumentError: it is a link that somebody else may have put there.
            OSError: the directory is missing or cannot be written.
        """
        self.path = path
        self.name = _name_of(path)
        self._partial_files = partial_files or PartialFiles()
        self.target: str | None = None
        self._temporary: str | None = None
        _check_links(path)
        with errors_about(self.name):
            descriptor = _descriptor(path)
            if descriptor is not None:
                # Opening /dev/stdout would truncate the file that stdout is redirected to.
                self.file: io.FileIO = open(os.dup(descriptor), 'wb', buffering=0)
            elif is_replaced(path):
                self._open_beside(path)
            else:
                self.file = open(path, 'wb', buffering=0)

    def _open_beside(self, path: str) -> None:
        try:
            os.stat(path)  # raises an error for links that the system does not follow
        except FileNotFoundError:
            pass
        target = os.path.realpath(path)
        if path.endswith('/'):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        self._temporary = _temporary_path(os.path.dirname(target))
        self._partial_files.add(self._temporary)
        self.file = open(self._temporary, 'x+b', buffering=0)
        self.target = target
        if os.path.exists(target):  # which leaves its mode to the new file
            os.chmod(self._temporary, stat.S_IMODE(os.stat(target).st_mode))

    @property
    def descriptor(self) -> int:
        """Its descriptor."""
        return self.file.fileno()

    def write(self, data: bytes | memoryview) -> None:
        """Writes all bytes of data.

        Raises:
            OSError: they cannot be written; it names the output.
        """
        rest = memoryview(data)
        with errors_about(self.name):
            while rest:
                count = os.write(self.descriptor, rest)
                rest = rest[count:]

    @property
    def size(self) -> int:
        """The bytes of a file that is written beside the path."""
        return os.fstat(self.descriptor).st_size

    def clear(self) -> None:
        """Removes what was written, of a file that is written beside the path."""
        with errors_about(self.name):
            os.truncate(self.descriptor, 0)

    def read_at(self, offset: int, size: int) -> bytes:
        """Reads a part of a file that is written beside the path, as inputs.read_at() does."""
        return read_at(self.descriptor, offset, size)

    def go_to(self, offset: int) -> None:
        """Makes write() go on at an offset in bytes, if the file is written beside the path."""
        with errors_about(self.name):
            os.lseek(self.descriptor, offset, os.SEEK_SET)

    @contextlib.contextmanager
    def as_path(self) -> Iterator[str]:
        """Yields a path by which another OutputFile writes this file; errors name this one."""
        with _as_path(self.descriptor, self._named) as path:
            yield path

    def _named(self, error: OSError) -> OSError:
        return OSError(error.errno, error.strerror, self.name)

    def close(self) -> None:
        """Closes the file, which is not in its place yet."""
        with errors_about(self.name):
            self.file.close()

    def put_in_place(self) -> None:
        """Puts the file at its path, where it replaces another one."""
        self.close()
        if self._temporary is None or self.target is None:
            return
        with errors_about(self.name):
            os.replace(self._temporary, self.target)
        self._partial_files.forget(self._temporary)
        self._temporary = None

    def discard(self) -> None:
        """Removes the file, unless it is in its place."""
        try:
            self.file.close()
        except (OSError, AttributeError):  # a full disk may fail here; or it was never opened
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


class UnnamedFile:
    """A file without a name beside an output: it leaves nothing behind; a context manager.

    There it has as much room as the output, and a file system that shares blocks can share them
    with the output.

    Attributes:
        descriptor: its descriptor, open for reading and writing.
    """

    def __init__(self, output: str) -> None:
        """Makes the file.

        Args:
            output: the path of the output. Beside one that is written directly, such as stdout
                ('-'), is the system's directory for temporary files.

        Raises:
            AdvisedError: it cannot be made.
        """
        self._directory: str | None = None
        if is_replaced(output):
            self._directory = os.path.dirname(os.path.realpath(output))
        try:
            self._file = tempfile.TemporaryFile(dir=self._directory, buffering=0)
        except OSError as error:
            raise self._advised(error) from error
        self.descriptor = self._file.fileno()

    @property
    def size(self) -> int:
        """Its bytes."""
        return os.fstat(self.descriptor).st_size

    def write(self, data: bytes) -> None:
        """Writes all bytes of data; raises AdvisedError if that cannot be done."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self.descriptor, rest) :]
        except OSError as error:
            raise self._advised(error) from error

    def read_at(self, offset: int, size: int) -> bytes:
        """Reads a part, as inputs.read_at() does."""
        return read_at(self.descriptor, offset, size)

    @contextlib.contextmanager
    def as_path(self) -> Iterator[str]:
        """Yields a path by which OutputFile writes it; errors name its directory."""
        with _as_path(self.descriptor, self._advised) as path:
            yield path

    def __enter__(self) -> 'UnnamedFile':
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def _advised(self, error: OSError) -> AdvisedError:
        if self._directory is not None:
            advice = 'give --output in another directory, with room for it'
            return AdvisedError(error.errno, error.strerror, self._directory, advice)
        advice = 'set TMPDIR to a directory with room for it'
        try:
            directory = tempfile.gettempdir()
        except FileNotFoundError:
            text = 'No directory for temporary files can be written'
            return AdvisedError(errno.ENOENT, text, 'TMPDIR', advice)
        return AdvisedError(error.errno, error.strerror, directory, advice)


@contextlib.contextmanager
def _as_path(descriptor: int, named: Callable[[OSError], OSError]) -> Iterator[str]:
    """Yields a path of an open file.

    Args:
        descriptor: its descriptor.
        named: returns what is raised in place of an error that names that path.
    """
    path = f'/dev/fd/{descriptor}'
    try:
        yield path
    except OSError as error:
        if error.filename != path:
            raise
        raise named(error) from error


def _name_of(output: str) -> str:
    """Returns the name of an output for messages."""
    return 'standard output' if output == '-' else output


def _temporary_path(directory: str) -> str:
    return os.path.join(directory, f'.create_image-{os.urandom(8).hex()}.partial')


def put_all_in_place(outputs: list[OutputFile]) -> None:
    """Puts several files in their places; signals wait until all are there.

    Args:
        outputs: the files, completely written.

    Raises:
        OSError: one cannot be put in its place. Then the files before it are removed again and
            the files that they replaced restored, as far as the file system has hard links.
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
    """Puts a file in its place, and undoes that if the context ends with an error."""
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
    """Gives a file a second name beside it; returns None if there is no file, or no hard links."""
    name = _temporary_path(os.path.dirname(path))
    try:
        os.link(path, name)
    except OSError:
        return None
    return name


def is_replaced(path: str) -> bool:
    """Tells whether an output is written beside its path, and then replaces the file there.

    That is so for a regular file, and where there is no file yet.

    Args:
        path: the path of an output; '-' is stdout, which is written directly.
    """
    if _descriptor(path) is not None:
        return False
    return os.path.isfile(path) or not os.path.exists(path)


def _descriptor(path: str) -> int | None:
    """Returns the number of the open descriptor that a path stands for, or None.

    These paths are '-', /dev/stdout, /dev/fd/3 and links to them. They are not opened as files:
    once inputs are open, one of them may have the number of a descriptor that was closed.
    """
    if path == '-':
        return 1
    own_descriptors = rf'/dev/fd|/proc/{os.getpid()}(/task/[0-9]+)?/fd'
    for followed in _followed(path):
        directory, name = os.path.split(followed)
        if re.fullmatch(own_descriptors, directory) and name.isdecimal():
            return int(name)
    return None


def _followed(path: str) -> Iterator[str]:
    """Yields a path, and the path that each link leads to; links to directories are resolved."""
    for _ in range(_LINKS_LIMIT):
        directory, name = os.path.split(path)
        directory = os.path.realpath(directory)
        path = os.path.join(directory, name)
        yield path
        if not os.path.islink(path):
            return
        path = os.path.join(directory, os.readlink(path))


def _check_links(path: str) -> None:
    """Checks that an output is no link that somebody else may have put there.

    Such a link is what fs.protected_symlinks has Linux refuse (proc(5)): in a sticky directory that
    all may write, and neither of this user nor of the owner of the directory.

    Args:
        path: the path of an output; '-' is stdout.

    Raises:
        ArgumentError: it is such a link, or leads to one.
    """
    if path == '-':
        return
    for link in _followed(path):
        if not os.path.islink(link):
            return
        directory = os.stat(os.path.dirname(link))
        is_open_to_all = directory.st_mode & stat.S_ISVTX and directory.st_mode & stat.S_IWOTH
        if is_open_to_all and os.lstat(link).st_uid not in (os.geteuid(), directory.st_uid):
            text = f'{link!r} is a link of another user in a directory that all may write'
            raise ArgumentError(f'{text}: give the path of a file')


def check_output(
    flag: str,
    path: str,
    inputs: Mapping[str, Sequence[str]],
    replaceable: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Checks, before any file is opened, that an output can be written and destroys no input.

    Args:
        flag: the flag that names the output.
        path: the path of the output; '-' is stdout.
        inputs: the paths of the inputs, by the flags that name them.
        replaceable: inputs that the output may replace as a whole: they are open until it does.

    Raises:
        ArgumentError: the path is empty, that of an input, or a link that somebody else may have
            put there.
        OSError: its directory is missing, or it is a descriptor that is not open.
    """
    if not path:
        raise ArgumentError(f'{flag} is missing: give the file to write')
    _check_links(path)
    descriptor = _descriptor(path)
    with errors_about(_name_of(path)):
        if descriptor is not None:
            os.fstat(descriptor)
        elif is_replaced(path):
            os.stat(os.path.join(os.path.dirname(os.path.realpath(path)), ''))
    destroyed = dict(inputs)
    if replaceable is not None and not is_replaced(path):
        destroyed.update(replaceable)
    for other_flag, others in destroyed.items():
        for other in others:
            # As an input, - is a file of that name.
            if not _is_stream(other) and are_same_file(path, os.path.join('.', other)):
                raise ArgumentError(_is_also(flag, path, other_flag))


def check_outputs(
    output: str,
    others: Mapping[str, str | None],
    inputs: Mapping[str, Sequence[str]],
    bases: Mapping[str, Sequence[str]],
) -> None:
    """Checks all outputs of a program, as check_output() does, and that no two are one file.

    Args:
        output: the path that --output names; '-' is stdout.
        others: the paths of the other outputs, by the flags that name them; None for one that is
            not given.
        inputs: the paths of the inputs, by the flags that name them.
        bases: inputs that --output may replace.

    Raises:
        ArgumentError, OSError: as check_output().
    """
    check_output('--output', output, inputs, replaceable=bases)
    checked = {'--output': output}
    for flag, path in others.items():
        if path is None:
            continue
        for other_flag, other in checked.items():
            if are_same_file(path, other) or _may_become_one_file(path, other):
                raise ArgumentError(_is_also(flag, path, other_flag))
        check_output(flag, path, {**inputs, **bases})
        checked[flag] = path


def _is_also(flag: str, path: str, other_flag: str) -> str:
    return f'{flag}: {path!r} is also the file of {other_flag}: give another path'


def are_same_file(one: str, other: str) -> bool:
    """Tells whether two paths are one file: by other spellings, links or mounts, too.

    Args:
        one: the path of a file that need not be there; '-' is stdout.
        other: the path of another one.
    """
    if os.path.realpath(one) == os.path.realpath(other):
        return True
    try:
        return os.path.samestat(_status(one), _status(other))
    except OSError:  # one is missing; opening it reports that
        return False


def _may_become_one_file(one: str, other: str) -> bool:
    """Tells whether two files that need not be there have one name in one directory.

    The directory may have two paths (a bind mount), and its file system may ignore case.
    """
    one_directory, one_name = os.path.split(os.path.realpath(one))
    other_directory, other_name = os.path.split(os.path.realpath(other))
    if one_name.casefold() != other_name.casefold():
        return False
    return are_same_file(one_directory, other_directory)


def _is_stream(path: str) -> bool:
    """Tells whether a path is a pipe, a terminal or the like, which no output destroys."""
    return os.path.exists(path) and not os.path.isfile(path)


def _status(path: str) -> os.stat_result:
    descriptor = _descriptor(path)
    if descriptor is not None:
        return os.fstat(descriptor)
    return os.stat(path)
