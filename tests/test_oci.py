# SPDX-License-Identifier: Apache-2.0
"""--oci and --digest_file: a docker archive that is an OCI image layout, too (section 12)."""

import bz2
import dataclasses
import gzip
import json
import lzma
import os
import re
import struct
import subprocess
import zlib

import pytest

from helpers import (
    BEFORE_1_10,
    DATA,
    DIR,
    MODERN,
    BaseImage,
    Parts,
    base_diff_ids,
    build,
    configuration,
    fails,
    make_tar,
    manifest,
    measure,
    member,
    members,
    missing,
    on_fixture,
    problems,
    python_reads_zstd,
    require,
    run,
    sha256,
    tar_of,
    uncompressed,
    warns,
    write_base,
    write_tar,
)

BLOBS = 'blobs/sha256/'
LAYER = 'application/vnd.oci.image.layer.v1.tar'
TAGS = ['example/derived:2.0', 'x:1', 'registry.example:5000/a/b:C_1']
ZSTD_BASE = 'docker-29-zstd.tar'


@dataclasses.dataclass
class Layout:
    """An archive as a reader of OCI layouts takes it.

    Attributes:
        files: The files, as {name: content}.
        headers: The headers of all members, by name.
    """

    files: dict
    headers: dict

    @classmethod
    def read(cls, path):
        everything = members(path)
        names = [header.name for header, _ in everything]
        assert len(set(names)) == len(names)
        files = {header.name: data for header, data in everything if data is not None}
        return cls(files, {header.name: header for header, _ in everything})

    @property
    def blobs(self):
        return {name: data for name, data in self.files.items() if name.startswith('blobs/')}

    @property
    def index(self):
        return json.loads(self.files['index.json'])

    @property
    def manifest(self):
        return json.loads(self.files[blob(self.index['manifests'][0]['digest'])])

    @property
    def config(self):
        return json.loads(self.files[blob(self.manifest['config']['digest'])])

    def descriptors(self):
        """All descriptors, those in index.json first."""
        image = self.manifest
        return [*self.index['manifests'], image['config'], *image['layers']]


def blob(digest):
    return digest.replace(':', '/').join(['blobs/', ''])


def write(image, *flags, tags=TAGS, partial=False, **options):
    """Builds an image with --oci; returns its layout and what is in the digest file."""
    digest_file = image.folder / 'digest'
    own = image.without('legacy_base') if partial else image.flags
    named = [f'--tag={tag}' for tag in tags]
    build(*own, *named, '--oci', f'--digest_file={digest_file}', *flags, **options)
    return Layout.read(image.output), digest_file.read_text()


def on(folder, base, name='next', **options):
    """Returns the parts of an image on an archive that create_image.py wrote."""
    layout = Layout.read(base)
    (entry,) = json.loads(layout.files['manifest.json'])
    config = json.loads(layout.files[entry['Config']])
    below = config['rootfs']['diff_ids']
    (folder / name).mkdir()
    files = [{f'srv/{name}': name.encode()}]
    return Parts(folder / name, layers=files, below=below, base=base, **options)


# What the OCI image specification 1.1 says, in its words. Each rule takes a layout.


def the_file_oci_layout_must_exist_and_be_an_object_with_image_layout_version(layout):
    """image-layout.md: the value of imageLayoutVersion is 1.0.0."""
    assert json.loads(layout.files['oci-layout']) == {'imageLayoutVersion': '1.0.0'}


def the_blobs_directory_must_be_present(layout):
    """image-layout.md: with a subdirectory for each hash algorithm."""
    assert layout.headers['blobs'].isdir()
    assert layout.headers['blobs/sha256'].isdir()


def the_content_of_a_blob_must_match_its_digest(layout):
    """image-layout.md: the content of blobs/<alg>/<encoded> matches <alg>:<encoded>."""
    assert layout.blobs
    for name, data in layout.blobs.items():
        assert name == BLOBS + sha256(data)


def index_json_must_exist_and_be_an_image_index(layout):
    """image-index.md: schemaVersion MUST be 2, mediaType when used MUST be this one."""
    assert layout.index['schemaVersion'] == 2
    assert layout.index['mediaType'] == 'application/vnd.oci.image.index.v1+json'
    assert isinstance(layout.index['manifests'], list)


def a_platform_must_have_architecture_and_os(layout):
    """image-index.md: both MUST be specified, as GOARCH and GOOS; they are the configuration's."""
    for descriptor in layout.index['manifests']:
        for key in ('architecture', 'os'):
            assert descriptor['platform'][key] == layout.config[key]


