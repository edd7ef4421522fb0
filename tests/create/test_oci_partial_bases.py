# SPDX-License-Identifier: Apache-2.0
"""--oci: layers that the base lacks, and what its own layout says of them (section 12)."""

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


def on_layout(directory, base):
    path = base.write(directory / 'base.tar')
    return Parts(directory, below=base.image.diff_ids, base=path)


@pytest.mark.parametrize('depth', [1, 2, 5])
def test_a_missing_layer_is_what_the_manifest_of_the_base_says(tmp_path, layout_base, depth):
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
def test_media_types_of_docker_become_those_of_oci(tmp_path, layout_base, media_type, expected):
    layout_base.layers[0]['mediaType'] = media_type
    layout, _ = write_layout(on_layout(tmp_path, layout_base), partial=True)
    assert layout.manifest['layers'][0]['mediaType'] == expected


def test_a_layer_that_is_there_is_not_asked_for(tmp_path, layout_base):
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
    write_layout(first, partial=True)
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
