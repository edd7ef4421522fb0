# SPDX-License-Identifier: Apache-2.0
"""What the programs share: flags, messages of one line, exit statuses, signals and progress."""

import errno
import logging as standard_logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, NamedTuple, TextIO

from absl import app, flags, logging

from image_archive import VERSION
from image_archive.errors import ArchiveError, ArgumentError, ProblemsError
from image_archive.system import files, start
from image_archive.system.progress import Progress

FAILURES = (OSError, ArgumentError, ArchiveError)
_HELP_FLAGS = ('-h', '-help', '--help', '-helpshort', '--helpshort', '-?')
_VERSION_FLAGS = ('-version', '--version')
_ADVICE = {
    errno.ENOSPC: 'make room',
    errno.EPIPE: 'read it all',
    errno.ESTALE: 'try again',
    errno.ESPIPE: 'write it to a file first',
}


class Run(NamedTuple):
    """One run of a program.

    Attributes:
        program: the name of the program.
        partial_files: the temporary files that a signal removes.
        progress: what shows how far it is.
    """

    program: str
    partial_files: files.PartialFiles
    progress: Progress


def new_flags() -> flags.FlagValues:
    """Returns where a program defines its flags.

    In the one place of absl a script that imports two of the programs would define some twice.
    """
    own_flags: flags.FlagValues = flags.FlagValues()  # type: ignore[no-untyped-call]
    return own_flags


def silent_run(program: str) -> Run:
    """Returns what a caller from Python has in place of a run of a program.

    Args:
        program: the name of the program.
    """
    return Run(program, files.PartialFiles(), Progress())


def run(
    program: str, main: Callable[[Run], None], description: str, own_flags: flags.FlagValues
) -> None:
    """Runs a program to its end.

    Args:
        program: its name.
        main: is called once the flags are parsed; it raises one of FAILURES for bad input.
        description: what help begins with; behind a line `Example:` comes what it ends with.
        own_flags: where the program defined its flags.
    """
    start.keep_imports()
    flags.FLAGS.append_flag_values(own_flags)
    progress = Progress(program, _terminal())
    this_run = Run(program, files.PartialFiles(), progress)
    _handle_signals(this_run)
    _format_messages(this_run)

    def parse(argv: Sequence[str]) -> list[str]:
        return _parse_flags(program, argv, description, own_flags)

    def guarded_main(argv: Sequence[str]) -> None:
        try:
            if len(argv) > 1:
                raise ArgumentError(f'{argv[1]!r} is not a flag: begin every argument with --')
            main(this_run)
        except FAILURES as error:
            lines = [f'{program}: {_printable(line)}' for line in describe(error)]
            progress.clear()
            sys.exit('\n'.join(dict.fromkeys(lines)))
        progress.clear()

    app.run(guarded_main, flags_parser=parse)


def describe(error: Exception) -> list[str]:
    """Returns the lines that tell a user what is wrong and what to do, without the program's name.

    Args:
        error: one of FAILURES.
    """
    if isinstance(error, ProblemsError):
        return error.problems
    if isinstance(error, OSError):
        default = 'check the path, its permissions and limits'
        advice = _ADVICE.get(error.errno or 0, default)
        return [f'{error.filename!r}: {error.strerror}: {advice}']
    return [str(error)]


def _printable(text: str) -> str:
    """Returns a text with what is not printable escaped: it stays one line."""
    return ''.join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def text_of_argument(value: str) -> str:
    """Returns the bytes of an argument read as UTF-8, whatever the locale.

    Args:
        value: the argument as Python decoded it, by the locale.
    """
    return os.fsencode(value).decode('utf-8', 'surrogateescape')


def argument_of_text(text: str) -> str:
    """Returns what text_of_argument() was given: the path of a file that an argument names.

    Args:
        text: what text_of_argument() returned, or a part of it.
    """
    return os.fsdecode(text.encode('utf-8', 'surrogateescape'))


def given(value: str | None) -> str | None:
    """Returns the value of an optional flag, None for an empty one: it counts as not given.

    Args:
        value: the value as absl parsed it.
    """
    return value or None


def given_text(value: str | None) -> str | None:
    """Returns what given() does, as UTF-8 whatever the locale.

    Args:
        value: the value as absl parsed it.
    """
    if not value:
        return None
    return text_of_argument(value)