def a_descriptor_must_have_media_type_digest_and_size(layout):
    """descriptor.md: a media type of RFC 6838, a registered digest, an int64 of raw bytes."""
    for descriptor in layout.descriptors():
        assert re.fullmatch(r'[a-z0-9]+/[a-z0-9.+-]+', descriptor['mediaType'])
        assert re.fullmatch('sha256:[a-f0-9]{64}', descriptor['digest'])
        assert type(descriptor['size']) is int
        data = layout.files.get(blob(descriptor['digest']))
        assert data is None or len(data) == descriptor['size']


def annotations_must_be_strings_and_ref_name_a_reference(layout):
    """annotations.md: ref.name has letters, digits and -._:@/+ in components."""
    component = '[A-Za-z0-9]+([-._:@+]|--)?[A-Za-z0-9]*'
    for descriptor in layout.index['manifests']:
        for key, value in descriptor.get('annotations', {}).items():
            assert isinstance(key, str) and isinstance(value, str)
        name = descriptor.get('annotations', {}).get('org.opencontainers.image.ref.name', 'none')
        assert re.fullmatch(rf'({component}|[A-Za-z0-9._-]+)+', name)


def the_manifest_has_schema_version_2_and_its_media_type(layout):
    """manifest.md: schemaVersion MUST be 2, mediaType when used MUST be this one."""
    expected = 'application/vnd.oci.image.manifest.v1+json'
    assert layout.manifest['schemaVersion'] == 2
    assert layout.manifest['mediaType'] == expected
    assert {item['mediaType'] for item in layout.index['manifests']} == {expected}


def the_config_must_be_a_descriptor_of_the_configuration(layout):
    """manifest.md: the media type that implementations MUST support."""
    assert layout.manifest['config']['mediaType'] == 'application/vnd.oci.image.config.v1+json'
    assert layout.config['rootfs']['type'] == 'layers'


def the_layers_must_have_the_base_layer_first_and_follow_in_stack_order(layout):
    """manifest.md and config.md: diff_ids are in order from first to last."""
    diff_ids = layout.config['rootfs']['diff_ids']
    assert len(layout.manifest['layers']) == len(diff_ids)
    for layer, diff_id in zip(layout.manifest['layers'], diff_ids, strict=True):
        data = layout.files.get(blob(layer['digest']))
        assert data is None or sha256(uncompressed(data)) == diff_id.removeprefix('sha256:')


def a_layer_must_have_a_media_type_that_says_its_compression(layout):
    """layer.md: tar, tar+gzip (RFC 1952), tar+zstd (RFC 8478)."""
    beginnings = {f'{LAYER}+gzip': b'\x1f\x8b', f'{LAYER}+zstd': b'\x28\xb5\x2f\xfd'}
    for layer in layout.manifest['layers']:
        data = layout.files.get(blob(layer['digest']))
        if layer['mediaType'] in beginnings:
            assert data is None or data.startswith(beginnings[layer['mediaType']])
        else:
            assert layer['mediaType'] == LAYER
            assert data is None or data == uncompressed(data)


RULES = [
    the_file_oci_layout_must_exist_and_be_an_object_with_image_layout_version,
    the_blobs_directory_must_be_present,
    the_content_of_a_blob_must_match_its_digest,
    index_json_must_exist_and_be_an_image_index,
    a_platform_must_have_architecture_and_os,
    a_descriptor_must_have_media_type_digest_and_size,
    annotations_must_be_strings_and_ref_name_a_reference,
    the_manifest_has_schema_version_2_and_its_media_type,
    the_config_must_be_a_descriptor_of_the_configuration,
    the_layers_must_have_the_base_layer_first_and_follow_in_stack_order,
    a_layer_must_have_a_media_type_that_says_its_compression,
]


@pytest.fixture(scope='module')
def layouts(tmp_path_factory):
    """One layout of each kind, by what it is."""
    made = {}
    for base in MODERN:
        for partial in (False, True):
            folder = tmp_path_factory.mktemp('layout')
            image = on_fixture(folder, base)
            made[base, partial], _ = write(image, partial=partial)
    return made


@pytest.mark.parametrize('rule', RULES, ids=lambda rule: rule.__name__)
def test_the_specification(layouts, rule):
    for layout in layouts.values():
        rule(layout)


# Bases.


@pytest.mark.parametrize('partial', [False, True])
@pytest.mark.parametrize('base', MODERN)
def test_an_image_on_each_base(layouts, base, partial):
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
def test_whole_and_partial_have_one_manifest(layouts, base):
    whole, partial = layouts[base, False], layouts[base, True]
    assert whole.files['index.json'] == partial.files['index.json']
    assert whole.manifest == partial.manifest


