# SPDX-License-Identifier: Apache-2.0
"""A process that has imported the programs, and forks for each run of one.

pytest itself does not fork: it has open files, handlers and filters, and is so large that each fork
takes five times as long. Usage: fork_server.py DESCRIPTOR, where the descriptor is a socket. For
each run the server reads the length of a request, with three file descriptors for the standard
streams, and then the request; it answers with the process ID of the fork, then with its status.
"""

import contextlib
import importlib
import json
import os
import pathlib
import socket
import struct
import sys
import traceback

ROOT = pathlib.Path(__file__).absolute().parent.parent.parent
PROGRAMS = ('build_image', 'build_tar', 'create_image', 'create_image_config', 'join_layers')
# What the programs import when they need it.
IMPORTED_LATE = ('queue', 'image_archive.join.oci_archive')
NUMBER = struct.Struct('q')


def serve(connection):
    """Runs one request after the other, until the other end of the connection is closed."""
    mains = {program: importlib.import_module(program).run_main for program in PROGRAMS}
    for module in IMPORTED_LATE:
        importlib.import_module(module)
    while True:
        head, streams, _, _ = socket.recv_fds(connection, NUMBER.size, 3)
        if not head:
            return
        (size,) = NUMBER.unpack(head)
        request = json.loads(connection.recv(size, socket.MSG_WAITALL))
        pid = os.fork()
        if not pid:
            status = 1
            try:
                status = run(mains[request['program']], request, streams)
            finally:
                os._exit(status)
        for descriptor in streams:
            os.close(descriptor)
        connection.sendall(NUMBER.pack(pid))
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        connection.sendall(NUMBER.pack(status))


def run(main, request, streams):
    """Runs a program in the fork; returns its exit status."""
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    os.closerange(3, 1024)
    os.chdir(request['cwd'])
    os.umask(request['umask'])
    sys.argv = [str(ROOT / f'{request["program"]}.py'), *request['arguments']]
    status = call(main)
    if request['is_measured']:
        print_figures()
    try:
        sys.stdout.flush()
    except OSError:
        status = 120  # the status of Python in this case
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    return status


def call(main):
    """Calls a function; returns the exit status that Python would have after it."""
    try:
        main()
    except SystemExit as end:
        if end.code is None:
            return 0
        if isinstance(end.code, int):
            return end.code & 0xFF
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def print_figures():
    """Prints what the kernel reports about this process."""
    for name in ('status', 'io'):
        print(pathlib.Path(f'/proc/self/{name}').read_text())


if __name__ == '__main__':
    # The root replaces the directory of this file.
    sys.path[:] = [str(ROOT), *(path for path in sys.path if path != os.path.dirname(__file__))]
    with socket.socket(fileno=int(sys.argv[1])) as to_the_tests:
        serve(to_the_tests)
