# SPDX-License-Identifier: Apache-2.0
"""Running the programs like their users do."""

import os
import re
import signal
import subprocess
import sys

from support import forks
from support.project import ROOT

# Whether every program runs in a process of its own, as in `make test-all`.
REAL_PROCESSES = os.environ.get('REAL_PROCESSES') == '1'


def command(program, *flags):
    """Returns the command line of a program; a flag may be bytes."""
    arguments = [flag if isinstance(flag, bytes) else str(flag) for flag in flags]
    return [sys.executable, ROOT / f'{program}.py', *arguments]


# The options that a fork supports. With any other one, such as the environment, a program runs in a
# process of its own.
_FORK_OPTIONS = {'cwd', 'input', 'timeout', 'umask'}


def run_program(program, *flags, real=REAL_PROCESSES, **options):
    """Runs a program; returns the finished process, with its output.

    Args:
        program: The name of the program.
        *flags: Its arguments, as for command().
        real: Whether it runs in a process of its own, as for its users; otherwise it runs in a
            fork of a process that has imported it, if a fork supports all options.
        **options: Options of subprocess.run().
    """
    options = {'timeout': 300, **options}
    if not real and options.keys() <= _FORK_OPTIONS:
        arguments = [os.fsdecode(argument) for argument in command(program, *flags)[2:]]
        return forks.SERVER.run(program, arguments, **options)
    if not options.keys() & {'input', 'stdin'}:
        options['stdin'] = subprocess.DEVNULL
    options = {'capture_output': True, 'check': False, **options}
    return subprocess.run(command(program, *flags), **options)


def run(*flags, **options):
    return run_program('create_image', *flags, **options)


def messages(stderr, program='create_image'):
    """Returns a program's warnings and the errors after them, without the program's name."""
    warning = re.compile(f'{program}: warning: ')
    warnings, errors = [], []
    for line in stderr.decode().splitlines():
        if warning.match(line):
            assert not errors, stderr.decode()
            warnings.append(warning.sub('', line, count=1))
        else:
            assert line.startswith(f'{program}: '), stderr.decode()
            errors.append(line.removeprefix(f'{program}: '))
    return warnings, errors


def build(*flags, warnings=False, program='create_image', **options):
    """Runs a program, which must succeed and print nothing to stderr, or warnings if expected."""
    done = run_program(program, *flags, **options)
    assert done.returncode == 0, done.stderr.decode()
    if warnings:
        assert messages(done.stderr, program)[1] == []
    else:
        assert done.stderr == b''
    return done


def warns(*flags, program='create_image', **options):
    """Runs a program, which must succeed; returns its warnings."""
    done = build(*flags, warnings=True, program=program, **options)
    return messages(done.stderr, program)[0]


def fails(*flags, program='create_image', **options):
    """Runs a program, which must fail with one error; returns the error."""
    done = run_program(program, *flags, **options)
    _, errors = messages(done.stderr, program)
    assert done.returncode == 1, done
    assert len(errors) == 1, errors
    return errors[0]


def problems(*flags, warnings=(), program='create_image', **options):
    """Runs a program with --verify, which must give these warnings; returns its errors."""
    done = run_program(program, *flags, '--verify', **options)
    found, errors = messages(done.stderr, program)
    assert found == list(warnings)
    assert done.returncode == (1 if errors else 0)
    return errors


def environment(**changes):
    return {**os.environ, **changes}


def reset_signals():
    """Resets signals that a shell ignores in the programs that it runs in the background."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def start(flags, program='create_image', **options):
    """Starts a program with default signal handling; returns the process."""
    options = {'stderr': subprocess.PIPE, 'preexec_fn': reset_signals, **options}
    return subprocess.Popen(command(program, *flags), **options)