def test_bases_with_the_same_layers_give_the_same_image(layouts):
    """Whoever wrote them, and whatever the files were called there."""
    plain = ['bazel-2016.tar', 'docker-20.10.tar.gz', 'podman-4.3.tar', 'skopeo-1.9.tar']
    plain += ['docker-29-containerd.tar', 'docker-29-graphdriver.tar']
    plain += ['docker-29-multiplatform.tar']
    assert len({layouts[base, False].files['index.json'] for base in plain}) == 1


def test_members_are_in_the_order_of_the_specification(tmp_path):
    image = on_fixture(tmp_path, 'docker-20.10.tar')
    layout, digest = write(image, '--repository=r', '--name=n')
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


def test_the_parent_is_that_of_a_docker_archive(tmp_path):
    image = on_fixture(tmp_path, 'crane-0.21.tar')
    build(*image.flags)
    parent = manifest(image.output)['Parent']
    write(image)
    assert manifest(image.output)['Parent'] == parent


def test_an_image_without_a_base(parts):
    layout, _ = write(parts)
    assert [layer['digest'] for layer in layout.manifest['layers']] == parts.diff_ids


def test_of_a_merged_archive_that_the_image_does_not_name_nothing_comes(parts):
    merged = make_tar(parts.folder / 'other.tar', {'file': b'data'})
    alone, _ = write(parts)
    with_it, _ = write(parts, f'--legacy_base={merged}')
    assert with_it.files == alone.files


def test_a_layer_that_is_given_twice_and_is_in_the_base_is_stored_once(tmp_path):
    layer = DATA / 'base-layer-1.tar'
    image = on_fixture(tmp_path, 'docker-20.10.tar')
    image.layers = [(sha256(layer.read_bytes()), layer)] * 2
    image.configure(configuration([*base_diff_ids(), *image.diff_ids]))
    layout, _ = write(image)
    digests = [layer['digest'] for layer in layout.manifest['layers']]
    assert digests == [*base_diff_ids(), *image.diff_ids]
    assert len(layout.blobs) == 4


def test_a_layer_under_the_digest_of_another_one_is_told(tmp_path):
    """Which --verify refuses; the first one stays."""
    image = on_fixture(tmp_path, 'docker-20.10.tar')
    image.layers = [(base_diff_ids()[0].removeprefix('sha256:'), image.layers[0][1])]
    image.configure(configuration([*base_diff_ids(), *image.diff_ids]))
    (warning,) = warns(*image.flags, '--oci')
    assert 'comes twice' in warning


@pytest.mark.parametrize('name', ['gzip', 'zstd'])
def test_a_compressed_layer_is_named_by_the_digest_of_its_file(tmp_path, name):
    image = on_fixture(tmp_path, 'docker-20.10.tar')
    ((_, path),) = image.layers
    require(name)
    compressed = subprocess.run([name, '-c', path], capture_output=True, check=True).stdout
    path.write_bytes(compressed)
    layout, _ = write(image)
    top = layout.manifest['layers'][2]
    assert top == {
        'mediaType': f'{LAYER}+{name}',
        'digest': f'sha256:{sha256(compressed)}',
        'size': len(compressed),
    }
    assert layout.files[blob(top['digest'])] == compressed


@pytest.mark.parametrize('base', ['docker-20.10.tar', 'docker-29-pulled.tar', ZSTD_BASE])
@pytest.mark.parametrize('whole_base', [False, True])
def test_three_generations(tmp_path, base, whole_base):
    """A layer that the base lacks is what the base's own OCI manifest says."""
    first = on_fixture(tmp_path, base)
    write(first, partial=not whole_base)
    second = on(tmp_path, first.output, 'second')
    write(second, partial=not whole_base)
    third = on(tmp_path, second.output, 'third')
    layout, digest = write(third, partial=not whole_base)
    below = Layout.read(second.output).manifest['layers']
    assert layout.manifest['layers'][:-1] == below
    assert len(below) == 4
    there = [blob(layer['digest']) in layout.files for layer in layout.manifest['layers']]
    assert there == ([True] * 5 if whole_base else [False] * 4 + [True])
    (entry,) = json.loads(layout.files['manifest.json'])
    assert entry['Parent'] == f'sha256:{second.id}'
    if whole_base:
        assert write(third, partial=True)[1] == digest


