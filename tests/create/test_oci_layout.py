# SPDX-License-Identifier: Apache-2.0
"""--oci: a docker archive that is also an OCI image layout (section 12)."""

import bz2
import gzip
import json
import lzma
import struct
import subprocess
import zlib

import pytest

from support.images import (
    MODERN,
    BaseImage,
    Parts,
    base_diff_ids,
    configuration,
    on_fixture,
    write_base,
)
from support.layouts import BLOBS, LAYER, TAGS, ZSTD_BASE, Layout, blob, on, repacked, write_layout
from support.needs import require
from support.project import DATA
from support.running import build, warns
from support.tars import make_tar, manifest, member, sha256, tar_of

# Bases.


@pytest.mark.parametrize('partial', [False, True])
@pytest.mark.parametrize('base', MODERN)
def test_image_on_each_base_is_a_valid_layout(layouts, base, partial):
    layout = layouts[base, partial]
    (entry,) = json.loads(layout.files['manifest.json'])
    assert entry['Config'] == blob(layout.manifest['config']['digest'])
    assert entry['Layers'] == [blob(layer['digest']) for layer in layout.manifest['layers']]
    assert entry['RepoTags'] == TAGS
    there = [name in layout.files for name in entry['Layers']]
    assert there == [not partial, not partial, True]
    others = {entry['Config'], blob(layout.index['manifests'][0]['digest'])}
    assert set(layout.blobs) - set(entry['Layers']) == others


@pytest.mark.parametrize('base', MODERN)
def test_whole_and_partial_image_have_the_same_manifest(layouts, base):
    whole, partial = layouts[base, False], layouts[base, True]
    assert whole.files['index.json'] == partial.files['index.json']
    assert whole.manifest == partial.manifest


def test_bases_with_equal_layers_give_the_same_image(layouts):
    """The program that wrote the base and the names of its files make no difference."""
    plain = ['bazel-2016.tar', 'docker-20.10.tar.gz', 'podman-4.3.tar', 'skopeo-1.9.tar']
    plain += ['docker-29-containerd.tar', 'docker-29-graphdriver.tar']
    plain += ['docker-29-multiplatform.tar']
    assert len({layouts[base, False].files['index.json'] for base in plain}) == 1


def test_members_are_in_the_order_of_the_specification(tmp_path):
    image = on_fixture(tmp_path, 'docker-20.10.tar')
    layout, digest = write_layout(image, '--repository=r', '--name=n')
    base_layers = [BLOBS + digest.removeprefix('sha256:') for digest in base_diff_ids()]
    assert list(layout.headers) == [
        'blobs',
        'blobs/sha256',
        BLOBS + image.id,
        BLOBS + image.layers[0][0],
        *base_layers,
        blob(digest.strip()),
        'index.json',
        'oci-layout',
        'manifest.json',
        'repositories',
    ]
    assert json.loads(layout.files['repositories']) == {'r': {'n': image.id}}
    for header in layout.headers.values():
        assert header.mode == (0o755 if header.isdir() else 0o644)
        assert (header.uid, header.gid, header.uname, header.gname) == (0, 0, '', '')
        assert header.mtime == 0


def test_parent_is_the_same_as_without_oci(tmp_path):
    image = on_fixture(tmp_path, 'crane-0.21.tar')
    build(*image.flags)
    parent = manifest(image.output)['Parent']
    write_layout(image)
    assert manifest(image.output)['Parent'] == parent


def test_image_without_a_base(parts):
    layout, _ = write_layout(parts)
    assert [layer['digest'] for layer in layout.manifest['layers']] == parts.diff_ids


def test_unused_files_of_the_legacy_base_are_not_copied(parts):
    merged = make_tar(parts.directory / 'other.tar', {'file': b'data'})
    alone, _ = write_layout(parts)
    with_it, _ = write_layout(parts, f'--legacy_base={merged}')
    assert with_it.files == alone.files


def test_layer_given_twice_and_in_the_base_is_stored_once(tmp_path):
    layer = DATA / 'base-layer-1.tar'
    image = on_fixture(tmp_path, 'docker-20.10.tar')
    image.layers = [(sha256(layer.read_bytes()), layer)] * 2
    image.configure(configuration([*base_diff_ids(), *image.diff_ids]))
    layout, _ = write_layout(image)
    digests = [layer['digest'] for layer in layout.manifest['layers']]
    assert digests == [*base_diff_ids(), *image.diff_ids]
    assert len(layout.blobs) == 4


