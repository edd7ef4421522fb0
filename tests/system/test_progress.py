# SPDX-License-Identifier: Apache-2.0
"""Progress on a terminal (section 9)."""

import contextlib
import os
import pty
import re
import subprocess
import time

import pytest

from support.images import Parts
from support.running import command


def run_on_a_terminal(parts, delay):
    """Writes an image to a FIFO that is read after delay seconds; returns the terminal's text."""
    os.mkfifo(parts.output)
    leader, follower = pty.openpty()
    process = subprocess.Popen(command('create_image', *parts.flags), stderr=follower)
    os.close(follower)
    with parts.output.open('rb') as fifo:
        time.sleep(delay)
        fifo.read()
    assert process.wait() == 0
    shown = b''
    with contextlib.suppress(OSError):  # read at the end of a terminal
        while data := os.read(leader, 1 << 16):
            shown += data
    os.close(leader)
    return shown.decode()


@pytest.fixture
def large_parts(tmp_path):
    return Parts(tmp_path, [{'srv/large': bytes(8 << 20)}])


def test_progress_is_shown_on_a_terminal(large_parts):
    """In one line, which is erased at the end, if the work takes over two seconds."""
    shown = run_on_a_terminal(large_parts, 2.5)
    lines = shown.split('\r')
    assert '\n' not in shown
    assert re.fullmatch(r'create_image: writing: [0-9] of 8 MiB *', lines[1])
    assert lines[-2].strip() == lines[-1] == ''
    assert len(lines[-2]) == max(map(len, lines))


def test_no_progress_for_short_work(large_parts):
    assert run_on_a_terminal(large_parts, 0) == ''


@pytest.mark.slow
def test_no_progress_without_a_terminal(large_parts):
    os.mkfifo(large_parts.output)
    process = subprocess.Popen(command('create_image', *large_parts.flags), stderr=subprocess.PIPE)
    with large_parts.output.open('rb') as fifo:
        time.sleep(2.5)
        fifo.read()
    assert process.communicate()[1] == b''
    assert process.returncode == 0