@pytest.mark.parametrize('base', ['docker-20.10.tar', 'docker-29-pulled.tar'])
def test_a_base_of_our_own_without_a_layout(tmp_path, base):
    first = on_fixture(tmp_path, base)
    build(*first.flags)
    second = on(tmp_path, first.output)
    whole, digest = write(second)
    partial, same_digest = write(second, partial=True)
    assert digest == same_digest
    layers = [blob(layer['digest']) for layer in whole.manifest['layers']]
    assert [name in whole.files for name in layers] == [True] * 4
    assert [name in partial.files for name in layers] == [False] * 3 + [True]


@pytest.mark.parametrize('compress', [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize('partial', [False, True])
def test_a_compressed_archive_of_our_own(tmp_path, compress, partial):
    first = on_fixture(tmp_path, 'docker-29-pulled.tar')
    write(first)
    second = on(tmp_path, first.output)
    write(second, partial=partial)
    expected = second.output.read_bytes()
    first.output.write_bytes(compress(first.output.read_bytes()))
    write(second, partial=partial)
    assert second.output.read_bytes() == expected


def repacked(path, base, spell):
    """Writes a fixture with other names for its members."""
    parts = []
    for header, data in members(DATA / 'bases' / base):
        options = {'kind': header.type, 'link': header.linkname, 'mode': header.mode}
        parts.append(member(spell(header.name), data or b'', **options))
    return write_tar(path, *parts)


@pytest.mark.parametrize('partial', [False, True])
@pytest.mark.parametrize('spell', ['./{}', '/{}', './/{}'])
@pytest.mark.parametrize('base', ['docker-29-pulled.tar', 'podman-4.3.tar', 'docker-20.10.tar'])
def test_other_spellings_of_names(layouts, tmp_path, base, spell, partial):
    image = on_fixture(tmp_path, base)
    image.base = repacked(tmp_path / 'spelled.tar', base, spell.format)
    layout, _ = write(image, partial=partial)
    assert layout.files['index.json'] == layouts[base, partial].files['index.json']


@pytest.mark.parametrize('merged', ['podman-4.3.tar', 'crane-0.21.tar'])
def test_layers_of_another_archive_of_the_same_image(tmp_path, merged):
    """Its layers come, under their digests, whatever it calls them."""
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


def test_a_link_of_a_link_leads_to_a_layer(tmp_path):
    image = BaseImage(['one', 'two'])
    links = [
        member('a/layer.tar', kind=b'2', link='../b'),
        member('b', kind=b'2', link='one'),
        member('c', kind=b'1', link='two'),
    ]
    entry = {**image.entry, 'Layers': ['a/layer.tar', 'c']}
    base = write_base(tmp_path / 'base.tar', image, entries=[entry], more=links)
    derived = Parts(tmp_path, below=image.diff_ids, base=base)
    layout, _ = write(derived)
    assert [layer['digest'] for layer in layout.manifest['layers'][:2]] == image.diff_ids
    assert all(blob(digest) in layout.files for digest in image.diff_ids)


# Names and platforms.


def test_a_descriptor_for_each_tag(parts):
    layout, digest = write(parts)
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


def test_without_a_tag_there_is_one_descriptor_without_a_name(parts):
    layout, _ = write(parts, tags=[])
    (descriptor,) = layout.index['manifests']
    assert 'annotations' not in descriptor


def test_two_spellings_of_one_tag_are_one_name(parts):
    layout, _ = write(parts, tags=['x:1', 'docker.io/library/x:1', 'x:1'])
    assert len(layout.index['manifests']) == 1
    (entry,) = json.loads(layout.files['manifest.json'])
    assert entry['RepoTags'] == ['x:1', 'docker.io/library/x:1', 'x:1']


def test_tags_do_not_change_the_digest(parts):
    assert write(parts, tags=[])[1] == write(parts)[1]


WINDOWS = {'os': 'windows', 'os.version': '10.0.17763.1', 'os.features': ['win32k']}


@pytest.mark.parametrize(
    ('changes', 'platform'),
    [
        ({}, {'architecture': 'amd64', 'os': 'linux'}),
        ({'variant': 'v8'}, {'architecture': 'amd64', 'os': 'linux', 'variant': 'v8'}),
        (WINDOWS, {'architecture': 'amd64', **WINDOWS}),
        ({'variant': '', 'os.features': []}, {'architecture': 'amd64', 'os': 'linux'}),
        ({'variant': 8, 'os.features': [1]}, {'architecture': 'amd64', 'os': 'linux'}),
        ({'architecture': None, 'Architecture': 'arm64'}, {'architecture': 'arm64', 'os': 'linux'}),
        ({'architecture': None}, None),
        ({'os': ''}, None),
        ({'os': 5}, None),
    ],
)
def test_the_platform(parts, changes, platform):
    parts.configure({**configuration(parts.diff_ids), **changes})
    layout, _ = write(parts, warnings=True)
    assert [item.get('platform') for item in layout.index['manifests']] == [platform] * len(TAGS)


# What never changes.

FIXED_LAYER = tar_of(member('fixed', b'content\n'))
FIXED_CONFIG = (
    b'{"architecture":"arm64","config":{},"history":[{"created":"1970-01-01T00:00:00Z"}],'
    b'"os":"linux","rootfs":{"diff_ids":["sha256:%s"],"type":"layers"},"variant":"v8"}'
)


def fixed_image(folder, compress=bytes):
    image = Parts(folder)
    path = image.layers[0][1]
    path.write_bytes(compress(FIXED_LAYER))
    image.layers = [(sha256(FIXED_LAYER), path)]
    image.configure(FIXED_CONFIG % sha256(FIXED_LAYER).encode())
    return image


def stored_gzip(data):
    """Returns a gzip file whose bytes no library decides on: one stored block (RFC 1951, 1952)."""
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
def test_the_bytes_are_the_same_for_ever(tmp_path, compress, digest, archive):
    image = fixed_image(tmp_path, compress)
    _, written = write(image)
    assert written == f'sha256:{digest}\n'
    assert sha256(image.output.read_bytes()) == archive


def test_the_manifest_is_compact_and_sorted(tmp_path):
    image = fixed_image(tmp_path)
    layout, digest = write(image)
    size = image.config.stat().st_size
    expected = (
        f'{{"config":{{"digest":"sha256:{image.id}",'
        f'"mediaType":"application/vnd.oci.image.config.v1+json","size":{size}}},'
        f'"layers":[{{"digest":"sha256:{sha256(FIXED_LAYER)}",'
        f'"mediaType":"application/vnd.oci.image.layer.v1.tar","size":10240}}],'
        '"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}'
    )
    assert layout.files[blob(digest.strip())].decode() == expected


# What no layout can be right with: an error without --verify, too.


def lacks_config(image):
    base = BaseImage(['one'])
    files = [member('one', base.layers['one'])]
    entries = json.dumps([base.entry]).encode()
    image.base = write_tar(image.folder / 'b.tar', *files, member('manifest.json', entries))


def base_with(**changes):
    """Returns what gives an image a base whose configuration has other diff IDs."""

    def change(image):
        base = BaseImage(['one', 'two'], config_name='c.json')
        config = json.loads(base.config)
        config['rootfs'].update(changes)
        parts = [member('c.json', json.dumps(config).encode())]
        parts += [member(name, data) for name, data in base.layers.items()]
        parts.append(member('manifest.json', json.dumps([base.entry]).encode()))
        image.base = write_tar(image.folder / 'b.tar', *parts)

    return change


def compressed_layer(compress):
    def change(image):
        ((_, path),) = image.layers
        path.write_bytes(compress(path.read_bytes()))

    return change


def base_with_compressed_layer(image):
    base = BaseImage(['one'])
    files = {**base.files, 'one': bz2.compress(base.layers['one'])}
    parts = [member(name, data) for name, data in files.items()]
    entries = json.dumps([base.entry]).encode()
    image.base = write_tar(image.folder / 'b.tar', *parts, member('manifest.json', entries))
    image.configure(configuration([*base.diff_ids, *image.diff_ids]))


def not_an_object(image):
    image.configure(b'[]')


def not_json(image):
    image.configure(b'{')


def other_config(image):
    image.config.write_text('{}')


def identifier(image):
    image.id = 'abc'


def layer_identifier(image):
    image.layers = [('abc', image.layers[0][1])]


def before_1_10(image):
    image.base = DATA / 'bases' / BEFORE_1_10


def nothing(image):
    pass


BAD = [
    (identifier, [], "--id: 'abc' is not 64 hex digits"),
    (layer_identifier, [], "'abc' is not 64 hex digits"),
    (not_an_object, [], 'is not a JSON object'),
    (not_json, [], 'is not JSON'),
    (other_config, [], '--id: the SHA-256 of'),
    (before_1_10, [], 'is of before Docker 1.10: load and save it'),
    (lacks_config, [], 'lacks its configuration'),
    (base_with(diff_ids=['sha256:' + 'a' * 64]), [], 'has 2 layers and 1 diff IDs'),
    (base_with(diff_ids='x'), [], 'a configuration without diff IDs'),
    (base_with(diff_ids=['x', 'y']), [], "a diff ID that is no SHA-256, 'x'"),
    (nothing, ['--tag=Upper:1'], "--tag: 'Upper:1'"),
    (nothing, ['--tag=no-tag'], "--tag: 'no-tag'"),
    (compressed_layer(bz2.compress), [], 'is compressed by bzip2'),
    (compressed_layer(lzma.compress), [], 'is compressed by xz'),
    (base_with_compressed_layer, [], 'is compressed by bzip2'),
    (nothing, ['--legacy_id=v1', '--metadata=/dev/null'], '--oci: no OCI layout has a v1 layer'),
]


@pytest.mark.parametrize(('change', 'flags', 'message'), BAD)
def test_bad_input(parts, change, flags, message):
    change(parts)
    parts.output.write_bytes(b'old')
    digest_file = parts.folder / 'digest'
    before = sorted(os.listdir(parts.folder))
    error = fails(*parts.flags, *flags, '--oci', f'--digest_file={digest_file}')
    assert message in error
    assert parts.output.read_bytes() == b'old'
    assert sorted(os.listdir(parts.folder)) == before


@pytest.mark.parametrize(('change', 'flags', 'message'), BAD[:-1])
def test_bad_input_is_told_with_verify_too(parts, change, flags, message):
    change(parts)
    done = run(*parts.flags, *flags, '--oci', '--verify')
    assert done.returncode == 1
    assert message in done.stderr.decode()
    assert not parts.output.exists()


@pytest.mark.parametrize(('change', 'flags', 'message'), BAD[:-1])
def test_without_oci_it_is_no_error(parts, change, flags, message):
    change(parts)
    build(*parts.flags, *flags, warnings=True)


def test_all_problems_of_a_layout_are_told_with_verify(parts):
    compressed_layer(bz2.compress)(parts)
    parts.id = 'abc'
    done = run(*parts.flags, '--oci', '--verify', '--tag=no-tag')
    lines = done.stderr.decode().splitlines()
    assert [any(text in line for line in lines) for text in ('hex', 'bzip2', 'no-tag')] == [
        True
    ] * 3
    assert len(lines) == len(set(lines))


# A base that lacks layers.


@dataclasses.dataclass
class LayoutBase:
    """A base of two layers with an OCI manifest, to be made wrong.

    Attributes:
        image: What manifest.json says.
        layers: The descriptors of the layers in the OCI manifest.
        config_digest: Of which image the OCI manifest says it is.
        depth: How many indexes lead to the manifest, index.json among them.
        left_out: The layers whose blobs are missing.
        annotations: Of the descriptor of the manifest.
    """

    image: BaseImage
    layers: list
    config_digest: str
    depth: int = 1
    left_out: tuple = (0, 1)
    annotations: dict = dataclasses.field(default_factory=dict)

    def write(self, path):
        blobs = dict(self.image.files)
        for position in self.left_out:
            del blobs[self.image.layer_names[position]]
        content = json.dumps(
            {'schemaVersion': 2, 'config': {'digest': self.config_digest}, 'layers': self.layers}
        ).encode()
        for _ in range(self.depth):
            digest = sha256(content)
            blobs[BLOBS + digest] = content
            descriptor = {'digest': f'sha256:{digest}', 'annotations': self.annotations}
            # Other platforms are named, too, and not there.
            other = {'digest': f'sha256:{"0" * 64}', 'platform': {'architecture': 'arm64'}}
            content = json.dumps({'manifests': [other, descriptor, None]}).encode()
        blobs['index.json'] = content
        blobs['manifest.json'] = json.dumps([self.image.entry]).encode()
        return write_tar(path, *(member(name, data) for name, data in blobs.items()))


@pytest.fixture
def layout_base():
    """A base whose layers are named by what they are, so that no name tells a digest."""
    image = BaseImage(['one', 'two'])
    layers = [
        {'mediaType': f'{LAYER}+gzip', 'digest': f'sha256:{"1" * 64}', 'size': 1 << 40},
        {'mediaType': LAYER, 'digest': image.diff_ids[1], 'size': 10240},
    ]
    return LayoutBase(image, layers, f'sha256:{image.id}')


def on_layout(folder, base):
    path = base.write(folder / 'base.tar')
    return Parts(folder, below=base.image.diff_ids, base=path)


@pytest.mark.parametrize('depth', [1, 2, 5])
def test_a_missing_layer_is_what_the_manifest_of_the_base_says(tmp_path, layout_base, depth):
    layout_base.depth = depth
    layout_base.annotations = {'vnd.docker.reference.type': 'x'}
    layout, _ = write(on_layout(tmp_path, layout_base), '--verify', partial=True)
    assert layout.manifest['layers'][:2] == layout_base.layers


@pytest.mark.parametrize(
    ('media_type', 'expected'),
    [
        ('application/vnd.docker.image.rootfs.diff.tar.gzip', f'{LAYER}+gzip'),
        ('application/vnd.docker.image.rootfs.diff.tar.zstd', f'{LAYER}+zstd'),
        (f'{LAYER}+zstd', f'{LAYER}+zstd'),
    ],
)
def test_media_types_of_docker_become_those_of_oci(tmp_path, layout_base, media_type, expected):
    layout_base.layers[0]['mediaType'] = media_type
    layout, _ = write(on_layout(tmp_path, layout_base), partial=True)
    assert layout.manifest['layers'][0]['mediaType'] == expected


def test_a_layer_that_is_there_is_not_asked_for(tmp_path, layout_base):
    layout_base.left_out = (0,)
    layout_base.layers[1]['mediaType'] = 'unknown/type'
    layout, _ = write(on_layout(tmp_path, layout_base), '--verify', partial=True)
    assert layout.manifest['layers'][1]['digest'] == layout_base.image.diff_ids[1]


def set_layer(**fields):
    def change(base):
        base.layers[0].update(fields)

    return change


def set_field(**fields):
    def change(base):
        for field, value in fields.items():
            setattr(base, field, value)

    return change


def too_few_layers(base):
    del base.layers[1]


def plain_with_another_digest(base):
    base.layers[1]['digest'] = f'sha256:{"2" * 64}'


def another_name(base):
    base.image.layer_names[0] = BLOBS + '3' * 64
    base.config_digest = f'sha256:{base.image.id}'


def another_layer_that_is_there(base):
    base.left_out = (1,)


UNTOLD = 'lacks its layer'


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (set_layer(mediaType='application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'), UNTOLD),
        (set_layer(mediaType=None), UNTOLD),
        (set_layer(digest='sha256:abc'), UNTOLD),
        (set_layer(digest=None), UNTOLD),
        (set_layer(size=-1), UNTOLD),
        (set_layer(size='1'), UNTOLD),
        (set_layer(size=True), UNTOLD),
        (set_field(config_digest=f'sha256:{"4" * 64}'), UNTOLD),
        (set_field(config_digest=None), UNTOLD),
        (set_field(depth=20), UNTOLD),
        (set_field(layers={}), 'no list of layers|0 layers'),
        (too_few_layers, '1 layers, but 2 in manifest.json'),
        (plain_with_another_digest, 'but the diff ID'),
        (another_name, f"but '{BLOBS}3+' in manifest.json"),
        (another_layer_that_is_there, f'not sha256:{"1" * 64}'),
    ],
)
def test_a_base_that_does_not_tell_or_contradicts_itself(tmp_path, layout_base, change, message):
    change(layout_base)
    image = on_layout(tmp_path, layout_base)
    error = fails(*image.without('legacy_base'), '--oci')
    assert re.search(message, error)
    assert not image.output.exists()


