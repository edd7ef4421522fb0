# SPDX-License-Identifier: Apache-2.0
"""join_layers: images, partial images and their parents (section 11)."""

import itertools
import json
import os

import pytest

from support.images import EPOCH, Parts, configuration, write_base
from support.joins import PROGRAM, SAME_IMAGE, entries_of, flags_for, image_of, join
from support.project import FIXTURES
from support.running import build, problems, warns
from support.tars import LINK, content, make_tar, manifest, member, names, sha256

HEX = 'e' * 64


# The images.


def test_equal_images_of_several_programs_become_one(tmp_path):
    archives = [FIXTURES / name for name in SAME_IMAGE]
    joined = join(tmp_path, *archives, flags=['--verify'], warnings=True)
    entry = manifest(joined)
    first = manifest(FIXTURES / SAME_IMAGE[0])
    assert (entry['Config'], entry['Layers']) == (first['Config'], first['Layers'])
    assert entry['RepoTags'] == [
        'example/base:1.0',
        'localhost/example/base:1.0',
        'docker.io/example/base:1.0',
    ]
    everything = set()
    for name in SAME_IMAGE:
        everything.update(names(FIXTURES / name))
    left_out = {'index.json', 'oci-layout'}
    directories = {os.path.dirname(name) for name in everything if '/' in name}
    assert set(names(joined)) == everything - left_out | directories


@pytest.mark.parametrize('order', list(itertools.permutations(SAME_IMAGE[:3])))
def test_member_names_come_from_the_first_archive(tmp_path, order):
    archives = [FIXTURES / name for name in order]
    entry = manifest(join(tmp_path, *archives, warnings=True))
    assert entry['Layers'] == manifest(FIXTURES / order[0])['Layers']


def test_equal_images_in_one_archive_become_one(tmp_path):
    image, other = image_of('a', tag='a:1'), image_of('b', tag='b:1')
    renamed = {**image.entry, 'Config': 'c.json', 'RepoTags': ['a:2', 'a:1']}
    entries = [image.entry, other.entry, renamed]
    more = [member('c.json', image.config)]
    one = write_base(tmp_path / 'one.tar', image, other, entries=entries, more=more)
    found = entries_of(join(tmp_path, one))
    assert [entry['RepoTags'] for entry in found] == [['a:1', 'a:2'], ['b:1']]


def test_archive_given_twice_is_joined_once(tmp_path, two):
    once = join(tmp_path, *two).read_bytes()
    assert join(tmp_path, *two, two[0]).read_bytes() == once


def test_image_without_tags_has_an_empty_list(tmp_path):
    assert (
        manifest(join(tmp_path, write_base(tmp_path / 'one.tar', image_of('a'))))['RepoTags'] == []
    )


# Partial images.


def partial_on(base, *layers, below=None, config_name=None):
    """Returns an image on base and its entry, where the base's layers may have the names below."""
    image = image_of(*base.layer_names, *layers, config_name=config_name)
    if below is None:
        return image, image.entry
    return image, {**image.entry, 'Layers': [*below, *layers]}


def test_partial_image_uses_the_layers_of_its_base(tmp_path):
    base = image_of('x', 'y')
    image, _ = partial_on(base, 'z')
    one = write_base(tmp_path / 'one.tar', base)
    other = write_base(tmp_path / 'other.tar', image, without=['x', 'y'])
    joined = join(tmp_path, one, other, flags=['--verify'])
    assert entries_of(joined)[1]['Layers'] == ['x', 'y', 'z']


def test_missing_layer_is_found_by_its_diff_id(tmp_path):
    base = image_of('x', 'y')
    image, entry = partial_on(base, 'z', below=['elsewhere/1', 'elsewhere/2'])
    one = write_base(tmp_path / 'one.tar', base)
    other = write_base(tmp_path / 'other.tar', image, entries=[entry], without=['x', 'y'])
    for order in ([one, other], [other, one]):
        joined = join(tmp_path, *order, flags=['--verify'])
        assert ['x', 'y', 'z'] in [entry['Layers'] for entry in entries_of(joined)]


def test_present_layer_keeps_its_name(tmp_path):
    """Even if another archive has the same layer under another name."""
    base = image_of('x')
    image, entry = partial_on(base, 'z', below=['copy'])
    more = [member('copy', base.layers['x'])]
    one = write_base(tmp_path / 'one.tar', base)
    other = write_base(tmp_path / 'other.tar', image, entries=[entry], without=['x'], more=more)
    assert entries_of(join(tmp_path, one, other))[1]['Layers'] == ['copy', 'z']


