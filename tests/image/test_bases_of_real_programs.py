# SPDX-License-Identifier: Apache-2.0
"""An image on each archive of testdata/bases, written by real programs (sections 4 to 7)."""

import json

import pytest

from support.images import BASES, BEFORE_1_10, MODERN, base_diff_ids, on_fixture
from support.running import build, problems, warns
from support.tars import content, manifest, members, names, python_reads_zstd, sha256, uncompressed

LEFT_OUT = {'top', 'repositories', 'manifest.json', 'index.json', 'oci-layout'}

# The image ID of each base that has a configuration of its own.
IDS = {
    'bazel-2016.tar': '766629315af5746d813ec415ada496f9c8df74a5f011146e0fdcef14d24babc5',
    'crane-0.21.tar': '48a31fb61211057d5b78a2e0ea1442acdfe06319b999170c49a7f14e6384e1f7',
    'docker-29-multiplatform.tar': (
        'd292f758e507264226aa752f6777e0e55c8d3f8dca58ee5d48a62110329d5ce5'
    ),
    'docker-29-pulled.tar': '34b3205b46257ed30290dbc2a47ec5bb12712899c4f99e3de7df693d090bdd06',
    'docker-29-zstd.tar': '34b3205b46257ed30290dbc2a47ec5bb12712899c4f99e3de7df693d090bdd06',
}
SAME_ID = '81437bb0338bc7702fa67c1493e192c8ab599dcea06a32ce6242b7bc15b55412'

# The SHA-256 of the image with fixed parts on each base.
DIGESTS = {
    'bazel-2016.tar': 'a690e1366d1bc294806095ee7d25c3c2f3e4208fe0ebcb41e5d479a234798ad3',
    'crane-0.21.tar': '6d869bf53a90332d4a3c7ba7f55392290af2e5eb031591a0d762b26f76695ea6',
    'docker-1.9.tar': 'e923d0539a69f320f2e283a02f8f3297ca3bf58b018d21cb8ba7a82f10da9774',
    'docker-20.10.tar': '670d80be74e331c688f5ff0f6b7b6cf73c62f9a87c4af43be9721bf0b00fa44c',
    'docker-20.10.tar.gz': '670d80be74e331c688f5ff0f6b7b6cf73c62f9a87c4af43be9721bf0b00fa44c',
    'docker-29-containerd.tar': 'bf1950a3a55a9b679e7c9760ae8b95eb32a55f9377bd7e697d0f308bf82e554e',
    'docker-29-graphdriver.tar': 'd99069f3c397d086b0fa28370957234c7e2795a41e507afed719d9cbf5edb9a6',
    'docker-29-multiplatform.tar': (
        '0861e4e315d849f6a8c18d22c41e0c816d6e824ba22f98247530bb854c9b848f'
    ),
    'docker-29-pulled.tar': '988e4fc30175570bbe1b9d6b91c361471c24724ab5dc968eaf008ad6f14a1d38',
    'docker-29-zstd.tar': '86e1f7c9c090d3c57a39e01210eb185210e89847c8a45b06d8d974070b6ce8b3',
    'podman-4.3.tar': 'af4fb329008da2762a12d5e476a399796bd8bf5d97fa404c0e0969898d1b8d15',
    'podman-4.3.tar.xz': 'af4fb329008da2762a12d5e476a399796bd8bf5d97fa404c0e0969898d1b8d15',
    'skopeo-1.9.tar': 'af4fb329008da2762a12d5e476a399796bd8bf5d97fa404c0e0969898d1b8d15',
    'skopeo-1.9.tar.bz2': 'af4fb329008da2762a12d5e476a399796bd8bf5d97fa404c0e0969898d1b8d15',
}


def test_table_has_every_base():
    assert sorted(DIGESTS) == BASES


@pytest.mark.parametrize('base', BASES)
def test_output_bytes_do_not_change(tmp_path, base):
    image = on_fixture(tmp_path, base)
    build(*image.flags, warnings=base == BEFORE_1_10)
    assert sha256(image.output.read_bytes()) == DIGESTS[base]


@pytest.mark.parametrize('base', MODERN)
def test_image_on_each_base_is_whole(tmp_path, base):
    image = on_fixture(tmp_path, base)
    build(*image.flags, '--tag=example/derived:2.0')
    path = image.output
    entry = manifest(path)
    assert entry['RepoTags'] == ['example/derived:2.0']
    assert entry['Parent'] == 'sha256:' + IDS.get(base, SAME_ID)
    assert entry['Config'] == f'{image.id}.json'
    assert len(entry['Layers']) == 3
    config = json.loads(content(path, entry['Config']))
    digests = ['sha256:' + sha256(uncompressed(content(path, name))) for name in entry['Layers']]
    assert digests == [*base_diff_ids(), *image.diff_ids]
    assert config['rootfs']['diff_ids'] == digests


@pytest.mark.parametrize('base', MODERN)
def test_manifest_and_metadata_of_the_base_are_left_out(tmp_path, base):
    image = on_fixture(tmp_path, base)
    build(*image.flags)
    found = names(image.output)
    assert LEFT_OUT & set(found) == {'manifest.json'}
    assert found.count('manifest.json') == 1
    assert not [name for name in found if name.startswith(('./', '/'))]
    assert {m.mtime for m, _ in members(image.output)} == {0}
    assert {tuple(m.pax_headers) for m, _ in members(image.output)} <= {(), ('comment',)}


def described(path):
    """Returns the fields and content of the members of an archive that a merge keeps."""
    return [
        (m.name.removeprefix('./'), m.type, m.mode & 0o7777, m.uid, m.gid)
        + (m.uname, m.gname, m.linkname, m.size, data)
        for m, data in members(path)
        if m.name.removeprefix('./') not in {*LEFT_OUT, '.'}
    ]


@pytest.mark.parametrize('base', BASES)
def test_members_of_the_base_are_kept(tmp_path, base):
    """With their order, type, mode, owner, link target and content."""
    image = on_fixture(tmp_path, base)
    build(*image.flags, warnings=base == BEFORE_1_10)
    expected = described(image.base)
    assert len(expected) >= 3
    own = {f'{image.id}.json', image.id, f'{image.id}/{image.layers[0][0]}.tar'}
    merged = [fields for fields in described(image.output) if fields[0] not in own]
    in_base = {fields[0] for fields in expected}
    assert [fields for fields in merged if fields[0] in in_base] == expected
    # Missing parent directories are added.
    added = [fields[1:3] for fields in merged if fields[0] not in in_base]
    assert set(added) <= {(b'5', 0o755)}


@pytest.mark.parametrize('base', MODERN)
def test_verify_accepts_an_image_on_each_base(tmp_path, base):
    image = on_fixture(tmp_path, base)
    warnings = []
    if base == 'docker-29-zstd.tar' and not python_reads_zstd():
        text = 'is zstd, which this Python cannot read: its content was not checked'
        text += ': install backports.zstd, or use Python 3.14'
        warnings = [
            f'layer {layer!r} of {str(image.base)!r} {text}'
            for layer in manifest(image.base)['Layers']
        ]
    assert problems(*image.flags, '--tag=example/derived:2.0', warnings=warnings) == []
    assert image.output.exists()


def test_no_layers_come_from_a_base_written_by_docker_1_9(tmp_path):
    image = on_fixture(tmp_path, BEFORE_1_10)
    (line,) = warns(*image.flags, '--verify')
    assert BEFORE_1_10 in line
    assert manifest(image.output)['Layers'] == [f'{image.id}/{image.layers[0][0]}.tar']
