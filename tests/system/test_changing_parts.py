# SPDX-License-Identifier: Apache-2.0
"""Parts that change while the tool reads them (section 9)."""

import os
import signal
import subprocess
import time

import pytest

from support.amounts import some_every_day
from support.faults import COPIED_PARTS, OLD, error_of, with_large_part
from support.needs import missing
from support.running import command, start

CHANGES = {
    'shrinks': lambda path: os.truncate(path, 1 << 20),
    'grows': lambda path: path.open('ab').write(b'more'),
    'is rewritten': lambda path: path.open('r+b').write(b'other'),
    'is emptied': lambda path: path.open('wb').close(),
}


@pytest.mark.parametrize('change', CHANGES)
@pytest.mark.parametrize('part', COPIED_PARTS)
def test_part_that_changes_while_it_is_streamed_is_an_error(parts, part, change):
    """The output is a FIFO, so the tool waits until the part has changed."""
    path, flags = with_large_part(parts, part)
    os.mkfifo(parts.output)
    process = start(flags)
    with open(parts.output, 'rb') as fifo:
        fifo.read(1 << 20)
        CHANGES[change](path)
        fifo.read()
    assert error_of(process).startswith(f"'{path}'")


# Runs the tool; every copying system call copies 1 MiB, then stops the process.
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
@pytest.mark.parametrize('steps', some_every_day([1, 3], [3]))
def test_part_that_changes_while_the_kernel_copies_it_is_an_error(parts, part, change, steps):
    """The tool is stopped meanwhile, after the first or before the last of the part's 4 MiB."""
    path, flags = with_large_part(parts, part)
    parts.output.write_bytes(OLD)
    before = sorted(os.listdir(parts.directory))
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
    assert sorted(os.listdir(parts.directory)) == before
