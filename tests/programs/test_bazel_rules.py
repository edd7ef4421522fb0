# SPDX-License-Identifier: Apache-2.0
"""docs/bazel-rules.md describes docker.bzl, and the tool of the rules works; CI uses the rules."""

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


def test_ci_builds_the_examples():
    examples = re.findall(r'^```starlark\n(.*?)^```', TEXT, re.MULTILINE | re.DOTALL)
    built = (ROOT / 'tests' / 'bazel' / 'rules' / 'BUILD').read_text()
    assert len(examples) == 2
    for example in examples:
        assert example in built


def test_table_lists_every_attribute():
    rule = RULES.partition('\ndocker_build = rule(')[2].partition('\n)\n')[0]
    attributes = re.findall(r'^        ([a-z]\w*) = attr\.', rule, re.MULTILINE)
    listed = re.findall(r'^\| `(\w+)` \|', section('docker_build').partition('NAME.tar')[0], re.M)
    assert sorted(listed) == attributes


def test_table_lists_every_output_group():
    groups = RULES.partition('OutputGroupInfo(')[2].partition('\n        ),')[0]
    names = re.findall(r'^            (\w+) = depset', groups, re.MULTILINE)
    listed = re.findall(r'^\| `(\w+)` \|', section('docker_build').partition('NAME.tar')[2], re.M)
    assert sorted(listed) == names


@pytest.mark.parametrize('compress', [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_sha256_of_a_compressed_layer_is_of_its_content(tmp_path, compress):
    layer = (DATA / 'base-layer-1.tar').read_bytes()
    done = write_sha256(tmp_path, compress(layer))
    assert (done.returncode, done.stderr) == (0, b'')
    assert (tmp_path / 'digest').read_text() == f'{sha256(layer)}\n'


def test_cut_off_layer_is_an_error(tmp_path):
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
