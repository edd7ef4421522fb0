# SPDX-License-Identifier: Apache-2.0
"""Memory that a run uses, and bytes that it reads."""

import re
import subprocess

from support import forks
from support.running import REAL_PROCESSES, command

# The size of measured files in bytes: large compared to what Python reads when it starts (4 MB and
# more), which a fork does not read.
LARGE = (16 if REAL_PROCESSES else 4) << 20

# Runs a program, and prints at its end what the kernel reports about the process.
_MEASURED = """
import atexit, os, runpy, sys
del sys.argv[0]
sys.path[0] = os.path.dirname(sys.argv[0])
def tell():
    for name in ('status', 'io'):
        with open(f'/proc/self/{name}') as f:
            print(f.read())
atexit.register(tell)
runpy.run_path(sys.argv[0], run_name='__main__')
"""


def measure(*flags, program='create_image', timeout=300):
    """Runs a program; returns the process, its peak of memory, and the bytes it read (proc(5))."""
    python, script, *arguments = command(program, *flags)
    if REAL_PROCESSES:
        done = subprocess.run(
            [python, '-c', _MEASURED, script, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    else:
        done = forks.SERVER.run(program, arguments, timeout=timeout, is_measured=True)
    facts = dict(re.findall(r'^(\w+):\s*(\d+)', done.stdout.decode(), re.MULTILINE))
    return done, int(facts['VmHWM']) << 10, int(facts['rchar'])
