# SPDX-License-Identifier: Apache-2.0
"""Faults while an image is written (section 9): signals, disks, pipes, parts that change.

The output is the old file, nothing, or a whole archive.
"""

import contextlib
import ctypes
import gzip
import hashlib
import os
import random
import resource
import signal
import stat
import subprocess
import sys
import time

import pytest

from helpers import (
    BEFORE_1_10,
    TOOL,
    Parts,
    build,
    command,
    configuration,
    environment,
    fails,
    make_tar,
    manifest,
    messages,
    missing,
    names,
    on_fixture,
    run,
    warns,
)

INT, TERM, HUP, KILL = signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL
SIGNALS = [(INT,), (TERM,), (HUP,), (signal.SIGQUIT,), (KILL,), (TERM, INT)]
OLD = b'the old file'
NOISE = random.Random(1).randbytes(4 << 20)


@pytest.fixture(autouse=True)
def two_minutes(time_limit):
    time_limit(120)


def by_default():
    """A shell has the programs that it runs in the background ignore signals."""
    for number in (INT, TERM, HUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def start(flags, **options):
    options = {'stderr': subprocess.PIPE, 'preexec_fn': by_default, **options}
    return subprocess.Popen(command('create_image', *flags), **options)


def error_of(process):
    """Waits for a process, which must end as on bad input; returns its one error."""
    (error,) = messages(process.communicate()[1])[1]
    assert process.returncode == 1
    return error


def digest(path):
    with open(path, 'rb') as f:
        return hashlib.sha256(f.read()).hexdigest()


def fails_cleanly(image, *flags, **options):
    """Runs the tool, which must fail and leave an output that is there and its folder alone."""
    image.output.write_bytes(OLD)
    before = sorted(os.listdir(image.folder))
    line = fails(*image.flags, *flags, **options)
    assert image.output.read_bytes() == OLD
    assert sorted(os.listdir(image.folder)) == before
    return line


# Signals.


class Big:
    """An image that takes long enough to strike: two thirds are copied, the rest inflated."""

    def __init__(self, folder):
        self.image = Parts(folder)
        self.output = self.image.output
        self.layer = folder / 'layer'
        with open(self.layer, 'wb') as f:
            f.truncate(200 << 20)
            f.write(NOISE)
        self.image.layers.append((digest(self.layer), self.layer))
        self.image.configure(configuration(self.image.diff_ids))
        tar = make_tar(folder / 'base', {'zeros': bytes(100 << 20)})
        tar.write_bytes(gzip.compress(tar.read_bytes(), 1))
        self.flags = [*self.image.flags, f'--legacy_base={tar}']
        began = time.monotonic()
        build(*self.flags)
        self.duration = time.monotonic() - began
        self.digest = digest(self.output)
        self.files = os.listdir(folder)

    def start(self, content, size=0, **options):
        """Starts the tool over an old file or None, and waits until it has written size bytes."""
        for path in (self.output, *self.unfinished()):
            path.unlink(missing_ok=True)
        if content:
            self.output.write_bytes(content)
        process = start(self.flags, **options)
        written = 0
        while written < size:
            assert process.poll() is None
            with contextlib.suppress(FileNotFoundError):
                written = sum(path.stat().st_size for path in self.unfinished())
            time.sleep(0.0005)
        return process

    def unfinished(self):
        paths = [path for path in self.layer.parent.iterdir() if path.name not in self.files]
        assert all(path.match('.create_image-*.partial') for path in paths)
        return paths

    def is_whole(self):
        """Tells whether the output is the whole archive, and no part of it."""
        if not self.output.exists() or self.output.stat().st_size == len(OLD):
            return False
        assert digest(self.output) == self.digest
        return True


@pytest.fixture(scope='module')
def big(tmp_path_factory):
    return Big(tmp_path_factory.mktemp('big'))


@pytest.mark.parametrize('numbers', SIGNALS)
def test_signals_while_the_archive_is_written(big, numbers):
    chance = random.Random(str(numbers))
    for content in (None, OLD) * 2:
        process = big.start(content, chance.randrange(1, 220 << 20))
        for number in numbers:
            process.send_signal(number)
        assert process.communicate()[1] == b''
        assert -process.returncode in numbers
        assert content == (big.output.read_bytes() if big.output.exists() else None)
        assert len(big.unfinished()) == (KILL in numbers)
    build(*big.flags)
    assert big.is_whole()


@pytest.mark.parametrize('numbers', SIGNALS)
def test_signals_at_any_time(big, numbers):
    chance = random.Random(str(numbers))
    for _ in range(4):
        process = big.start(OLD)
        time.sleep(chance.uniform(0, 1.2 * big.duration))
        for number in numbers:
            process.send_signal(number)
        process.communicate()
        assert -process.returncode in (0, *numbers)
        assert big.is_whole() or (process.returncode and big.output.read_bytes() == OLD)
        assert len(big.unfinished()) <= (KILL in numbers)


def catches(process, number):
    """Tells whether a handler of Python's gets a signal (proc(5))."""
    with open(f'/proc/{process.pid}/status') as f:
        (mask,) = (int(line.split()[1], 16) for line in f if line.startswith('SigCgt:'))
    return bool(mask >> number - 1 & 1)


def test_sigint_amid_the_imports_leaves_no_traceback(parts):
    """Python catches it from its start, and the tool has it undo that before it imports.

    An absl that sleeps holds the tool there.
    """
    (parts.folder / 'absl').mkdir()
    (parts.folder / 'absl' / '__init__.py').write_text('import time; time.sleep(60)')
    process = start(parts.flags, env=environment(PYTHONPATH=str(parts.folder)))
    while not catches(process, INT):
        assert process.poll() is None
    while catches(process, INT):
        assert process.poll() is None
    process.send_signal(INT)
    assert process.communicate()[1] == b''
    assert process.returncode == -INT
    assert not parts.output.exists()


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
def test_a_signal_as_the_temporary_file_is_made(parts, number):
    before = sorted(os.listdir(parts.folder))
    struck = [sys.executable, '-c', STRUCK, str(int(number)), TOOL, *parts.flags]
    done = subprocess.run(struck, capture_output=True, preexec_fn=by_default, check=False)
    assert (done.returncode, done.stderr) == (-number, b'')
    assert sorted(os.listdir(parts.folder)) == before


def test_an_ignored_signal_stays_ignored(big):
    """As nohup and a shell's background jobs have it."""
    for number in (HUP, INT):
        ignore = {'preexec_fn': lambda number=number: signal.signal(number, signal.SIG_IGN)}
        process = big.start(OLD, 1, **ignore)
        process.send_signal(number)
        assert process.communicate()[1] == b''
        assert process.returncode == 0
        assert big.is_whole()


# Parts that change while they are read.

CHANGES = {
    'shrinks': lambda path: os.truncate(path, 1 << 20),
    'grows': lambda path: path.open('ab').write(b'more'),
    'is rewritten': lambda path: path.open('r+b').write(b'other'),
    'is emptied': lambda path: path.open('wb').close(),
}
# Parts that are copied from their files; the configuration is read as a whole, before all else.
COPIED_PARTS = ['layer', 'base', 'compressed base']


def with_large_part(image, part):
    """Adds a part of 4 MiB; returns its path and the flags of the image with it."""
    path = make_tar(image.folder / 'large', {'noise': NOISE})
    if part == 'compressed base':
        path.write_bytes(gzip.compress(path.read_bytes(), 1))
    if part == 'config':
        return path, [*image.flags, f'--config={path}']
    if part == 'layer':
        image.layers.append((digest(path), path))
        image.configure(configuration(image.diff_ids))
        return path, image.flags
    return path, [*image.flags, f'--legacy_base={path}']


@pytest.mark.parametrize('change', CHANGES)
@pytest.mark.parametrize('part', COPIED_PARTS)
def test_a_part_changes_while_it_is_streamed(parts, part, change):
    """A FIFO as output holds the tool until the part has changed."""
    path, flags = with_large_part(parts, part)
    os.mkfifo(parts.output)
    process = start(flags)
    with open(parts.output, 'rb') as fifo:
        fifo.read(1 << 20)
        CHANGES[change](path)
        fifo.read()
    assert error_of(process).startswith(f"'{path}'")


# Runs the tool; each system call that copies takes 1 MiB, and stops it when it is done.
STEPWISE = """
import os, runpy, signal, sys
del sys.argv[0]
real = os.copy_file_range
def stepwise(source, target, count, *offsets):
    count = real(source, target, min(count, 1 << 20), *offsets)
    if count == 1 << 20:
        os.kill(os.getpid(), signal.SIGSTOP)
    return count
os.copy_file_range = stepwise
sys.path[0] = os.path.dirname(sys.argv[0])
runpy.run_path(sys.argv[0], run_name='__main__')
"""


def wait_until_stopped(process):
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        missing('the tool did not copy by copy_file_range() here')


@pytest.mark.parametrize('change', CHANGES)
@pytest.mark.parametrize('part', ['layer', 'base'])
@pytest.mark.parametrize('steps', [1, 3])
def test_a_part_changes_while_the_kernel_copies_it(parts, part, change, steps):
    """The tool stands still meanwhile, behind the first of the part's 4 MiB or before the last."""
    path, flags = with_large_part(parts, part)
    parts.output.write_bytes(OLD)
    before = sorted(os.listdir(parts.folder))
    python, *tool = command('create_image', *flags)
    process = subprocess.Popen([python, '-c', STEPWISE, *tool], stderr=subprocess.PIPE)
    for _ in range(steps - 1):
        wait_until_stopped(process)
        process.send_signal(signal.SIGCONT)
    wait_until_stopped(process)
    CHANGES[change](path)
    while process.poll() is None:
        process.send_signal(signal.SIGCONT)
        time.sleep(0.005)
    assert error_of(process).startswith(f"'{path}'")
    assert parts.output.read_bytes() == OLD
    assert sorted(os.listdir(parts.folder)) == before


# Devices and file systems that fail.


@pytest.fixture
def small_disk(tmp_path):
    if os.geteuid() != 0:
        missing('only root may mount')
    folder = tmp_path / 'disk'
    folder.mkdir()
    done = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder], check=False)
    if done.returncode:
        missing('mounting is not allowed here')
    yield folder
    subprocess.run(['umount', folder], check=True)


