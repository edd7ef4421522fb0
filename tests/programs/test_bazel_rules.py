# SPDX-License-Identifier: Apache-2.0
"""What docs/bazel-rules.md says of docker.bzl, and its tool; CI builds with the rules."""

import bz2
import gzip
import lzma
import os
import re
import subprocess
import sys

import pytest

from support.project import DATA, ROOT
from support.tars import sha256

TEXT = (ROOT / 'docs' / 'bazel-rules.md').read_text()
RULES = (ROOT / 'docker.bzl').read_text()


def section(title):
    return TEXT.partition(f'\n## {title}\n')[2].partition('\n## ')[0]


def test_examples_are_those_that_ci_builds():
    examples = re.findall(r'^```starlark\n(.*?)^```', TEXT, re.MULTILINE | re.DOTALL)
    built = (ROOT / 'tests' / 'bazel' / 'rules' / 'BUILD').read_text()
    assert len(examples) == 2
    for example in examples:
        assert example in built


def test_the_table_of_attributes_is_whole():
    rule = RULES.partition('\ndocker_build = rule(')[2].partition('\n)\n')[0]
    attributes = re.findall(r'^        ([a-z]\w*) = attr\.', rule, re.MULTILINE)
    listed = re.findall(r'^\| `(\w+)` \|', section('docker_build').partition('NAME.tar')[0], re.M)
    assert sorted(listed) == attributes


def test_the_table_of_output_groups_is_whole():
    groups = RULES.partition('OutputGroupInfo(')[2].partition('\n        ),')[0]
    names = re.findall(r'^            (\w+) = depset', groups, re.MULTILINE)
    listed = re.findall(r'^\| `(\w+)` \|', section('docker_build').partition('NAME.tar')[2], re.M)
    assert sorted(listed) == names


@pytest.mark.parametrize('compress', [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_a_layer_is_named_by_what_it_holds(tmp_path, compress):
    layer = (DATA / 'base-layer-1.tar').read_bytes()
    done = write_sha256(tmp_path, compress(layer))
    assert (done.returncode, done.stderr) == (0, b'')
    assert (tmp_path / 'digest').read_text() == f'{sha256(layer)}\n'


def test_a_layer_that_is_cut_off(tmp_path):
    done = write_sha256(tmp_path, gzip.compress(bytes(1000))[:-1])
    assert done.returncode == 1
    assert done.stderr.decode() == f"sha256: '{tmp_path / 'file'}' is cut off: replace it\n"
    assert not (tmp_path / 'digest').exists()


def write_sha256(directory, content):
    (directory / 'file').write_bytes(content)
    return subprocess.run(
        [sys.executable, ROOT / 'tools' / 'sha256.py', directory / 'file', directory / 'digest'],
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        check=False,
    )
