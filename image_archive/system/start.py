# SPDX-License-Identifier: Apache-2.0
"""What a program does before it imports anything that needs a new Python or absl-py.

An older Python must be able to read this file, the packages that it is in, and the programs, to
say that it is too old: nothing in them is newer than Python 3.6.
"""

import gc
import sys

OLDEST_PYTHON = (3, 10)


def prepare(program: str) -> None:
    """Ends the program with one line if it cannot run here.

    Also stops the garbage collector until keep_imports(), because imports leave no garbage that
    it could find.

    Args:
        program: the name of the program, with which the line begins.
    """
    gc.disable()
    if sys.version_info < OLDEST_PYTHON:
        version = '.'.join(str(number) for number in OLDEST_PYTHON)
        here = sys.version.split()[0]
        sys.exit(f'{program}: this is Python {here}: run it with Python {version} or later')
    try:
        import absl.flags  # noqa: F401
    except ImportError:
        sys.exit(f'{program}: absl-py is missing: run `pip install absl-py`')


def keep_imports() -> None:
    """Tells the garbage collector to ignore what is imported, which stays to the end.

    Collecting it all at exit takes a fifth of the time that a program takes to start.
    """
    if hasattr(gc, 'freeze'):  # PyPy has none
        gc.freeze()
    gc.enable()