@pytest.mark.parametrize(
    'content', [b'', b'[]', b'{"manifests": 1}', b'{"manifests": [1, {}]}', b'\xff']
)
def test_an_index_that_is_none_tells_nothing(tmp_path, layout_base, content):
    path = layout_base.write(tmp_path / 'base.tar')
    parts = []
    for header, data in members(path):
        parts.append(member(header.name, content if header.name == 'index.json' else data))
    write_tar(path, *parts)
    image = Parts(tmp_path, below=layout_base.image.diff_ids, base=path)
    assert UNTOLD in fails(*image.without('legacy_base'), '--oci')


def test_a_manifest_that_is_not_its_digest_is_not_believed(tmp_path, layout_base):
    path = layout_base.write(tmp_path / 'base.tar')
    parts = [
        member(header.name, data.replace(b'1' * 64, b'5' * 64)) for header, data in members(path)
    ]
    write_tar(path, *parts)
    image = Parts(tmp_path, below=layout_base.image.diff_ids, base=path)
    assert UNTOLD in fails(*image.without('legacy_base'), '--oci')


def test_a_partial_base_without_a_layout(tmp_path):
    first = on_fixture(tmp_path, 'docker-20.10.tar')
    build(*first.without('legacy_base'))
    second = on(tmp_path, first.output)
    assert UNTOLD in fails(*second.without('legacy_base'), '--oci')


