# SPDX-License-Identifier: Apache-2.0
"""--oci with --verify, and how often layers are read (sections 7 and 12)."""

import functools
import gzip
import json
import os

import pytest

from support.images import MODERN, BaseImage, Parts, on_fixture
from support.layouts import ZSTD_BASE, on, write_layout
from support.measuring import LARGE, measure
from support.needs import missing
from support.project import DATA
from support.running import build, problems
from support.tars import make_tar, manifest, member, python_reads_zstd, tar_of, write_tar

# --verify.


@pytest.mark.parametrize('partial', [False, True])
@pytest.mark.parametrize('base', MODERN)
def test_verify_accepts_each_base(tmp_path, base, partial):
    image = on_fixture(tmp_path, base)
    flags = image.without('legacy_base') if partial else image.flags
    found = problems(*flags, '--oci', warnings=unread(base))
    assert found == []


def unread(base):
    """Returns the warnings for a base whose compression this Python cannot read."""
    if base != ZSTD_BASE or python_reads_zstd():
        return []
    text = 'is zstd, which this Python cannot read: its content was not checked'
    text += ': install backports.zstd, or use Python 3.14'
    path = DATA / 'bases' / base
    return [f'layer {name!r} of {str(path)!r} {text}' for name in manifest(path)['Layers']]


@pytest.mark.parametrize('partial', [False, True])
@pytest.mark.parametrize('compress', [bytes, gzip.compress])
def test_verify_reads_the_layers_of_the_base(tmp_path, partial, compress):
    """Without --verify, the name of a plain layer is taken for its digest."""
    base = BaseImage(['one'])
    files = {**base.files, 'one': tar_of(member('file', b'other'))}
    files['manifest.json'] = json.dumps([base.entry]).encode()
    path = write_tar(tmp_path / 'b.tar', *(member(name, data) for name, data in files.items()))
    path.write_bytes(compress(path.read_bytes()))
    image = Parts(tmp_path, below=base.diff_ids, base=path)
    flags = image.without('legacy_base') if partial else image.flags
    (problem,) = problems(*flags, '--oci')
    assert problem.startswith("layer 'one' of") and 'has the diff ID' in problem
    build(*flags, '--oci')


def test_verify_reads_a_layer_that_only_the_base_has(tmp_path):
    """The legacy base lacks it, so its digest comes from the base."""
    base = BaseImage(['one'])
    files = {**base.files, 'one': tar_of(member('file', b'other'))}
    files['manifest.json'] = json.dumps([base.entry]).encode()
    path = write_tar(tmp_path / 'b.tar', *(member(name, data) for name, data in files.items()))
    other = make_tar(tmp_path / 'other.tar', {'x': b'y'})
    image = Parts(tmp_path, below=base.diff_ids, base=path)
    flags = [*image.without('legacy_base'), f'--legacy_base={other}']
    (problem,) = problems(*flags, '--oci')
    assert 'has the diff ID' in problem


@pytest.mark.parametrize('compress', [bytes, gzip.compress])
def test_verify_reads_the_layers_of_the_image_itself(parts, compress):
    ((digest, path),) = parts.layers
    path.write_bytes(compress(tar_of(member('other', b'content'))))
    (problem,) = problems(*parts.flags, '--oci')
    assert digest in problem


# How much is read.


@functools.cache
def noise():
    return os.urandom(LARGE)


@functools.cache
def packed(data):
    return gzip.compress(data, 1)


def large_layer(directory):
    return Parts(directory, layers=[{'large': noise()}])


@pytest.mark.parametrize('flags', [[], ['--oci']])
def test_plain_layer_is_only_copied(tmp_path, flags):
    if not hasattr(os, 'copy_file_range'):
        missing('this system copies by reading')
    image = large_layer(tmp_path)
    done, _, count = measure(*image.flags, *flags)
    assert done.returncode == 0
    assert count < 2 * LARGE  # copy_file_range(2) is counted once


@pytest.mark.parametrize(
    ('flags', 'times'), [([], 1), (['--oci'], 2), (['--verify'], 2), (['--oci', '--verify'], 2)]
)
def test_compressed_layer_is_read_once_for_all_its_digests(tmp_path, flags, times):
    image = large_layer(tmp_path)
    path = image.layers[0][1]
    path.write_bytes(packed(path.read_bytes()))
    done, _, count = measure(*image.flags, *flags)
    assert done.returncode == 0
    assert times == round(count / LARGE)


@pytest.mark.parametrize(('flags', 'times'), [(['--oci'], 2), (['--oci', '--verify'], 2)])
def test_compressed_layer_of_a_base_is_read_once_for_all_its_digests(tmp_path, flags, times):
    first = large_layer(tmp_path)
    path = first.layers[0][1]
    path.write_bytes(packed(path.read_bytes()))
    build(*first.flags)
    second = on(tmp_path, first.output)
    done, _, count = measure(*second.flags, *flags)
    assert done.returncode == 0
    assert times == round(count / LARGE)


@pytest.mark.parametrize('flags', [[], ['--verify']])
def test_large_layer_of_a_compressed_base_that_is_not_stored_is_read(tmp_path, flags):
    first = large_layer(tmp_path)
    path = first.layers[0][1]
    path.write_bytes(packed(path.read_bytes()))
    write_layout(first)
    second = on(tmp_path, first.output)
    _, digest = write_layout(second)
    first.output.write_bytes(gzip.compress(first.output.read_bytes(), 1))
    assert write_layout(second, *flags, partial=True)[1] == digest
