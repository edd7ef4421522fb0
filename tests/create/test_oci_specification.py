# SPDX-License-Identifier: Apache-2.0
"""--oci: the layout follows the OCI image specification 1.1 (section 12)."""

import json
import re

import pytest

from support.layouts import BLOBS, LAYER, blob
from support.tars import sha256, uncompressed

# Rules of the OCI image specification 1.1, in its words. Each rule is a check of a layout.


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


@pytest.mark.parametrize('rule', RULES, ids=lambda rule: rule.__name__)
def test_layout_follows_the_specification(layouts, rule):
    for layout in layouts.values():
        rule(layout)
