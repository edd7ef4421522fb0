# SPDX-License-Identifier: Apache-2.0
"""Bases that make create_image or create_image_config do the same over and over (section 9)."""

import json

import pytest

from support.hostile import MEMORY, SECONDS
from support.images import Parts, configuration, write_base_of
from support.measuring import measure
from support.running import fails, messages
from support.tars import LINK, make_tar, member, sha256, write_tar

MIB = 1 << 20
LAYER = bytes(4 * MIB)  # an empty archive
COUNT = 50


def base_of(path, layers, diff_ids, *more):
    config = json.dumps(configuration(diff_ids)).encode()
    entry = {'Config': 'c.json', 'Layers': layers}
    documents = {'c.json': config, 'manifest.json': json.dumps([entry]).encode()}
    return write_tar(path, *more, *(member(name, data) for name, data in documents.items()))


def run(directory, base, diff_ids, *flags):
    """Builds on a base; returns the warnings, the errors and the bytes that were read."""
    image = Parts(directory, below=diff_ids, base=base)
    done, peak, bytes_read = measure(*image.flags, *flags, timeout=SECONDS)
    assert peak < MEMORY
    return *messages(done.stderr), bytes_read


@pytest.mark.parametrize('flag', ['--verify', '--oci'])
def test_layer_that_many_links_lead_to_is_read_once(tmp_path, flag):
    diff_ids = [f'sha256:{sha256(LAYER)}'] * COUNT
    links = [member(f'l{n}', kind=LINK, link='layer') for n in range(COUNT)]
    layers = [f'l{n}' for n in range(COUNT)]
    base = base_of(tmp_path / 'base.tar', layers, diff_ids, member('layer', LAYER), *links)
    _, errors, bytes_read = run(tmp_path, base, diff_ids, flag)
    assert errors == []
    assert bytes_read < 30 * MIB


@pytest.mark.parametrize('flag', ['--verify', '--oci'])
def test_layer_with_several_diff_ids_is_an_error(tmp_path, flag):
    """With --oci it would be stored under each of them."""
    diff_ids = [f'sha256:{number:064x}' for number in range(COUNT)]
    layers = ['layer'] * COUNT
    base = base_of(tmp_path / 'base.tar', layers, diff_ids, member('layer', LAYER))
    _, errors, bytes_read = run(tmp_path, base, diff_ids, flag)
    text = f"layer 'layer' of '{base}' is listed as {diff_ids[0]} and as {diff_ids[1]}"
    assert f'--base: {text}: replace the base' in errors
    assert bytes_read < 30 * MIB


def test_long_tag_of_a_joined_archive_takes_little_memory(tmp_path):
    config = json.dumps(configuration([])).encode()
    tag = 'a.' * (MIB // 2) + ':1'
    entry = {'Config': 'c.json', 'RepoTags': [tag], 'Layers': []}
    documents = {'c.json': config, 'manifest.json': json.dumps([entry]).encode()}
    archive = make_tar(tmp_path / 'a.tar', documents)
    flags = [f'--output={tmp_path / "out.tar"}', f'--layer={archive}', '--verify']
    done, peak, _ = measure(*flags, program='join_layers', timeout=SECONDS)
    error = messages(done.stderr, program='join_layers')[1][0]
    assert error.endswith(': give a lower-case [registry/]repository:tag')
    assert peak < 64 * MIB


def test_ranges_of_ports_are_limited(tmp_path):
    ports = {f'{first}-65535/tcp': {} for first in range(1, 100)}
    base = write_base_of(tmp_path / 'base.tar', config={'ExposedPorts': ports})
    line = fails(f'--output={tmp_path / "c"}', f'--base={base}', program='create_image_config')
    assert line == '--base: its ExposedPorts has over 1,000,000 ports in all: give another base'
