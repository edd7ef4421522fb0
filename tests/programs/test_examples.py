# SPDX-License-Identifier: Apache-2.0
"""The examples: the scripts for a shell and for CI, as their users run them."""

import json
import os
import shlex
import subprocess
import sys

import pytest

from support.composed import three_programs
from support.project import FIXTURES, ROOT, copy_project
from support.running import environment
from support.tars import content, manifest, sha256

CI = ROOT / 'examples' / 'ci' / 'build.sh'
BASE = FIXTURES / 'docker-20.10.tar'
BLANK = dict.fromkeys(['BASE', 'VERSION', 'SOURCE_DATE_EPOCH', 'REPOSITORY'], '')


def add_program(directory, name, script):
    """Writes a shell script; returns its path."""
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text(f'#!/bin/sh\n{script}\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def programs(tmp_path):
    """A directory for the PATH, with build_image and a Skopeo that tells its arguments."""
    python, tool = shlex.quote(sys.executable), shlex.quote(str(ROOT / 'build_image.py'))
    add_program(tmp_path / 'programs', 'build_image', f'exec {python} {tool} "$@"')
    log = shlex.quote(str(tmp_path / 'skopeo.log'))
    add_program(tmp_path / 'programs', 'skopeo', f'printf "%s\\n" "$@" > {log}')
    return tmp_path / 'programs'


@pytest.fixture
def app(tmp_path):
    """The files of a program, in a directory with an odd name."""
    directory = tmp_path / "it's a & directory"
    directory.mkdir()
    (directory / 'run').write_text('#!/bin/sh\n')
    (directory / 'run').chmod(0o755)
    return directory


def read_json(image, name):
    return json.loads(content(image, name))


def run_job(programs, *arguments, check=True, **variables):
    path = f'{programs}:{os.environ["PATH"]}'
    return subprocess.run(
        ['sh', CI, *arguments],
        env=environment(**{**BLANK, 'PATH': path, **variables}),
        capture_output=True,
        check=check,
    )


def test_hello_is_what_the_three_programs_make(tmp_path):
    copy_project(tmp_path / 'project')
    directory = tmp_path / 'project' / 'examples' / 'hello'
    subprocess.run([directory / 'build.sh'], env=environment(PYTHON=sys.executable), check=True)
    (tmp_path / 'three').mkdir()
    wanted = three_programs(
        tmp_path / 'three',
        layer=[f'--file={directory}/root=/'],
        config=['--command=/hello', '--created_by=create_image'],
        archive=['--tag=example/hello:1.0'],
    )
    assert (directory / 'hello.tar').read_bytes() == wanted.read_bytes()


def test_ci_job_without_variables(tmp_path, programs, app):
    output = tmp_path / 'out'
    done = run_job(programs, app, output)
    assert (done.stdout, done.stderr) == (b'', b'')
    image = output / 'image.tar'
    entry = manifest(image)
    assert entry['RepoTags'] == ['example/app:dev']
    config = read_json(image, entry['Config'])
    assert config['created'] == '1970-01-01T00:00:00Z'
    assert config['config']['Entrypoint'] == ['/srv/app/run']
    assert (output / 'id.txt').read_text() == sha256(content(image, entry['Config'])) + '\n'
    (descriptor,) = read_json(image, 'index.json')['manifests']
    assert (output / 'digest.txt').read_text() == descriptor['digest'] + '\n'
    assert not (tmp_path / 'skopeo.log').exists()


def test_ci_job_with_all_variables(tmp_path, programs, app):
    output = tmp_path / 'out'
    variables = {'BASE': str(BASE), 'VERSION': '1.2', 'SOURCE_DATE_EPOCH': '86400'}
    run_job(programs, app, output, REPOSITORY='registry.example.com/app', **variables)
    image = output / 'image.tar'
    entry = manifest(image)
    assert entry['RepoTags'] == ['example/app:1.2']
    assert len(entry['Layers']) == 3
    config = read_json(image, entry['Config'])
    assert config['created'] == '1970-01-02T00:00:00Z'
    assert config['config']['Labels']['org.opencontainers.image.version'] == '1.2'
    assert (tmp_path / 'skopeo.log').read_text().splitlines() == [
        'copy',
        '--quiet',
        '--preserve-digests',
        f'oci-archive:{image}',
        'docker://registry.example.com/app:1.2',
    ]


def test_ci_job_is_reproducible(tmp_path, programs, app):
    for name in 'one', 'two':
        run_job(programs, app, tmp_path / name)
    one, two = ((tmp_path / name / 'image.tar').read_bytes() for name in ('one', 'two'))
    assert one == two


def test_ci_job_fails_with_build_image(tmp_path, programs, app):
    done = run_job(programs, app, tmp_path / 'out', check=False, BASE='/missing', REPOSITORY='x')
    assert done.returncode == 1
    assert done.stderr.startswith(b"build_image: '/missing': ")
    assert os.listdir(tmp_path / 'out') == []
    assert not (tmp_path / 'skopeo.log').exists()


def test_ci_job_runs_the_program_that_it_is_given(tmp_path, programs, app):
    """Such as that of `make dist`."""
    other = add_program(tmp_path / 'other', 'it is build_image', 'echo "$1"')
    done = run_job(programs, app, tmp_path / 'out', BUILD_IMAGE=str(other))
    assert done.stdout.decode() == f'--output={tmp_path}/out/image.tar\n'