def test_a_partial_base_is_not_merged(tmp_path):
    first = on_fixture(tmp_path, 'docker-20.10.tar')
    write(first, partial=True)
    second = on(tmp_path, first.output)
    assert 'give a whole image' in fails(*second.flags, '--oci')


def test_a_blob_of_the_base_that_is_not_its_name(tmp_path):
    """A compressed layer is read for its digest, which its name says as well."""
    base = repacked(tmp_path / 'b.tar', 'docker-29-pulled.tar', str)
    name = manifest(base)['Layers'][0]
    with_other_content = []
    for header, data in members(base):
        if header.name == name:
            data = gzip.compress(uncompressed(data), mtime=1)
        kind = DIR if data is None else header.type
        with_other_content.append(member(header.name, data or b'', kind=kind))
    write_tar(base, *with_other_content)
    image = Parts(tmp_path, below=base_diff_ids(), base=base)
    for flags in (image.flags, image.without('legacy_base')):
        assert f'layer {name!r}' in fails(*flags, '--oci')
        assert f'layer {name!r}' in fails(*flags, '--oci', '--verify')


# --verify.


@pytest.mark.parametrize('partial', [False, True])
@pytest.mark.parametrize('base', MODERN)
def test_verify_passes_each_base(tmp_path, base, partial):
    image = on_fixture(tmp_path, base)
    flags = image.without('legacy_base') if partial else image.flags
    found = problems(*flags, '--oci', warnings=unread(base))
    assert found == []


