# SPDX-License-Identifier: Apache-2.0
"""The README's commands, run as they stand there, and what it says of the flags."""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

import create_image
from helpers import (
    DATA,
    ROOT,
    configuration,
    content,
    environment,
    make_tar,
    manifest,
    require,
    sha256,
    uncompressed,
)

README = (ROOT / 'README.md').read_text()


def blocks(language, text=README):
    return re.findall(rf'^```{language}\n(.*?)^```', text, re.MULTILINE | re.DOTALL)


def section(title):
    return README.partition(f'\n## {title}\n')[2].partition('\n## ')[0]


def steps(block):
    """Yields (command, the output below it); a here-document or a backslash goes on with one."""
    lines = block.splitlines()
    while lines:
        command = lines.pop(0)
        assert command.startswith('$ '), command
        while command.endswith('\\') or ('<<EOF' in command and not command.endswith('\nEOF')):
            command += '\n' + lines.pop(0)
        output = list(itertools.takewhile(lambda line: not line.startswith('$ '), lines))
        del lines[: len(output)]
        yield command[2:], output


@pytest.fixture
def checkout(tmp_path):
    """A copy of the project in which `make image` was run before, and variables to use it."""
    folder = tmp_path / 'create_image'
    shutil.copytree(
        ROOT, folder, ignore=shutil.ignore_patterns('.*', 'bazel-*', 'tests', '*.tar', 'root')
    )
    python = folder / '.venv' / 'bin' / 'python3'
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (folder / '.venv' / 'run').touch()
    variables = {'PATH': f'{python.parent}:{os.environ["PATH"]}', 'LC_ALL': 'C.UTF-8', 'TZ': 'UTC'}
    return folder, environment(**variables, MAKEFLAGS='', MAKELEVEL='0')


def shell(command, checkout):
    folder, variables = checkout
    return subprocess.run(
        ['bash', '-c', f'umask 022\n{command}'],
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )


def test_every_command_gives_the_output_below_it(checkout):
    require('make', 'tar', 'sha256sum')
    for block in blocks('console'):
        for command, output in steps(block):
            assert shell(command, checkout).stdout.decode().splitlines() == output, command


@pytest.mark.parametrize(
    'base', ['docker-20.10.tar.gz', 'docker-29-containerd.tar', 'crane-0.21.tar', 'podman-4.3.tar']
)
def test_recipe_for_a_derived_image(checkout, base):
    require('jq', 'tar', 'sha256sum')
    folder, _ = checkout
    shutil.copy(DATA / 'bases' / base, folder / 'base.tar')
    (folder / 'root' / 'etc').mkdir(parents=True)
    (folder / 'root' / 'etc' / 'new').write_text('new\n')
    (recipe,) = blocks('sh', section('On a base image'))
    done = shell(f'set -eu\n{recipe}', checkout)
    assert (done.returncode, done.stdout) == (0, b'')
    image = folder / 'image.tar'
    entry, below = manifest(image), manifest(folder / 'base.tar')
    config = json.loads(content(image, entry['Config']))
    old = json.loads(content(folder / 'base.tar', below['Config']))
    digests = ['sha256:' + sha256(uncompressed(content(image, name))) for name in entry['Layers']]
    assert config['rootfs']['diff_ids'] == digests
    assert digests[:-1] == old['rootfs']['diff_ids']
    assert config['history'][:-1] == (old.get('history') or [])
    assert config['config'] == {**old['config'], 'Cmd': ['/bin/sh']}
    assert entry['RepoTags'] == ['example/derived:1.0']


def test_bazel_rules_are_those_that_ci_builds():
    genrule, workspace = blocks('starlark', section('As a Bazel genrule'))
    assert genrule in (ROOT / 'examples' / 'hello' / 'BUILD').read_text()
    assert workspace in (ROOT / 'tests' / 'bazel' / 'WORKSPACE').read_text()


def test_script_for_ci(checkout):
    """As it stands, with a cat for the client."""
    folder, _ = checkout
    make_tar(folder / 'layer.tar', {'file': b'content'})
    diff_id = 'sha256:' + sha256((folder / 'layer.tar').read_bytes())
    (folder / 'config.json').write_text(json.dumps(configuration([diff_id])))
    docker = folder / '.venv' / 'bin' / 'docker'
    docker.write_text('#!/bin/sh\n[ "$*" = load ] && cat > loaded.tar\n')
    docker.chmod(0o755)
    (script,) = blocks('sh', section('From a CI script'))
    done = shell(script, checkout)
    assert (done.returncode, done.stdout) == (0, b'')
    assert manifest(folder / 'loaded.tar')['RepoTags'] == ['example/app:dev']


def test_the_table_of_flags_is_whole():
    own = {flag.name for flag in create_image.FLAGS.get_key_flags_for_module(create_image)}
    listed = set(re.findall(r'`--(\w+)', section('Flags')))
    assert listed == own | {'flagfile', 'verbosity'}
