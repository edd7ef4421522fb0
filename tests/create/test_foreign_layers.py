# SPDX-License-Identifier: Apache-2.0
"""Foreign layers of a base, which are not to be distributed, stay foreign (section 5)."""

import json

import pytest

from support.foreign import FOREIGN_TYPES, NONDISTRIBUTABLE, ForeignImage
from support.images import Parts
from support.layouts import Layout
from support.running import build, fails, problems, warns
from support.tars import manifest, member, names, sha256, write_tar

FORMS = ['layout', 'docker archive']


def write(image, form, path, **options):
    if form == 'layout':
        return image.write_layout(path, **options)
    return image.write_docker_archive(path, **options)


def on_image(directory, image, form='layout', **options):
    """Returns the parts of an image on a foreign one, and the path of its base."""
    base = write(image, form, directory / 'base.tar', **options)
    return Parts(directory, below=image.diff_ids, base=base)


def lacks(base, name, advice):
    return f"--base: '{base}': no archive has its foreign layer '{name}': {advice}"


@pytest.mark.parametrize('media_type', FOREIGN_TYPES)
def test_descriptor_of_a_foreign_layer_is_kept(tmp_path, media_type):
    """In the OCI manifest, and in manifest.json."""
    image = ForeignImage(media_type)
    parts = on_image(tmp_path, image)
    build(*parts.flags, '--oci', '--verify')
    layout = Layout.read(parts.output)
    assert layout.manifest['layers'][0] == image.foreign
    assert 'urls' not in layout.manifest['layers'][1]
    assert layout.files[image.names[0]] == image.packed
    assert manifest(parts.output)['LayerSources'] == {image.diff_ids[0]: image.foreign}


@pytest.mark.parametrize('form', FORMS)
def test_layer_sources_are_kept_without_an_oci_layout(tmp_path, form):
    image = ForeignImage()
    parts = on_image(tmp_path, image, form)
    build(*parts.flags, '--verify')
    assert manifest(parts.output)['LayerSources'] == {image.diff_ids[0]: image.foreign}


def test_descriptor_comes_from_the_oci_manifest_without_layer_sources(tmp_path):
    image = ForeignImage()
    parts = on_image(tmp_path, image, sources=False)
    build(*parts.flags, '--oci', '--verify')
    assert Layout.read(parts.output).manifest['layers'][0] == image.foreign
    assert 'LayerSources' not in manifest(parts.output)


def test_foreign_layer_that_is_stored_plain_has_no_urls(tmp_path):
    """Its URLs lead to the compressed layer."""
    image = ForeignImage()
    parts = on_image(tmp_path, image, 'docker archive')
    build(*parts.flags, '--oci', '--verify')
    assert Layout.read(parts.output).manifest['layers'][0] == {
        'mediaType': NONDISTRIBUTABLE,
        'digest': image.diff_ids[0],
        'size': len(image.plain),
    }


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('flags', [[], ['--oci']])
@pytest.mark.parametrize('merges', [True, False])
def test_foreign_layer_in_no_archive_is_not_missing(tmp_path, form, flags, merges):
    image = ForeignImage()
    parts = on_image(tmp_path, image, form, lacks_layer=True)
    name = manifest(parts.base)['Layers'][0]
    own = parts.flags if merges else parts.without('legacy_base')
    advice = 'give --oci for an OCI layout, from which Podman downloads it'
    if flags:
        advice = 'load it with Podman, which downloads it'
    assert warns(*own, *flags)[-1] == lacks(parts.base, name, advice)
    if flags:
        assert Layout.read(parts.output).manifest['layers'][0] == image.foreign
        assert image.names[0] not in names(parts.output)
    if flags or merges:
        found = [lacks(parts.base, name, advice)]
        assert problems(*own, *flags, warnings=found) == []


def test_ordinary_layer_of_a_foreign_image_can_be_missing(tmp_path):
    image = ForeignImage()
    parts = on_image(tmp_path, image)
    layout = Layout.read(parts.base)
    kept = {name: data for name, data in layout.files.items() if name != image.names[1]}
    write_tar(parts.base, *(member(name, data) for name, data in kept.items()))
    text = f"'{parts.base}' lacks its layer '{image.names[1]}': give a whole image"
    assert fails(*parts.flags) == text


def test_ordinary_layer_sources_are_not_copied(tmp_path):
    """Docker since 25 writes them for all layers that it downloaded."""
    image = ForeignImage()
    image.foreign['mediaType'] = 'application/vnd.oci.image.layer.v1.tar+gzip'
    parts = on_image(tmp_path, image)
    build(*parts.flags, '--verify')
    assert 'LayerSources' not in manifest(parts.output)


@pytest.mark.parametrize('sources', [1, [], {'sha256:1': []}, {'sha256:1': 'x'}])
def test_wrong_layer_sources_are_an_error(tmp_path, sources):
    """All clients that are written in Go refuse them."""
    image = ForeignImage()
    parts = on_image(tmp_path, image)
    entry = {**manifest(parts.base), 'LayerSources': sources}
    files = {**Layout.read(parts.base).files, 'manifest.json': json.dumps([entry]).encode()}
    write_tar(parts.base, *(member(name, data) for name, data in files.items()))
    text = 'manifest.json has LayerSources that are no object of descriptors: replace it'
    assert fails(*parts.flags) == f"'{parts.base}': {text}"


@pytest.mark.parametrize('urls', [1, 'x', [1]])
def test_descriptor_with_wrong_urls_is_not_used(tmp_path, urls):
    image = ForeignImage()
    image.foreign['urls'] = urls
    parts = on_image(tmp_path, image, lacks_layer=True)
    text = f"'{parts.base}' lacks its layer '{image.names[0]}'"
    assert text in fails(*parts.flags, '--oci')
    assert sha256(image.packed) in image.names[0]
