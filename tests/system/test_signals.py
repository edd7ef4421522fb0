# SPDX-License-Identifier: Apache-2.0
"""Signals: the output is the old file, missing, or the complete new archive (section 9)."""

import contextlib
import gzip
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from support.amounts import ALL_TESTS, some_every_day
from support.faults import NOISE, OLD, digest
from support.images import Parts, configuration
from support.project import TOOL
from support.running import build, environment, reset_signals, run_program, start
from support.tars import make_tar

INT, TERM, HUP, KILL = signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL
# All that end a program, but for those that mean a mistake of the program.
OTHERS = [signal.SIGVTALRM, signal.SIGPROF, signal.SIGIO, signal.SIGPWR]
OTHERS += [signal.SIGRTMIN, signal.SIGRTMAX]
SIGNALS = [(INT,), (TERM,), (HUP,), (signal.SIGQUIT,), (KILL,), (TERM, INT)]
SIGNALS += [(number,) for number in OTHERS]
MIB = 1 << 20
# Bytes that are copied and bytes that are decompressed for the image in these tests.
COPIED, INFLATED = (200 * MIB, 100 * MIB) if ALL_TESTS else (40 * MIB, 20 * MIB)
ROUNDS = 2 if ALL_TESTS else 1


class Big:
    """An image that takes long enough to send signals: two thirds are copied, one is inflated."""

    def __init__(self, directory, flags=()):
        self.image = Parts(directory)
        self.output = self.image.output
        self.layer = make_tar(directory / 'layer', {'zeros': bytes(COPIED), 'noise': NOISE})
        self.image.layers.append((digest(self.layer), self.layer))
        self.image.configure(configuration(self.image.diff_ids))
        tar = make_tar(directory / 'base', {'zeros': bytes(INFLATED)})
        tar.write_bytes(gzip.compress(tar.read_bytes(), 1))
        self.flags = [*self.image.flags, f'--legacy_base={tar}', *flags]
        began = time.monotonic()
        build(*self.flags, real=True)
        self.duration = time.monotonic() - began
        self.digest = digest(self.output)
        self.files = os.listdir(directory)

    def start(self, content, size=0, **options):
        """Starts the tool, with content in the output or none; waits for size bytes written.

        On a busy machine the tool may be done before this process sees that.
        """
        for path in (self.output, *self.unfinished()):
            path.unlink(missing_ok=True)
        if content:
            self.output.write_bytes(content)
        process = start(self.flags, **options)
        written = 0
        while written < size and process.poll() is None:
            with contextlib.suppress(FileNotFoundError):
                written = sum(path.stat().st_size for path in self.unfinished())
            time.sleep(0.0005)
        return process

    def interrupt(self, content, numbers, size):
        """Starts the tool, and sends signals when size bytes are written.

        Returns:
            Its exit status, and what it wrote to stderr.
        """
        for _ in range(20):
            process = self.start(content, size)
            for number in numbers:
                process.send_signal(number)
            error = process.communicate()[1]
            if process.returncode != 0:  # otherwise it was done before that
                break
        return process.returncode, error

    def unfinished(self):
        paths = [path for path in self.layer.parent.iterdir() if path.name not in self.files]
        assert all(path.match('.create_image-*.partial') for path in paths)
        return paths

    def is_whole(self):
        """Returns whether the output is the new archive; fails if it is only a part of it."""
        if not self.output.exists() or self.output.stat().st_size == len(OLD):
            return False
        assert digest(self.output) == self.digest
        return True


@pytest.fixture(scope='module')
def big(tmp_path_factory):
    return Big(tmp_path_factory.mktemp('big'))


@pytest.fixture(scope='module')
def verified(tmp_path_factory):
    """The same, but a thread writes while others check."""
    return Big(tmp_path_factory.mktemp('verified'), ['--verify'])


@pytest.mark.parametrize(
    'numbers', some_every_day(SIGNALS, [(TERM,), (KILL,), (TERM, INT), (signal.SIGRTMAX,)])
)
def test_signal_while_writing_leaves_the_old_output(big, numbers):
    check_signals(big, numbers)


@pytest.mark.parametrize('numbers', some_every_day(SIGNALS, [(INT,)]))
def test_signal_while_checking_and_writing_leaves_the_old_output(verified, numbers):
    check_signals(verified, numbers)