@pytest.mark.parametrize('part', ['config', *COPIED_PARTS])
def test_a_full_disk(parts, small_disk, part):
    _, flags = with_large_part(parts, part)
    parts.folder, parts.output = small_disk, small_disk / 'image.tar'
    line = fails_cleanly(parts, *flags, f'--output={parts.output}')
    assert f"'{parts.output}': No space left on device: make room" in line


def test_a_read_only_file_system(parts, small_disk):
    parts.folder, parts.output = small_disk, small_disk / 'image.tar'
    subprocess.run(['mount', '-o', 'remount,ro', small_disk], check=True)
    assert f"'{parts.output}': Read-only" in fails(*parts.flags)


def obey_modes():
    """Takes from root the right to pass over the modes of files."""
    ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE


def test_a_read_only_folder(parts):
    folder = parts.folder / 'folder'
    folder.mkdir(0o555)
    parts.output = folder / 'image.tar'
    line = fails(*parts.flags, preexec_fn=obey_modes)
    assert f"'{parts.output}': Permission denied" in line
    assert os.listdir(folder) == []


@pytest.mark.parametrize('size', [100, 20000])
def test_a_limit_to_file_sizes(parts, size):
    limit = resource.RLIMIT_FSIZE, (size, size)
    line = fails_cleanly(parts, preexec_fn=lambda: resource.setrlimit(*limit))
    assert f"'{parts.output}': File too large" in line