def test_two_layers_with_one_digest_give_a_warning(tmp_path):
    """An error with --verify; the first layer is kept."""
    image = on_fixture(tmp_path, 'docker-20.10.tar')
    image.layers = [(base_diff_ids()[0].removeprefix('sha256:'), image.layers[0][1])]
    image.configure(configuration([*base_diff_ids(), *image.diff_ids]))
    (warning,) = warns(*image.flags, '--oci')
    assert 'occurs twice' in warning


@pytest.mark.parametrize('name', ['gzip', 'zstd'])
def test_compressed_layer_is_named_by_the_digest_of_its_file(tmp_path, name):
    image = on_fixture(tmp_path, 'docker-20.10.tar')
    ((_, path),) = image.layers
    require(name)
    compressed = subprocess.run([name, '-c', path], capture_output=True, check=True).stdout
    path.write_bytes(compressed)
    layout, _ = write_layout(image)
    top = layout.manifest['layers'][2]
    assert top == {
        'mediaType': f'{LAYER}+{name}',
        'digest': f'sha256:{sha256(compressed)}',
        'size': len(compressed),
    }
    assert layout.files[blob(top['digest'])] == compressed


@pytest.mark.parametrize('base', ['docker-20.10.tar', 'docker-29-pulled.tar', ZSTD_BASE])
@pytest.mark.parametrize('whole_base', [False, True])
def test_image_on_an_image_on_an_image(tmp_path, base, whole_base):
    """The descriptor of a layer that the base lacks comes from the base's OCI manifest."""
    first = on_fixture(tmp_path, base)
    write_layout(first, partial=not whole_base)
    second = on(tmp_path, first.output, 'second')
    write_layout(second, partial=not whole_base)
    third = on(tmp_path, second.output, 'third')
    layout, digest = write_layout(third, partial=not whole_base)
    below = Layout.read(second.output).manifest['layers']
    assert layout.manifest['layers'][:-1] == below
    assert len(below) == 4
    there = [blob(layer['digest']) in layout.files for layer in layout.manifest['layers']]
    assert there == ([True] * 5 if whole_base else [False] * 4 + [True])
    (entry,) = json.loads(layout.files['manifest.json'])
    assert entry['Parent'] == f'sha256:{second.id}'
    if whole_base:
        assert write_layout(third, partial=True)[1] == digest


@pytest.mark.parametrize('base', ['docker-20.10.tar', 'docker-29-pulled.tar'])
def test_base_of_create_image_without_a_layout(tmp_path, base):
    first = on_fixture(tmp_path, base)
    build(*first.flags)
    second = on(tmp_path, first.output)
    whole, digest = write_layout(second)
    partial, same_digest = write_layout(second, partial=True)
    assert digest == same_digest
    layers = [blob(layer['digest']) for layer in whole.manifest['layers']]
    assert [name in whole.files for name in layers] == [True] * 4
    assert [name in partial.files for name in layers] == [False] * 3 + [True]