def unread(base):
    """The warnings of a base that this Python cannot read."""
    if base != ZSTD_BASE or python_reads_zstd():
        return []
    text = 'is zstd, which this Python cannot read: its content was not checked: use Python 3.14'
    path = DATA / 'bases' / base
    return [f'layer {name!r} of {str(path)!r} {text}' for name in manifest(path)['Layers']]


@pytest.mark.parametrize('partial', [False, True])
@pytest.mark.parametrize('compress', [bytes, gzip.compress])
def test_verify_reads_the_layers_of_the_base(tmp_path, partial, compress):
    """Without it, a plain layer is believed to be what its name says."""
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


def test_verify_reads_a_layer_that_is_in_the_base_alone(tmp_path):
    """What is merged lacks it, so its digest comes from the base."""
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
def test_verify_reads_the_own_layers(parts, compress):
    ((digest, path),) = parts.layers
    path.write_bytes(compress(tar_of(member('other', b'content'))))
    (problem,) = problems(*parts.flags, '--oci')
    assert digest in problem


# What is read.

# So large that what Python reads of its own, 4 MB and more, is no matter.
LARGE = 16 << 20


def large_layer(folder):
    return Parts(folder, layers=[{'large': os.urandom(LARGE)}])


@pytest.mark.parametrize('flags', [[], ['--oci']])
def test_a_plain_layer_is_not_read(tmp_path, flags):
    if not hasattr(os, 'copy_file_range'):
        missing('this system copies by reading')
    image = large_layer(tmp_path)
    done, _, count = measure(*image.flags, *flags)
    assert done.returncode == 0
    assert count < 2 * LARGE  # copy_file_range(2) is counted once


