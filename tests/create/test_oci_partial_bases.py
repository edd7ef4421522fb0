# SPDX-License-Identifier: Apache-2.0
"""--oci: layers that the base lacks, described by the base's own layout (section 12)."""

import dataclasses
import gzip
import json
import re

import pytest

from support.images import BaseImage, Parts, base_diff_ids, on_fixture
from support.layouts import BLOBS, LAYER, on, repacked, write_layout
from support.running import build, fails
from support.tars import DIR, manifest, member, members, sha256, uncompressed, write_tar

# A base that lacks layers.


@dataclasses.dataclass
class LayoutBase:
    """A base of two layers with an OCI manifest; tests change it to make it wrong.

    Attributes:
        image: The image in manifest.json.
        layers: The layer descriptors in the OCI manifest.
        config_digest: The digest of the configuration in the OCI manifest.
        depth: The number of indexes on the way to the manifest, index.json included.
        left_out: The layers whose blobs are missing.
        annotations: The annotations in the descriptor of the manifest.
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
            # Manifests of other platforms are listed, but missing.
            other = {'digest': f'sha256:{"0" * 64}', 'platform': {'architecture': 'arm64'}}
            content = json.dumps({'manifests': [other, descriptor, None]}).encode()
        blobs['index.json'] = content
        blobs['manifest.json'] = json.dumps([self.image.entry]).encode()
        return write_tar(path, *(member(name, data) for name, data in blobs.items()))


@pytest.fixture
def layout_base():
    """A base whose layer names do not contain the digests."""
    image = BaseImage(['one', 'two'])
    layers = [
        {'mediaType': f'{LAYER}+gzip', 'digest': f'sha256:{"1" * 64}', 'size': 1 << 40},
        {'mediaType': LAYER, 'digest': image.diff_ids[1], 'size': 10240},
    ]
    return LayoutBase(image, layers, f'sha256:{image.id}')


def on_layout(directory, base):
    path = base.write(directory / 'base.tar')
    return Parts(directory, below=base.image.diff_ids, base=path)


@pytest.mark.parametrize('depth', [1, 2, 5])
def test_descriptor_of_a_missing_layer_comes_from_the_base(tmp_path, layout_base, depth):
    layout_base.depth = depth
    layout_base.annotations = {'vnd.docker.reference.type': 'x'}
    layout, _ = write_layout(on_layout(tmp_path, layout_base), '--verify', partial=True)
    assert layout.manifest['layers'][:2] == layout_base.layers


@pytest.mark.parametrize(
    ('media_type', 'expected'),
    [
        ('application/vnd.docker.image.rootfs.diff.tar.gzip', f'{LAYER}+gzip'),
        ('application/vnd.docker.image.rootfs.diff.tar.zstd', f'{LAYER}+zstd'),
        (f'{LAYER}+zstd', f'{LAYER}+zstd'),
    ],
)
def test_docker_media_types_become_oci_media_types(tmp_path, layout_base, media_type, expected):
    layout_base.layers[0]['mediaType'] = media_type
    layout, _ = write_layout(on_layout(tmp_path, layout_base), partial=True)
    assert layout.manifest['layers'][0]['mediaType'] == expected


def test_present_layer_needs_no_descriptor_in_the_base(tmp_path, layout_base):
    layout_base.left_out = (0,)
    layout_base.layers[1]['mediaType'] = 'unknown/type'
    layout, _ = write_layout(on_layout(tmp_path, layout_base), '--verify', partial=True)
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
        (set_layer(mediaType='application/vnd.oci.image.layer.v1.tar+br'), UNTOLD),
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
def test_bad_layout_of_a_partial_base_is_an_error(tmp_path, layout_base, change, message):
    change(layout_base)
    image = on_layout(tmp_path, layout_base)
    error = fails(*image.without('legacy_base'), '--oci')
    assert re.search(message, error)
    assert not image.output.exists()


@pytest.mark.parametrize(
    'content', [b'', b'[]', b'{"manifests": 1}', b'{"manifests": [1, {}]}', b'\xff']
)
def test_invalid_index_of_the_base_is_ignored(tmp_path, layout_base, content):
    path = layout_base.write(tmp_path / 'base.tar')
    parts = []
    for header, data in members(path):
        parts.append(member(header.name, content if header.name == 'index.json' else data))
    write_tar(path, *parts)
    image = Parts(tmp_path, below=layout_base.image.diff_ids, base=path)
    assert UNTOLD in fails(*image.without('legacy_base'), '--oci')


def test_manifest_with_a_wrong_digest_is_ignored(tmp_path, layout_base):
    path = layout_base.write(tmp_path / 'base.tar')
    parts = [
        member(header.name, data.replace(b'1' * 64, b'5' * 64)) for header, data in members(path)
    ]
    write_tar(path, *parts)
    image = Parts(tmp_path, below=layout_base.image.diff_ids, base=path)
    assert UNTOLD in fails(*image.without('legacy_base'), '--oci')


def test_partial_base_without_a_layout_is_an_error(tmp_path):
    first = on_fixture(tmp_path, 'docker-20.10.tar')
    build(*first.without('legacy_base'))
    second = on(tmp_path, first.output)
    assert UNTOLD in fails(*second.without('legacy_base'), '--oci')


def test_partial_base_as_legacy_base_is_an_error(tmp_path):
    first = on_fixture(tmp_path, 'docker-20.10.tar')
    write_layout(first, partial=True)
    second = on(tmp_path, first.output)
    assert 'give a whole image' in fails(*second.flags, '--oci')


def test_blob_of_the_base_with_a_wrong_name_is_an_error(tmp_path):
    """A compressed layer is read to get its digest, which its name must match."""
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