# Files that can be opened, but not read: the memory at address 0, the speed of the loopback.
MEMORY, SPEED = '/proc/self/mem', '/sys/class/net/lo/speed'
UNREADABLE = {
    '--base': (MEMORY, 'Input/output error', []),
    '--legacy_base': (MEMORY, 'Input/output error', []),
    '--config': (MEMORY, 'Input/output error', ['--verify']),
    '--layer': (SPEED, 'Invalid argument', []),
}


@pytest.mark.parametrize('flag', UNREADABLE)
def test_a_read_error(parts, flag):
    path, reason, more = UNREADABLE[flag]
    if not os.path.exists(path):
        missing(f'{path} is not there')
    value = f'{"d" * 64}={path}' if flag == '--layer' else path
    assert fails_cleanly(parts, f'{flag}={value}', *more).startswith(f"'{path}': {reason}")


def test_a_file_that_is_shorter_than_it_says(parts):
    """As those of /sys are, of a page each."""
    path = '/sys/class/net/lo/mtu'
    if not os.path.exists(path):
        missing(f'{path} is not there')
    line = fails_cleanly(parts, f'--layer={"d" * 64}={path}')
    assert f"'{path}': it ends early: try again" in line


def test_an_output_that_cannot_be(parts):
    folder = parts.folder / 'folder'
    folder.mkdir()
    (parts.folder / 'loop').symlink_to('loop')
    for output, reason in (
        (folder, 'Is a directory'),
        (f'{folder}/none/image.tar', 'No such file'),
        (f'{parts.config}/image.tar', 'Not a directory'),
        (parts.folder / 'loop', 'Too many levels of symbolic links'),
    ):
        assert f"'{output}': {reason}" in fails_cleanly(parts, f'--output={output}')
    assert os.listdir(folder) == []


