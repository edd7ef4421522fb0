# SPDX-License-Identifier: Apache-2.0
"""Writes each program into dist/ as one file that needs a Python and nothing else.

Such a file is a zip application, as the standard library's zipapp makes them: a line that names
the interpreter, then a zip archive whose __main__.py Python runs. It holds the project's modules
and absl-py with its licence. Nothing in it depends on the machine that it is made on: times,
modes and the order of members are fixed, and members are stored, for each implementation of zlib
compresses to other bytes.
"""

import importlib.metadata
import io
import pathlib
import re
import stat
import sys
import zipfile

ROOT = pathlib.Path(__file__).absolute().parent.parent
PROGRAMS = ('build_image', 'build_tar', 'create_image', 'create_image_config', 'join_layers')
INTERPRETER = b'#!/usr/bin/env python3\n'
MAIN = """\
# SPDX-License-Identifier: Apache-2.0
import _signal

if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

import zip_importer

zip_importer.install()

from image_archive.system import start

start.prepare('{program}')

import {program}

{program}.run_main()
"""


def make_application(program: str, files: dict[str, bytes]) -> bytes:
    """Returns the zip application of a program.

    Args:
        program: the name of the program and of its module, which has a function run_main().
        files: the names and contents of the members beside __main__.py.
    """
    main = MAIN.format(program=program).encode()
    application = io.BytesIO()
    application.write(INTERPRETER)
    with zipfile.ZipFile(application, 'w') as archive:
        for name, content in sorted({**files, '__main__.py': main}.items()):
            archive.writestr(_member(name), content)
    return application.getvalue()


def read_project() -> dict[str, bytes]:
    """Returns the names and contents of the project's modules, and its licence."""
    files = {
        'LICENSE': (ROOT / 'LICENSE').read_bytes(),
        'zip_importer.py': (ROOT / 'tools' / 'zip_importer.py').read_bytes(),
    }
    for path in [*ROOT.glob('*.py'), *(ROOT / 'image_archive').rglob('*.py')]:
        files[path.relative_to(ROOT).as_posix()] = path.read_bytes()
    return files


def read_absl() -> dict[str, bytes]:
    """Returns the names and contents of what the programs need of absl-py, and its licence.

    Raises:
        LookupError: the version that requirements.txt names is not installed.
    """
    requirements = (ROOT / 'requirements.txt').read_text()
    (wanted,) = re.findall(r'^absl-py==(\S+)', requirements, re.MULTILINE)
    try:
        distribution = importlib.metadata.distribution('absl-py')
    except importlib.metadata.PackageNotFoundError as error:
        raise LookupError(f'absl-py {wanted} is not installed: run make dist') from error
    if distribution.version != wanted:
        found = distribution.version
        raise LookupError(f'absl-py {found} is installed, not {wanted}: run make dist')
    files = distribution.files or []
    return {file.as_posix(): file.read_binary() for file in files if _is_needed(file)}


def main() -> None:
    """Writes the programs to the directory dist."""
    try:
        files = {**read_project(), **read_absl()}
    except LookupError as error:
        sys.exit(f'make_dist: {error.args[0]}')
    directory = ROOT / 'dist'
    directory.mkdir(exist_ok=True)
    for program in PROGRAMS:
        if f'{program}.py' in files:
            path = directory / program
            path.write_bytes(make_application(program, files))
            path.chmod(0o755)


def _is_needed(file: importlib.metadata.PackagePath) -> bool:
    """Tells whether an installed file of absl-py belongs into an application."""
    if file.parts[0] == 'absl':
        return file.suffix == '.py' and file.parts[1] != 'testing'
    # The other files of this directory say how absl-py was installed.
    return file.name in ('AUTHORS', 'LICENSE', 'METADATA')


def _member(name: str) -> zipfile.ZipInfo:
    """Returns the header of a member that is the same everywhere."""
    member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    member.compress_type = zipfile.ZIP_STORED
    member.external_attr = (stat.S_IFREG | 0o644) << 16  # where Unix has the mode
    return member


if __name__ == '__main__':
    main()