@pytest.mark.parametrize('compress', [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize('partial', [False, True])
def test_compressed_base_of_create_image(tmp_path, compress, partial):
    first = on_fixture(tmp_path, 'docker-29-pulled.tar')
    write_layout(first)
    second = on(tmp_path, first.output)
    write_layout(second, partial=partial)
    expected = second.output.read_bytes()
    first.output.write_bytes(compress(first.output.read_bytes()))
    write_layout(second, partial=partial)
    assert second.output.read_bytes() == expected


@pytest.mark.parametrize('partial', [False, True])
@pytest.mark.parametrize('spell', ['./{}', '/{}', './/{}'])
@pytest.mark.parametrize('base', ['docker-29-pulled.tar', 'podman-4.3.tar', 'docker-20.10.tar'])
def test_spelling_of_member_names_does_not_matter(layouts, tmp_path, base, spell, partial):
    image = on_fixture(tmp_path, base)
    image.base = repacked(tmp_path / 'spelled.tar', base, spell.format)
    layout, _ = write_layout(image, partial=partial)
    assert layout.files['index.json'] == layouts[base, partial].files['index.json']


@pytest.mark.parametrize('merged', ['podman-4.3.tar', 'crane-0.21.tar'])
def test_legacy_base_is_another_archive_of_the_same_image(tmp_path, merged):
    """Its layers are copied under their digests, whatever their names are."""
    image = on_fixture(tmp_path, 'docker-20.10.tar')
    path = DATA / 'bases' / merged
    flags = [*image.without('legacy_base'), f'--legacy_base={path}', '--oci', '--verify']
    build(*flags)
    layout = Layout.read(image.output)
    layers = layout.manifest['layers']
    assert all(blob(layer['digest']) in layout.files for layer in layers)
    is_compressed = merged.startswith('crane')
    assert [layer['mediaType'].endswith('gzip') for layer in layers] == [is_compressed] * 2 + [
        False
    ]


def test_links_to_layers_are_followed(tmp_path):
    image = BaseImage(['one', 'two'])
    links = [
        member('a/layer.tar', kind=b'2', link='../b'),
        member('b', kind=b'2', link='one'),
        member('c', kind=b'1', link='two'),
    ]
    entry = {**image.entry, 'Layers': ['a/layer.tar', 'c']}
    base = write_base(tmp_path / 'base.tar', image, entries=[entry], more=links)
    derived = Parts(tmp_path, below=image.diff_ids, base=base)
    layout, _ = write_layout(derived)
    assert [layer['digest'] for layer in layout.manifest['layers'][:2]] == image.diff_ids
    assert all(blob(digest) in layout.files for digest in image.diff_ids)


# Names and platforms.


def test_index_has_a_descriptor_for_each_tag(parts):
    layout, digest = write_layout(parts)
    names = []
    for descriptor in layout.index['manifests']:
        annotations = descriptor['annotations']
        names.append(
            (
                annotations.pop('io.containerd.image.name'),
                annotations.pop('org.opencontainers.image.ref.name'),
            )
        )
        assert annotations == {}
        assert descriptor['digest'] == digest.strip()
    assert names == [
        ('docker.io/example/derived:2.0', '2.0'),
        ('docker.io/library/x:1', '1'),
        ('registry.example:5000/a/b:C_1', 'C_1'),
    ]


def test_index_without_tags_has_one_descriptor_without_a_name(parts):
    layout, _ = write_layout(parts, tags=[])
    (descriptor,) = layout.index['manifests']
    assert 'annotations' not in descriptor


def test_two_spellings_of_a_tag_give_one_descriptor(parts):
    layout, _ = write_layout(parts, tags=['x:1', 'docker.io/library/x:1', 'x:1'])
    assert len(layout.index['manifests']) == 1
    (entry,) = json.loads(layout.files['manifest.json'])
    assert entry['RepoTags'] == ['x:1', 'docker.io/library/x:1', 'x:1']


def test_tags_do_not_change_the_digest(parts):
    assert write_layout(parts, tags=[])[1] == write_layout(parts)[1]


WINDOWS = {'os': 'windows', 'os.version': '10.0.17763.1', 'os.features': ['win32k']}


@pytest.mark.parametrize(
    ('changes', 'platform'),
    [
        ({}, {'architecture': 'amd64', 'os': 'linux'}),
        ({'variant': 'v8'}, {'architecture': 'amd64', 'os': 'linux', 'variant': 'v8'}),
        (WINDOWS, {'architecture': 'amd64', **WINDOWS}),
        ({'variant': '', 'os.features': []}, {'architecture': 'amd64', 'os': 'linux'}),
        ({'variant': 8, 'os.features': [1]}, {'architecture': 'amd64', 'os': 'linux'}),
        ({'architecture': None, 'Architecture': 'arm64'}, None),
        ({'architecture': None}, None),
        ({'os': ''}, None),
        ({'os': 5}, None),
    ],
)
def test_platform_of_the_descriptor(parts, changes, platform):
    parts.configure({**configuration(parts.diff_ids), **changes})
    layout, _ = write_layout(parts, warnings=True)
    assert [item.get('platform') for item in layout.index['manifests']] == [platform] * len(TAGS)


# Annotations.

ANNOTATIONS = {'org.opencontainers.image.source': 'https://example.com/a?b=c', 'x': 'a, ä'}
ANNOTATION_FLAGS = [
    '--annotations=org.opencontainers.image.source=https://example.com/a?b=c',
    '--annotations=x=old,"x=a, ä"',
]


def test_annotations_are_in_the_manifest_and_its_descriptors(parts):
    _, other_digest = write_layout(parts)
    layout, digest = write_layout(parts, *ANNOTATION_FLAGS)
    assert digest != other_digest
    assert layout.manifest['annotations'] == ANNOTATIONS
    assert [one['digest'] for one in layout.index['manifests']] == [digest.strip()] * len(TAGS)
    for descriptor in layout.index['manifests']:
        annotations = descriptor['annotations']
        assert annotations.pop('io.containerd.image.name').startswith(('docker.io/', 'registry'))
        assert annotations.pop('org.opencontainers.image.ref.name') in ('2.0', '1', 'C_1')
        assert annotations == ANNOTATIONS


def test_annotations_of_an_image_without_tags(parts):
    layout, _ = write_layout(parts, *ANNOTATION_FLAGS, tags=[])
    (descriptor,) = layout.index['manifests']
    assert descriptor['annotations'] == ANNOTATIONS


def test_annotations_as_a_json_list_give_the_same_bytes(parts):
    write_layout(parts, *ANNOTATION_FLAGS)
    expected = parts.output.read_bytes()
    items = json.dumps([f'{name}={value}' for name, value in ANNOTATIONS.items()])
    write_layout(parts, f'--annotations={items}')
    assert parts.output.read_bytes() == expected


def test_empty_annotations_are_ignored(parts):
    _, digest = write_layout(parts)
    assert write_layout(parts, '--annotations=')[1] == digest
    build(*parts.flags, '--annotations=')


# Output bytes that must never change.

FIXED_LAYER = tar_of(member('fixed', b'content\n'))
FIXED_CONFIG = (
    b'{"architecture":"arm64","config":{},"history":[{"created":"1970-01-01T00:00:00Z"}],'
    b'"os":"linux","rootfs":{"diff_ids":["sha256:%s"],"type":"layers"},"variant":"v8"}'
)


def fixed_image(directory, compress=bytes):
    image = Parts(directory)
    path = image.layers[0][1]
    path.write_bytes(compress(FIXED_LAYER))
    image.layers = [(sha256(FIXED_LAYER), path)]
    image.configure(FIXED_CONFIG % sha256(FIXED_LAYER).encode())
    return image


def stored_gzip(data):
    """Returns a gzip file of one stored block, the same with any zlib (RFC 1951, 1952)."""
    size = struct.pack('<HH', len(data), len(data) ^ 0xFFFF)
    trailer = struct.pack('<II', zlib.crc32(data), len(data))
    return b'\x1f\x8b\x08\0\0\0\0\0\0\xff\x01' + size + data + trailer


@pytest.mark.parametrize(
    ('compress', 'digest', 'archive'),
    [
        (
            bytes,
            'fe36d48655a1399626dadea1cb136c30859c043a24a39f8553fac9c52be460da',
            '6a874a844a1af7eadba89ee5da6c80d4526a8fc4bbdd083b5e6b63a1e0a0e190',
        ),
        (
            stored_gzip,
            '15ce74401d45c3566a3bd53dcfe75e0a20a376ddf5ecab5b99f444b3d0149733',
            'c250a85cd7892c58384d9bbba41f346d1a8f85606c5c72b3194b3556636a258a',
        ),
    ],
)
def test_output_bytes_do_not_change(tmp_path, compress, digest, archive):
    image = fixed_image(tmp_path, compress)
    _, written = write_layout(image)
    assert written == f'sha256:{digest}\n'
    assert sha256(image.output.read_bytes()) == archive


def test_manifest_is_compact_and_sorted(tmp_path):
    image = fixed_image(tmp_path)
    layout, digest = write_layout(image)
    size = image.config.stat().st_size
    expected = (
        f'{{"config":{{"digest":"sha256:{image.id}",'
        f'"mediaType":"application/vnd.oci.image.config.v1+json","size":{size}}},'
        f'"layers":[{{"digest":"sha256:{sha256(FIXED_LAYER)}",'
        f'"mediaType":"application/vnd.oci.image.layer.v1.tar","size":10240}}],'
        '"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}'
    )
    assert layout.files[blob(digest.strip())].decode() == expected