# Standard output, pipes and devices.


def test_a_reader_that_closes_early(parts):
    _, flags = with_large_part(parts, 'layer')
    process = start([*flags, '--output=-'], stdout=subprocess.PIPE)
    process.stdout.read(1000)
    process.stdout.close()
    (line,) = messages(process.stderr.read())[1]
    assert process.wait() == 1
    assert line.startswith("'standard output': Broken pipe: ")


@pytest.mark.parametrize('output', ['-', '/dev/stdout'])
def test_standard_output_has_the_same_bytes(parts, output):
    _, flags = with_large_part(parts, 'layer')
    build(*flags)
    assert build(*flags, f'--output={output}').stdout == parts.output.read_bytes()


def test_warnings_stay_on_standard_error(tmp_path):
    image = on_fixture(tmp_path, BEFORE_1_10)
    warned = warns(*image.flags)
    done = build(*image.flags, '--output=-', warnings=True)
    assert done.stdout == image.output.read_bytes()
    assert messages(done.stderr) == (warned, [])
    assert BEFORE_1_10 in warned[0]


@pytest.mark.parametrize('closed', [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_standard_streams(tmp_path, closed):
    """The archive's own descriptor then is one of theirs: what is said must not enter it."""
    image = on_fixture(tmp_path, BEFORE_1_10)
    warns(*image.flags)
    expected = image.output.read_bytes()
    image.output.unlink()

    def close():
        for descriptor in closed:
            os.close(descriptor)

    assert run(*image.flags, '-v', '0', preexec_fn=close).returncode == 0
    assert image.output.read_bytes() == expected


def test_a_closed_standard_output(parts):
    line = fails_cleanly(parts, '--output=-', preexec_fn=lambda: os.close(1))
    assert "'standard output': Bad file descriptor" in line


@pytest.mark.parametrize(
    'path', ['/dev/stdout', '/dev/fd/1', '/proc/self/fd/1', 'link', '/dev/fd/7']
)
def test_a_descriptor_that_is_not_open(parts, path):
    """A layer may have got its number by the time that it is written to: it stays."""
    (_, layer) = parts.layers[0]
    before = layer.read_bytes()
    (parts.folder / 'link').symlink_to('/dev/stdout')
    output = parts.folder / path
    options = {'cwd': parts.folder, 'preexec_fn': lambda: os.close(1)}
    line = fails_cleanly(parts, f'--output={output}', **options)
    assert line.startswith(f"'{output}': Bad file descriptor")
    assert layer.read_bytes() == before


@pytest.mark.parametrize('output', ['-', '/dev/stdout'])
def test_standard_output_is_written_to_where_it_is(parts, output):
    """As by cat, where a shell has it lead to a file."""
    build(*parts.flags)
    expected = parts.output.read_bytes()
    path = parts.folder / 'all'
    with path.open('wb') as f:
        f.write(b'before')
        f.flush()
        build(*parts.flags, f'--output={output}', preexec_fn=lambda: os.dup2(f.fileno(), 1))
        f.seek(0, os.SEEK_END)
        f.write(b'behind')
    assert path.read_bytes() == b'before' + expected + b'behind'


@pytest.mark.parametrize('output', ['-', '/dev/stdout'])
def test_standard_output_is_no_input(parts, output):
    (_, layer) = parts.layers[0]
    before = layer.read_bytes()
    with layer.open('ab') as f:
        options = {'preexec_fn': lambda: os.dup2(f.fileno(), 1)}
        line = fails_cleanly(parts, f'--output={output}', **options)
    assert line == f"--output: '{output}' is what --layer names: give another path"
    assert layer.read_bytes() == before


def test_a_fifo(parts):
    _, flags = with_large_part(parts, 'layer')
    expected = build(*flags, '--output=-').stdout
    os.mkfifo(parts.output)
    process = start(flags)
    assert parts.output.read_bytes() == expected
    assert process.wait() == 0
    assert stat.S_ISFIFO(parts.output.stat().st_mode)


@pytest.mark.parametrize(('name', 'minor'), [('null', 3), ('full', 7)])
def test_devices(parts, name, minor):
    """Root has its own, lest a wrong tool replaces the system's."""
    path = f'/dev/{name}'
    if os.geteuid() == 0:
        path = parts.folder / name
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, minor))
    if name == 'null':
        build(*parts.flags, f'--output={path}')
    else:
        line = fails_cleanly(parts, f'--output={path}')
        assert f"'{path}': No space left on device: make room" in line
    assert stat.S_ISCHR(os.stat(path).st_mode)


