# SPDX-License-Identifier: Apache-2.0
"""The README and the other pages: their blocks and sections, and a checkout to run them in.

Run as a program, it writes the output of each command on the pages below the command.
"""

import itertools
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

from support.project import ROOT, copy_project
from support.running import environment

README = ROOT / 'README.md'
PAGES = [README, ROOT / 'CONTRIBUTING.md', ROOT / 'CHANGELOG.md', *ROOT.glob('docs/*.md')]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def blocks(language, text):
    return re.findall(rf'^```{language}\n(.*?)^```', text, re.MULTILINE | re.DOTALL)


def section(title, page=README):
    """Returns the text of a section of a page, without the title."""
    level, _, _ = title.partition(' ')
    found = page.read_text().partition(f'\n{title}\n')[2]
    assert found, title
    return re.split(rf'\n#{{2,{len(level)}}} ', found)[0]


def steps(block):
    """Yields (command, output below it); a command continues after a backslash."""
    lines = block.splitlines()
    while lines:
        command = lines.pop(0)
        assert command.startswith('$ '), command
        while command.endswith('\\'):
            command += '\n' + lines.pop(0)
        output = list(itertools.takewhile(lambda line: not line.startswith('$ '), lines))
        del lines[: len(output)]
        yield command[2:], output


class Checkout:
    """A copy of the project after `make image`."""

    def __init__(self, directory):
        self.directory = directory / 'create_image'
        copy_project(self.directory)
        self.programs = self.directory / '.venv' / 'bin'
        self.programs.mkdir(parents=True)
        self.add_program('python3', f'exec {shlex.quote(sys.executable)} "$@"')
        self.add_program('activate', '')  # shell() sets the PATH
        (self.directory / '.venv' / 'run').touch()

    def add_program(self, name, script):
        """Replaces a program by a shell script, for the commands that are run."""
        path = self.programs / name
        path.write_text(f'#!/bin/sh\n{script}\n')
        path.chmod(0o755)

    def shell(self, command):
        """Runs commands; returns the finished process, with stderr in its stdout."""
        variables = environment(
            PATH=f'{self.programs}:{os.environ["PATH"]}',
            LC_ALL='C.UTF-8',
            TZ='UTC',
            MAKEFLAGS='',
            MAKELEVEL='0',
        )
        return subprocess.run(
            ['bash', '-c', f'umask 022\n{command}'],
            cwd=self.directory,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )

    def succeeds(self, script):
        """Runs commands, which must succeed; returns what they print."""
        done = self.shell(script)
        assert done.returncode == 0, done.stdout.decode()
        return done.stdout.decode()


def with_todays_output(page):
    """Returns the text of a page with the output that its commands print today."""
    with tempfile.TemporaryDirectory() as directory:
        checkout = Checkout(pathlib.Path(directory))

        def run(block):
            lines = []
            for command, _ in steps(block[1]):
                lines += [f'$ {command}', *checkout.shell(command).stdout.decode().splitlines()]
            return '\n'.join(['```console', *lines, '```'])

        pattern = r'^```console\n(.*?)^```'
        return re.sub(pattern, run, page.read_text(), flags=re.MULTILINE | re.DOTALL)


if __name__ == '__main__':
    for each in PAGES:
        each.write_text(with_todays_output(each))
