# SPDX-License-Identifier: Apache-2.0
"""join_layers: foreign layers, which are not to be distributed, stay foreign (section 5)."""

import pytest

from support.foreign import FOREIGN_TYPES, ForeignImage
from support.images import Parts, write_base
from support.joins import PROGRAM, entries_of, flags_for, image_of, join
from support.layouts import Layout
from support.running import problems, run
from support.tars import manifest


@pytest.mark.parametrize('media_type', FOREIGN_TYPES)
def test_descriptor_of_a_foreign_layer_is_kept(tmp_path, media_type):
    image = ForeignImage(media_type)
    path = image.write_layout(tmp_path / 'one.tar')
    joined = join(tmp_path, path, flags=['--verify'])
    assert Layout.read(joined).manifest['layers'][0] == image.foreign
    assert manifest(joined)['LayerSources'] == {image.diff_ids[0]: image.foreign}


def test_layer_sources_of_any_archive_are_kept(tmp_path):
    """Of two archives of one image, each may be the one that has them."""
    image = ForeignImage()
    with_sources = image.write_docker_archive(tmp_path / 'one.tar')
    without = image.write_layout(tmp_path / 'other.tar', sources=False)
    for order in ([with_sources, without], [without, with_sources]):
        (entry,) = entries_of(join(tmp_path, *order, warnings=True))
        assert entry['LayerSources'] == {image.diff_ids[0]: image.foreign}


@pytest.mark.parametrize('form', ['layout', 'docker archive'])
def test_foreign_layer_in_no_archive_is_not_missing(tmp_path, form):
    image = ForeignImage()
    if form == 'layout':
        path = image.write_layout(tmp_path / 'one.tar', lacks_layer=True)
        advice = 'load it with Podman, which downloads it'
    else:
        path = image.write_docker_archive(tmp_path / 'one.tar', lacks_layer=True)
        advice = 'join only archives with an index.json to an OCI layout, from which Podman '
        advice += 'downloads it'
    entry = manifest(path)
    text = f"'{path}': '{entry['Config']}': no archive has its foreign layer"
    found = [f"{text} '{entry['Layers'][0]}': {advice}"]
    assert problems(*flags_for(tmp_path, [path]), warnings=found, **PROGRAM) == []


def test_image_on_a_foreign_one_is_joined_with_it(tmp_path):
    image = ForeignImage()
    base = image.write_docker_archive(tmp_path / 'base.tar')
    parts = Parts(tmp_path, below=image.diff_ids, base=base)
    assert run(*parts.without('legacy_base')).returncode == 0
    other = write_base(tmp_path / 'other.tar', image_of('x'))
    joined = join(tmp_path, base, parts.output, other, flags=['--verify'])
    first, second, third = entries_of(joined)
    assert first['LayerSources'] == second['LayerSources'] == {image.diff_ids[0]: image.foreign}
    assert second['Layers'][:2] == first['Layers']
    assert 'LayerSources' not in third
