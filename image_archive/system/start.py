# SPDX-License-Identifier: Apache-2.0
"""What a program sees to before and after it imports anything else.

An older Python must be able to read this file, and those of the programs, to say that it is too
old: nothing here is newer than Python 3.6.
"""

import gc
import signal
import sys

OLDEST_PYTHON = (3, 10)


def prepare(program: str) -> None:
    """Ends the program with one line if it cannot run here, and has SIGINT end it in silence.

    The garbage collector rests until keep_imports(), for imports make no garbage that it finds.

    Args:
        program: the name that the line begins with.
    """
    gc.disable()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Lest it ends the imports with a traceback; command_line.run() has a handler of its own.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.version_info < OLDEST_PYTHON:
        version = '.'.join(str(number) for number in OLDEST_PYTHON)
        here = sys.version.split()[0]
        sys.exit(f'{program}: this is Python {here}: run it with Python {version} or later')
    try:
        import absl.flags  # noqa: F401
    except ImportError:
        sys.exit(f'{program}: absl-py is missing: run `pip install absl-py`')


def keep_imports() -> None:
    """Has the garbage collector pass over what is imported, which stays to the end.

    To go through it all at exit would take a fifth of the time that a program takes to start.
    """
    if hasattr(gc, 'freeze'):  # PyPy has none
        gc.freeze()
    gc.enable()