@pytest.mark.parametrize('base', [name for name in SAME_IMAGE if '.tar' in name])
@pytest.mark.parametrize('other', ['docker-20.10.tar', 'podman-4.3.tar', 'docker-29-pulled.tar'])
def test_partial_image_on_a_base_saved_by_another_program(tmp_path, base, other):
    parts = Parts(tmp_path, below=base_diff_ids_of(other))
    build(*parts.flags, f'--base={FIXTURES / base}', '--tag=example/new:1')
    archives = [FIXTURES / other, parts.output]
    joined = join(tmp_path, *archives, flags=['--verify'], warnings=True)
    base_entry, entry = entries_of(joined)
    assert entry['Layers'][:2] == base_entry['Layers']
    assert entry['Layers'][2:] == [f'{parts.id}/{parts.layers[0][0]}.tar']


def base_diff_ids_of(base):
    config = json.loads(content(FIXTURES / base, manifest(FIXTURES / base)['Config']))
    return config['rootfs']['diff_ids']


def test_partial_image_on_a_partial_image(tmp_path):
    first = image_of('x')
    second, second_entry = partial_on(first, 'y', below=['p'])
    third, third_entry = partial_on(second, 'z', below=['q', 'r'])
    archives = [
        write_base(tmp_path / '1.tar', first),
        write_base(tmp_path / '2.tar', second, entries=[second_entry], without=['x']),
        write_base(tmp_path / '3.tar', third, entries=[third_entry], without=['x', 'y']),
    ]
    found = entries_of(join(tmp_path, *archives, flags=['--verify']))
    assert [entry['Layers'] for entry in found] == [['x'], ['x', 'y'], ['x', 'y', 'z']]


# Names of a present and a missing layer, and whether the digest in them shows they are equal.
BY_DIGEST = [
    (f'blobs/sha256/{HEX}', f'{HEX}.tar.gz', True),
    (f'{HEX}.tar', f'blobs/sha256/{HEX}', True),
    (f'directory/{HEX}.tar', f'{HEX}.tgz', True),
    (f'{HEX}/layer.tar', f'blobs/sha256/{HEX}', False),
    (f'blobs/sha256/{HEX}', f'blobs/sha256/{"d" * 64}', False),
    (f'{HEX[1:]}.tar', f'blobs/sha256/{HEX[1:]}', False),
]


@pytest.mark.parametrize(('present', 'absent', 'is_found'), BY_DIGEST)
def test_missing_layer_is_found_by_the_digest_in_its_name(tmp_path, present, absent, is_found):
    """If no configuration has the diff IDs."""
    base, image = image_of(present), image_of(absent, 'z', config_name='c.json')
    one = write_base(tmp_path / 'one.tar', base)
    other = write_base(
        tmp_path / 'other.tar', image, without=[absent, 'c.json'], more=[member('c.json', b'{}')]
    )
    warns(*flags_for(tmp_path, [one, other]), **PROGRAM)
    layers = entries_of(tmp_path / 'out.tar')[1]['Layers']
    assert layers == [present if is_found else absent, 'z']


def test_diff_id_takes_precedence_over_the_digest_in_a_name(tmp_path):
    """A layer with another diff ID is another layer, whatever its name is."""
    present, absent = f'{HEX}.tar', f'blobs/sha256/{HEX}'
    image = image_of(absent)
    one = write_base(tmp_path / 'one.tar', image_of(present))
    other = write_base(tmp_path / 'other.tar', image, without=[absent])
    assert warns(*flags_for(tmp_path, [one, other]), **PROGRAM) == [
        f"'{other}': '{image.id}.json': no archive has its layer '{absent}': "
        'also give the archive of its base'
    ]
    assert entries_of(tmp_path / 'out.tar')[1]['Layers'] == [absent]


def test_diff_id_of_a_layer_behind_a_link_takes_precedence_over_the_digest(tmp_path):
    """A link whose name has the digest leads to a layer with another diff ID."""
    present, absent = f'y/{HEX}.tar', f'x/{HEX}.tar'
    link = member(present, kind=LINK, link='../z/layer.tar')
    layer = image_of(present).layers[present]
    one = write_base(
        tmp_path / 'one.tar',
        image_of(present),
        without=[present],
        more=[member('z/layer.tar', layer), link],
    )
    other = write_base(tmp_path / 'other.tar', image_of(absent), without=[absent])
    (found,) = problems(*flags_for(tmp_path, [one, other]), **PROGRAM)
    assert f"no archive has its layer '{absent}'" in found


def test_layer_in_no_archive_is_reported(tmp_path):
    image = image_of('x', 'y')
    one = write_base(tmp_path / 'one.tar', image, without=['x'])
    text = "no archive has its layer 'x': also give the archive of its base"
    text = f"'{one}': '{image.id}.json': {text}"
    assert warns(*flags_for(tmp_path, [one]), **PROGRAM) == [text]
    assert manifest(tmp_path / 'out.tar')['Layers'] == ['x', 'y']
    (tmp_path / 'out.tar').unlink()
    assert problems(*flags_for(tmp_path, [one]), **PROGRAM) == [text]
    assert not (tmp_path / 'out.tar').exists()


