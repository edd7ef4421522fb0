# SPDX-License-Identifier: Apache-2.0
"""Runs a program: parses flags, prints messages of one line, handles signals, sets the status."""

import errno
import logging as standard_logging
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, NamedTuple, TextIO

from absl import app, flags, logging

from image_archive import VERSION
from image_archive.errors import FAILURES, AdvisedError, ArgumentError, ProblemsError
from image_archive.system import outputs, start
from image_archive.system.flag_files import FlagFiles
from image_archive.system.progress import Progress

_HELP_FLAGS = ('-h', '-help', '--help', '-helpshort', '--helpshort', '-?')
_VERSION_FLAGS = ('-version', '--version')
_TRUE = ('true', 't', '1')  # as absl reads values of boolean flags
_OUTPUT_FLAGS = ('output', 'digest_file', 'id_file')
# Seconds that a thread waits for Python's lock before it asks for it. Threads of C code take it for
# a moment between two blocks; with Python's default, 0.005, they wait longer than they work.
_SWITCH_INTERVAL = 0.0001
_ADVICE = {
    errno.EBUSY: 'it is a mount point: redirect stdout to it, and give - for it, as in --output=-',
    errno.ENOSPC: 'free some space',
    errno.EPIPE: 'let the reader read to the end',
    errno.ESTALE: 'try again',
    errno.ESPIPE: 'write it to a file first',
}


class Run(NamedTuple):
    """One run of a program.

    Attributes:
        program: the name of the program.
        partial_files: its temporary files, which a signal removes.
        progress: the progress line on a terminal.
    """

    program: str
    partial_files: outputs.PartialFiles
    progress: Progress


def silent_run(program: str) -> Run:
    """Returns the run of a caller from Python: it shows no progress and handles no signals."""
    return Run(program, outputs.PartialFiles(), Progress())


def run(
    program: str,
    main: Callable[[Run], None],
    description: str,
    own_flags: flags.FlagValues,
    groups: Sequence[str] = (),
) -> None:
    """Runs a program to its end, and exits.

    Args:
        program: the name of the program.
        main: called when the flags are parsed; raises one of FAILURES for bad input.
        description: the text at the beginning of the help, a line `Example:`, and the text at its
            end.
        own_flags: the flags that the program has.
        groups: the groups of flags that it shares with others, as share_flags() was given them.
    """
    start.keep_imports()
    sys.setswitchinterval(_SWITCH_INTERVAL)
    flags.DEFINE_boolean('version', False, 'show the version', flag_values=own_flags)
    flags.FLAGS.append_flag_values(own_flags)
    flag_files = FlagFiles()
    progress = Progress(program, _terminal())
    this_run = Run(program, outputs.PartialFiles(), progress)
    _handle_signals(this_run)
    _format_messages(this_run)

    def parse(argv: Sequence[str]) -> list[str]:
        return _parse_flags(program, argv, flag_files, description, own_flags, groups)

    def guarded_main(argv: Sequence[str]) -> None:
        try:
            if len(argv) > 1:
                raise ArgumentError(f'{argv[1]!r} is not a flag: begin every argument with --')
            _check_outputs(own_flags, flag_files)
            main(this_run)
        except FAILURES as error:
            lines = [f'{program}: {_printable(line)}' for line in describe(error)]
            progress.clear()
            sys.exit('\n'.join(dict.fromkeys(lines)))
        progress.clear()

    app.run(guarded_main, flags_parser=parse)


def describe(error: Exception) -> list[str]:
    """Returns the messages for an error, one line each, without the program's name.

    Args:
        error: one of FAILURES.
    """
    if isinstance(error, ProblemsError):
        return error.problems
    if isinstance(error, OSError):
        default = 'check the path, its permissions and limits'
        advice = _ADVICE.get(error.errno or 0, default)
        if isinstance(error, AdvisedError):
            advice = error.advice
        return [f'{error.filename!r}: {error.strerror}: {advice}']
    return [str(error)]