# What is at the output path.


@pytest.mark.parametrize('content', [None, OLD])
def test_symbolic_links_are_followed(parts, content):
    target = parts.folder / 'folder' / 'target'
    target.parent.mkdir()
    if content:
        target.write_bytes(content)
    parts.output.symlink_to('link')
    (parts.folder / 'link').symlink_to('folder/target')
    build(*parts.flags)
    assert os.readlink(parts.output) == 'link'
    assert os.readlink(parts.folder / 'link') == 'folder/target'
    assert target.read_bytes() == build(*parts.flags, '--output=-').stdout
    assert os.listdir(target.parent) == ['target']


def test_an_old_file_is_replaced_not_written_to(parts):
    parts.output.write_bytes(OLD)
    parts.output.chmod(0o600)
    other = parts.folder / 'other'
    other.hardlink_to(parts.output)
    build(*parts.flags, umask=0o027)
    assert other.read_bytes() == OLD
    assert parts.output.stat().st_mode & 0o7777 == 0o640
    assert names(parts.output)[-1] == 'manifest.json'


def test_the_output_replaces_the_base(tmp_path):
    image = on_fixture(tmp_path, 'docker-20.10.tar')
    build(*image.flags)
    expected = image.output.read_bytes()
    base = tmp_path / 'base.tar'
    base.write_bytes(image.base.read_bytes())
    image.base = base
    build(*image.flags, f'--output={base}')
    assert base.read_bytes() == expected
    assert len(manifest(base)['Layers']) == 3


def test_eight_runs_at_once(parts):
    _, flags = with_large_part(parts, 'layer')
    build(*flags)
    expected = parts.output.read_bytes()
    parts.output.unlink()
    processes = [start(flags) for _ in range(8)]
    while any(process.poll() is None for process in processes):
        with contextlib.suppress(FileNotFoundError):
            assert parts.output.read_bytes() == expected
    assert [process.communicate() for process in processes] == [(None, b'')] * 8
    assert {process.returncode for process in processes} == {0}
    assert parts.output.read_bytes() == expected
    assert list(parts.folder.glob('.create_image*')) == []