@pytest.mark.parametrize(
    ('flags', 'times'), [([], 1), (['--oci'], 2), (['--verify'], 2), (['--oci', '--verify'], 2)]
)
def test_a_compressed_layer_is_read_once_for_all_its_digests(tmp_path, flags, times):
    image = large_layer(tmp_path)
    path = image.layers[0][1]
    path.write_bytes(gzip.compress(path.read_bytes(), 1))
    done, _, count = measure(*image.flags, *flags)
    assert done.returncode == 0
    assert times == round(count / LARGE)


@pytest.mark.parametrize(('flags', 'times'), [(['--oci'], 2), (['--oci', '--verify'], 2)])
def test_a_compressed_layer_of_a_base_is_read_once_for_all_its_digests(tmp_path, flags, times):
    first = large_layer(tmp_path)
    path = first.layers[0][1]
    path.write_bytes(gzip.compress(path.read_bytes(), 1))
    build(*first.flags)
    second = on(tmp_path, first.output)
    done, _, count = measure(*second.flags, *flags)
    assert done.returncode == 0
    assert times == round(count / LARGE)


@pytest.mark.parametrize('flags', [[], ['--verify']])
def test_a_large_layer_of_a_compressed_base_is_read_though_it_is_not_stored(tmp_path, flags):
    first = large_layer(tmp_path)
    path = first.layers[0][1]
    path.write_bytes(gzip.compress(path.read_bytes(), 1))
    write(first)
    second = on(tmp_path, first.output)
    _, digest = write(second)
    first.output.write_bytes(gzip.compress(first.output.read_bytes(), 1))
    assert write(second, *flags, partial=True)[1] == digest