def _printable(text: str) -> str:
    """Returns a text on one line: characters that are not printable are escaped."""
    return ''.join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _terminal() -> TextIO | None:
    if sys.stderr is not None and sys.stderr.isatty():
        return sys.stderr
    return None


def _handle_signals(this_run: Run) -> None:
    def stop(number: int, _: FrameType | None) -> None:
        this_run.partial_files.discard_all()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)  # so that the caller sees that it ended the program

    for number in outputs.STOPPING_SIGNALS:
        # nohup and shells (for background jobs) have programs ignore some.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, stop)


class _Formatter(standard_logging.Formatter):
    """Formats log messages like errors: the program's name, and one line."""

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
    program: str,
    argv: Sequence[str],
    flag_files: FlagFiles,
    description: str,
    own_flags: flags.FlagValues,
    groups: Sequence[str],
) -> list[str]:
    flags.FLAGS['verbosity'].using_default_value = False  # otherwise app.run makes it INFO
    own_flags.mark_as_parsed()
    try:
        expanded = flag_files.expand(argv[1:])
        if any(_is_true(argument, _HELP_FLAGS) for argument in expanded):
            _print_and_exit(_help_text(description, own_flags, groups))
        if any(_is_true(argument, _VERSION_FLAGS) for argument in expanded):
            _print_and_exit(f'{program} {VERSION}\n')
        arguments = flags.FLAGS([argv[0], *_without_empty_booleans(expanded, own_flags)])
    except (OSError, ArgumentError) as error:
        (text,) = describe(error)
        sys.exit(f'{program}: {_printable(text)}')
    except (flags.Error, ValueError) as error:
        text = ' '.join(str(error).split())
        sys.exit(f'{program}: {_printable(text)}: see --help')
    for name in own_flags:
        if _has_nul(own_flags[name].value):
            sys.exit(f'{program}: --{name} has a NUL character: leave it out')
    return arguments


def _is_true(argument: str, names: Sequence[str]) -> bool:
    """Tells whether an argument is one of some boolean flags, and not false: --help=true."""
    name, equals, value = argument.partition('=')
    return name in names and (not equals or value.lower() in _TRUE)


def _check_outputs(own_flags: flags.FlagValues, flag_files: FlagFiles) -> None:
    """Checks that no output is a file with flags; programs check their own inputs."""
    if not flag_files.paths:
        return
    inputs = {'--flagfile': flag_files.paths}
    for name in _OUTPUT_FLAGS:
        path = own_flags[name].value if name in own_flags else None
        if path:
            outputs.check_output(f'--{name}', path, inputs)


def _without_empty_booleans(arguments: list[str], own_flags: flags.FlagValues) -> list[str]:
    """Returns arguments without `--verify=` and its like: an empty value counts as not given."""
    names = [name for name in own_flags if own_flags[name].boolean]
    empty = {f'{dashes}{name}=' for name in names for dashes in ('-', '--')}
    return [argument for argument in arguments if argument not in empty]


def _has_nul(value: Any) -> bool:
    """Tells whether the value of a flag has a NUL, which only a flagfile can hold."""
    if isinstance(value, list):
        return any(_has_nul(item) for item in value)
    return isinstance(value, str) and '\0' in value


def _help_text(description: str, own_flags: flags.FlagValues, groups: Sequence[str]) -> str:
    """Returns the help: the description, the program's flags in groups, and the example."""
    about, _, example = description.partition('Example:')
    modules = {'Flags': own_flags.find_module_defining_flag('output')}
    modules.update((group, group) for group in groups)
    parts = [about.strip()]
    for title, module in modules.items():
        flags_help = own_flags.module_help(module)
        flags_help = flags_help[flags_help.index('  -') :]  # without the name of the module
        parts.append(f'{title}:\n{flags_help}')
    parts.append('--helpfull lists the flags of absl, --flagfile and --verbosity among them.')
    parts.append(f'Example:{example.rstrip()}\n')
    return '\n\n'.join(parts)


def _print_and_exit(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except (OSError, AttributeError):  # nobody reads it, or stdout is closed
        pass
    sys.exit(0)