def check_signals(big, numbers):
    """Sends signals to a program that writes; checks what it leaves."""
    chance = random.Random(str(numbers))
    for content in (None, OLD) * ROUNDS:
        size = chance.randrange(1, COPIED + INFLATED // 5)
        status, error = big.interrupt(content, numbers, size)
        assert error == b''
        assert -status in numbers
        assert content == (big.output.read_bytes() if big.output.exists() else None)
        assert len(big.unfinished()) == (KILL in numbers)
    build(*big.flags)
    assert big.is_whole()


@pytest.mark.parametrize('number', [INT, TERM])
def test_signal_while_a_layer_is_made_leaves_the_old_output(tmp_path, number):
    """build_image writes the layer into the file of the archive, whose beginning is not there."""
    output = tmp_path / 'image.tar'
    output.write_bytes(OLD)
    with (tmp_path / 'large').open('wb') as file:
        file.truncate(100 << 30)  # which takes longer than the test
    process = start([f'--output={output}', f'--file={tmp_path}/large=x'], 'build_image')
    while not any(path.stat().st_size > MIB for path in tmp_path.glob('.create_image-*.partial')):
        assert process.poll() is None
    process.send_signal(number)
    assert process.communicate()[1] == b''
    assert process.returncode == -number
    assert sorted(os.listdir(tmp_path)) == ['image.tar', 'large']
    assert output.read_bytes() == OLD


@pytest.mark.slow
@pytest.mark.parametrize('numbers', SIGNALS)
@pytest.mark.parametrize('image', ['big', 'verified'])
def test_signal_at_any_time_leaves_the_old_output_or_a_complete_archive(request, image, numbers):
    big = request.getfixturevalue(image)
    chance = random.Random(str(numbers))
    for _ in range(4):
        process = big.start(OLD)
        time.sleep(chance.uniform(0, 1.2 * big.duration))
        for number in numbers:
            process.send_signal(number)
        error = process.communicate()[1]
        # Python itself ends in this way before the tool's first statement.
        was_starting = b'KeyboardInterrupt' in error and b'create_image.py' not in error
        assert -process.returncode in (0, *numbers) or was_starting
        assert big.is_whole() or (process.returncode and big.output.read_bytes() == OLD)
        assert len(big.unfinished()) <= (KILL in numbers)


def has_python_handler(process, number):
    """Returns whether a Python handler is set for the signal (see proc(5))."""
    with open(f'/proc/{process.pid}/status') as f:
        (mask,) = (int(line.split()[1], 16) for line in f if line.startswith('SigCgt:'))
    return bool(mask >> number - 1 & 1)


def test_sigint_during_the_imports_prints_no_traceback(parts):
    """Python sets a handler at its start; the tool removes it before it imports anything.

    In the test, the import of absl sleeps.
    """
    reached = parts.directory / 'reached'
    (parts.directory / 'absl').mkdir()
    text = f'import pathlib, time\npathlib.Path({str(reached)!r}).touch()\ntime.sleep(60)\n'
    (parts.directory / 'absl' / '__init__.py').write_text(text)
    process = start(parts.flags, env=environment(PYTHONPATH=str(parts.directory)))
    while not reached.exists():
        assert process.poll() is None
    assert not has_python_handler(process, INT)
    process.send_signal(INT)
    assert process.communicate()[1] == b''
    assert process.returncode == -INT
    assert not parts.output.exists()


STRUCK_AT_AN_IMPORT = """
import signal, sys
class Finder:
    def find_spec(name, *_):
        if name == 'image_archive':
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Finder)
"""


@pytest.mark.parametrize(
    'program', ['build_image', 'create_image', 'create_image_config', 'join_layers']
)
def test_sigint_at_the_first_import_prints_no_traceback(tmp_path, program):
    """A sitecustomize module sends the signal; Python imports it before it runs a program."""
    (tmp_path / 'sitecustomize.py').write_text(STRUCK_AT_AN_IMPORT)
    options = {'env': environment(PYTHONPATH=str(tmp_path)), 'preexec_fn': reset_signals}
    done = run_program(program, '--help', **options)
    assert (done.returncode, done.stdout, done.stderr) == (-INT, b'', b'')


STRUCK = """
import builtins, os, runpy, signal, sys
del sys.argv[0]
number = int(sys.argv.pop(0))
real = builtins.open
def struck(path, mode='r', *rest, **options):
    file = real(path, mode, *rest, **options)
    if 'x' in mode:
        signal.raise_signal(number)
    return file
builtins.open = struck
sys.path[0] = os.path.dirname(sys.argv[0])
runpy.run_path(sys.argv[0], run_name='__main__')
"""


@pytest.mark.parametrize('number', [INT, TERM, HUP])
def test_signal_when_the_temporary_file_is_created_leaves_no_file(parts, number):
    before = sorted(os.listdir(parts.directory))
    struck = [sys.executable, '-c', STRUCK, str(int(number)), TOOL, *parts.flags]
    done = subprocess.run(struck, capture_output=True, preexec_fn=reset_signals, check=False)
    assert (done.returncode, done.stderr) == (-number, b'')
    assert sorted(os.listdir(parts.directory)) == before


def test_ignored_signal_stays_ignored(big):
    """nohup and the background jobs of a shell ignore signals."""
    for number in (HUP, INT):
        ignore = {'preexec_fn': lambda number=number: signal.signal(number, signal.SIG_IGN)}
        process = big.start(OLD, 1, **ignore)
        process.send_signal(number)
        assert process.communicate()[1] == b''
        assert process.returncode == 0
        assert big.is_whole()