def test_configuration_in_no_archive_is_reported(tmp_path):
    image = image_of('x')
    one = write_base(tmp_path / 'one.tar', image, without=[f'{image.id}.json'])
    text = f"'{one}': '{image.id}.json' is missing from every archive: give a whole image"
    assert warns(*flags_for(tmp_path, [one]), **PROGRAM) == [text]
    assert problems(*flags_for(tmp_path, [one]), **PROGRAM) == [text]
    other = write_base(tmp_path / 'other.tar', image)
    assert manifest(join(tmp_path, one, other, flags=['--verify'])) == {
        **image.entry,
        'RepoTags': [],
    }


# Parent.


def with_history(image, history):
    config = configuration(image.diff_ids)
    config['history'] = history
    return json.dumps(config).encode()


H1 = {'created': EPOCH, 'created_by': 'one'}
H2 = {'created': EPOCH, 'created_by': 'two'}
HISTORIES = [
    ([H1], [H1, H2], True),
    ([H1], [H1, H1], True),
    ([], [H1], True),
    (None, [], True),
    ([H1], [H1, {**H2, 'empty_layer': True}], True),
    ([{**H1, 'empty_layer': False, 'comment': '', 'author': None}], [H1, H2], True),
    ([H1], [H1], False),
    ([H1], [H2, H2], False),
    ([H1], [H1, H1, H2], False),
    ([H1, H2], [H1], False),
    ([{**H1, 'comment': 'c'}], [H1, H2], False),
    ([H1], None, False),
]


@pytest.mark.parametrize(('below', 'above', 'stays'), HISTORIES)
def test_parent_is_kept_if_the_image_adds_to_its_history(tmp_path, below, above, stays):
    base, image = image_of('x'), image_of('x', 'y')
    base_config, config = with_history(base, below), with_history(image, above)
    base_name, name = f'{sha256(base_config)}.json', f'{sha256(config)}.json'
    parent = f'sha256:{sha256(base_config)}'
    entries = [
        {'Config': name, 'Layers': ['x', 'y'], 'Parent': parent},
        {'Config': base_name, 'Layers': ['x'], 'RepoTags': None},
    ]
    more = [member(name, config), member(base_name, base_config)]
    image.config_name = name
    one = write_base(tmp_path / 'one.tar', image, entries=entries, without=[name], more=more)
    warns(*flags_for(tmp_path, [one]), **PROGRAM)
    found = entries_of(tmp_path / 'out.tar')
    assert found[0].get('Parent') == (parent if stays else None)
    assert 'Parent' not in found[1]


def upper_case_keys(config):
    """Returns a configuration with keys in upper case, which Go's decoder accepts, too."""
    return {key.upper(): value for key, value in config.items()}


@pytest.mark.parametrize(('above', 'stays'), [([H1, H2], True), ([H2, H2], False)])
def test_case_of_keys_does_not_matter_for_the_parent(tmp_path, above, stays):
    base, image = image_of('x'), image_of('x', 'y')
    base_config = json.dumps(upper_case_keys({**configuration(base.diff_ids), 'history': [H1]}))
    config = json.dumps(upper_case_keys({**configuration(image.diff_ids), 'history': above}))
    parent = sha256(base_config.encode())
    files = {**image.layers, f'{parent}.json': base_config.encode(), 'image.json': config.encode()}
    entries = [
        {'Config': 'image.json', 'Layers': ['x', 'y'], 'Parent': f'sha256:{parent}'},
        {'Config': f'{parent}.json', 'Layers': ['x'], 'RepoTags': None},
    ]
    files['manifest.json'] = json.dumps(entries).encode()
    joined = join(tmp_path, make_tar(tmp_path / 'one.tar', files), flags=['--verify'])
    assert entries_of(joined)[0].get('Parent') == (f'sha256:{parent}' if stays else None)


@pytest.mark.parametrize('parent', [f'sha256:{HEX}', HEX, '', None, 7, ['a']])
def test_parent_in_no_archive_is_dropped(tmp_path, parent):
    image = image_of('x')
    one = write_base(tmp_path / 'one.tar', image, entries=[{**image.entry, 'Parent': parent}])
    assert 'Parent' not in manifest(join(tmp_path, one))


def test_parent_needs_an_image_not_just_a_configuration(tmp_path):
    """Docker looks for an image with this ID."""
    base = FIXTURES / 'bazel-2016.tar'
    assert b'"Parent"' in base.read_bytes()
    assert 'Parent' not in manifest(join(tmp_path, base))