def all_given(values: Sequence[str] | None) -> list[str]:
    """Returns the values of a flag that may come again, without empty ones.

    Args:
        values: the values as absl parsed them; None where the flag is not given.
    """
    return [value for value in values or () if value]


def check_given(flag: flags.FlagHolder[Any]) -> None:
    """Checks that a required flag has a value.

    Args:
        flag: the flag, whose help is `required: ` and what to give.

    Raises:
        ArgumentError: it has none.
    """
    if not flag.value:
        what = flags.FLAGS[flag.name].help.removeprefix('required: ')
        raise ArgumentError(f'--{flag.name} is missing: give {what}')


def _terminal() -> TextIO | None:
    if sys.stderr is not None and sys.stderr.isatty():
        return sys.stderr
    return None


def _handle_signals(this_run: Run) -> None:
    def stop(number: int, _: FrameType | None) -> None:
        this_run.partial_files.discard_all()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)  # to die of it, as the caller expects

    for number in files.STOPPING_SIGNALS:
        # nohup, and a shell for its background jobs, have some ignored.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, stop)


class _Formatter(standard_logging.Formatter):
    """Formats what is logged like the errors: the program's name, and one line."""

    def __init__(self, this_run: Run) -> None:
        super().__init__()
        self._run = this_run

    def format(self, record: standard_logging.LogRecord) -> str:
        self._run.progress.clear()
        text = _printable(record.getMessage())
        if record.levelno >= standard_logging.WARNING:
            return f'{self._run.program}: warning: {text}'
        return f'{self._run.program}: {text}'


def _format_messages(this_run: Run) -> None:
    logging.use_absl_handler()
    logging.get_absl_handler().setFormatter(_Formatter(this_run))


def _parse_flags(
    program: str, argv: Sequence[str], description: str, own_flags: flags.FlagValues
) -> list[str]:
    flags.FLAGS['verbosity'].using_default_value = False  # else app.run makes it INFO
    own_flags.mark_as_parsed()
    try:
        expanded = flags.FLAGS.read_flags_from_files(argv[1:])
        if any(argument in _HELP_FLAGS for argument in expanded):
            _print_and_exit(_help_text(description, own_flags))
        if any(argument in _VERSION_FLAGS for argument in expanded):
            _print_and_exit(f'{program} {VERSION}\n')
        arguments = flags.FLAGS([argv[0], *_without_empty_booleans(expanded, own_flags)])
    except UnicodeDecodeError:
        sys.exit(f'{program}: a file of --flagfile is not in UTF-8: write it so')
    except (flags.Error, ValueError) as error:
        text = ' '.join(str(error).split())
        sys.exit(f'{program}: {_printable(text)}: see --help')
    for name in own_flags:
        if _has_nul(own_flags[name].value):
            sys.exit(f'{program}: --{name} has a NUL character: leave it out')
    return arguments


def _without_empty_booleans(arguments: list[str], own_flags: flags.FlagValues) -> list[str]:
    """Returns arguments without `--verify=` and its like: an empty value counts as not given."""
    names = [name for name in own_flags if own_flags[name].boolean]
    empty = {f'{dashes}{name}=' for name in names for dashes in ('-', '--')}
    return [argument for argument in arguments if argument not in empty]


def _has_nul(value: Any) -> bool:
    """Tells whether the value of a flag has a NUL, which a flagfile may bring."""
    if isinstance(value, list):
        return any(_has_nul(item) for item in value)
    return isinstance(value, str) and '\0' in value


def _help_text(description: str, own_flags: flags.FlagValues) -> str:
    """Returns the description, the program's own flags, and the example."""
    about, _, example = description.partition('Example:')
    module = own_flags.find_module_defining_flag('output')
    flags_help = own_flags.module_help(module)
    flags_help = flags_help[flags_help.index('  -') :]  # without the name of the module
    more = '--helpfull lists the flags of absl, --flagfile and --verbosity among them.'
    return f'{about.strip()}\n\nFlags:\n{flags_help}\n\n{more}\n\nExample:{example.rstrip()}\n'


def _print_and_exit(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except (OSError, AttributeError):  # nobody reads it, or there is no standard output
        pass
    sys.exit(0)
