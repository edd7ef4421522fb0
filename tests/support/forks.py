# SPDX-License-Identifier: Apache-2.0
"""Running a program in a fork of a process that has imported it, faster than in a new Python."""

import contextlib
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import time

from support.fork_server import NUMBER

# The bytes that a pipe holds before anybody reads them (see pipe(7)).
PIPE_SIZE = 1 << 16
_SERVER = pathlib.Path(__file__).with_name('fork_server.py')


class Server:
    """The process that forks; the first run starts it."""

    def __init__(self):
        self._process = None
        self._connection = None

    def run(self, program, arguments, input=None, timeout=None, is_measured=False, **settings):
        """Runs a program; returns the same as subprocess.run().

        Args:
            program: The name of the program.
            arguments: Its arguments, as strings.
            input: The bytes of its stdin, at most PIPE_SIZE; stdin is a pipe then.
            timeout: The time limit in seconds.
            is_measured: Whether the output ends with figures of the process.
            **settings: `cwd` and `umask`, if they differ from those of this process.

        Raises:
            subprocess.TimeoutExpired: The program took longer.
        """
        request = {'program': program, 'arguments': arguments, 'is_measured': is_measured}
        request['cwd'] = os.fspath(settings.pop('cwd', os.getcwd()))
        request['umask'] = settings.pop('umask', _umask())
        assert not settings, settings
        pid = None
        self._start()
        with contextlib.ExitStack() as stack:
            stdin = stack.enter_context(_stdin(input))
            out, out_writer = _pipe(stack)
            error, error_writer = _pipe(stack)
            try:
                self._send(request, [stdin.fileno(), out_writer.fileno(), error_writer.fileno()])
                pid = self._receive()
                out_writer.close()
                error_writer.close()
                outputs = _read_all([out, error], timeout)
                status = self._receive()
            except BaseException as failure:
                # A signal handler may raise this at any time, so the server is not used again.
                self._stop(pid)
                if isinstance(failure, TimeoutError):
                    raise subprocess.TimeoutExpired([program, *arguments], timeout) from None
                raise
        return subprocess.CompletedProcess([program, *arguments], status, *outputs)

    def _start(self):
        if self._process is None:
            self._connection, other = socket.socketpair()
            command = [sys.executable, _SERVER, str(other.fileno())]
            self._process = subprocess.Popen(
                command, pass_fds=[other.fileno()], stdin=subprocess.DEVNULL
            )
            other.close()

    def _stop(self, pid):
        for number in (pid, self._process.pid):
            if number is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
        self._process.wait()
        self._connection.close()
        self._process = None

    def _send(self, request, descriptors):
        data = json.dumps(request).encode()
        socket.send_fds(self._connection, [NUMBER.pack(len(data))], descriptors)
        self._connection.sendall(data)

    def _receive(self):
        data = self._connection.recv(NUMBER.size, socket.MSG_WAITALL)
        assert data, 'the process that forks has ended'
        return NUMBER.unpack(data)[0]


def _umask():
    umask = os.umask(0)
    os.umask(umask)
    return umask


def _pipe(stack):
    """Returns the two ends of a pipe, as files that the stack closes."""
    reader, writer = os.pipe()
    reading = stack.enter_context(os.fdopen(reader, 'rb'))
    writing = stack.enter_context(os.fdopen(writer, 'wb'))
    return reading, writing


def _stdin(data):
    if data is None:
        return open(os.devnull, 'rb')
    reader, writer = os.pipe()
    with os.fdopen(writer, 'wb') as pipe:
        pipe.write(data)
    return os.fdopen(reader, 'rb')


def _read_all(readers, timeout):
    """Reads pipes to their ends; returns the bytes of each."""
    found = {reader: [] for reader in readers}
    still_open = list(readers)
    end = None if timeout is None else time.monotonic() + timeout
    while still_open:
        left = None if end is None else end - time.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError
        for reader in select.select(still_open, [], [], left)[0]:
            data = os.read(reader.fileno(), 1 << 20)
            found[reader].append(data)
            if not data:
                still_open.remove(reader)
    return [b''.join(found[reader]) for reader in readers]


SERVER = Server()
