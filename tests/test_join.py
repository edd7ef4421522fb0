# SPDX-License-Identifier: Apache-2.0
"""join_layers: several image archives in one (section 11)."""

import itertools
import json
import os

import pytest

from helpers import (
    BEFORE_1_10,
    DIR,
    EPOCH,
    HARD,
    LINK,
    Parts,
    build,
    configuration,
    content,
    make_tar,
    manifest,
    measure,
    member,
    members,
    names,
    problems,
    sha256,
    warns,
    write_tar,
)
from joins import (
    FIXTURES,
    PROGRAM,
    SAME_IMAGE,
    entries_of,
    flags_for,
    image_of,
    join,
    refuses,
    repositories_of,
    write,
)

V1_ID = 'c' * 64
HEX = 'e' * 64


@pytest.fixture
def two(tmp_path):
    """The archives of two images, which share their lowest layer."""
    one = write(tmp_path / 'one.tar', image_of('shared', 'a', tag='app:1'))
    other = write(tmp_path / 'other.tar', image_of('shared', 'b', tag='db:1'))
    return one, other


# The members.


def test_the_members_of_two(tmp_path, two):
    joined = join(tmp_path, *two)
    app, db = image_of('shared', 'a', tag='app:1'), image_of('shared', 'b', tag='db:1')
    order = [f'{app.id}.json', 'shared', 'a', f'{db.id}.json', 'b', 'manifest.json']
    assert names(joined) == order
    found = {m.name: data for m, data in members(joined)}
    assert {**app.files, **db.files}.items() <= found.items()
    assert found['manifest.json'].decode() == json.dumps([app.entry, db.entry], sort_keys=True)


def test_order_of_the_archives(tmp_path, two):
    one, other = two
    forth = [entry['RepoTags'] for entry in entries_of(join(tmp_path, one, other))]
    back = [entry['RepoTags'] for entry in entries_of(join(tmp_path, other, one))]
    assert forth == [['app:1'], ['db:1']]
    assert back == [['db:1'], ['app:1']]


def test_members_are_merged_as_of_a_base(tmp_path):
    more = [
        member('./folder/', kind=DIR, mode=0o700),
        member('./folder/file', b'data', mode=0o4755, uid=7, mtime=123456789),
        member('folder/hard', kind=HARD, link='./folder/file'),
        member('folder/soft', kind=LINK, link='../a'),
        *(member(name, b'old') for name in ('top', 'oci-layout')),
        member('desktop', b'kept'),
    ]
    joined = join(tmp_path, write(tmp_path / 'one.tar', image_of('a'), more=more))
    found = {m.name: m for m, _ in members(joined)}
    assert list(found)[2:] == ['folder', 'folder/file', 'folder/hard', 'folder/soft'] + [
        'desktop',
        'manifest.json',
    ]
    file = found['folder/file']
    assert (file.mode, file.uid, file.mtime) == (0o4755, 7, 0)
    assert found['folder/hard'].linkname == 'folder/file'
    assert found['folder'].mode == 0o700


def test_names_in_the_manifest_are_those_of_the_members(tmp_path):
    image = image_of('./a', config_name='./c.json')
    entry = manifest(join(tmp_path, write(tmp_path / 'one.tar', image)))
    assert (entry['Config'], entry['Layers']) == ('c.json', ['a'])


def test_what_else_an_entry_says_stays(tmp_path):
    image = image_of('a')
    entry = {**image.entry, 'LayerSources': {image.diff_ids[0]: {'size': 1}}}
    one = write(tmp_path / 'one.tar', image, entries=[entry])
    assert manifest(join(tmp_path, one))['LayerSources'] == {image.diff_ids[0]: {'size': 1}}


# Members of one name. Each pair is one as another archive has it, and how it stays.
EQUAL = {
    'files': ([member('f', b'data')], [member('f', b'data', mode=0o600)]),
    'folders': ([member('d', kind=DIR, mode=0o755)], [member('d', kind=DIR, mode=0o700)]),
    'soft links': ([member('l', kind=LINK, link='x')], [member('l', kind=LINK, link='x')]),
    'a link and what it leads to': (
        [member('d/f', b'data'), member('d/e', b'data')],
        [member('d/f', b'data'), member('d/e', kind=LINK, link='f')],
    ),
    'a link to another of the same content': (
        [member('f', b'data'), member('e', kind=LINK, link='f')],
        [member('g', b'data'), member('e', kind=HARD, link='g')],
    ),
}


@pytest.mark.parametrize('case', EQUAL)
def test_equal_members_are_stored_once(tmp_path, case):
    first, second = EQUAL[case]
    one = write(tmp_path / 'one.tar', image_of('a'), more=first)
    other = write(tmp_path / 'other.tar', image_of('a', 'b'), more=second)
    joined = join(tmp_path, one, other)
    assert len(names(joined)) == len(set(names(joined)))
    stays = first[-1].partition(b'\0')[0].decode().rstrip('/')
    kept = {m.name: (m.mode, m.linkname) for m, _ in members(one)}
    found = {m.name: (m.mode, m.linkname) for m, _ in members(joined)}
    assert found[stays] == kept[stays]


UNEQUAL = {
    'content': ([member('x', b'data')], [member('x', b'atad')]),
    'size': ([member('x', b'data')], [member('x', b'data2')]),
    'the end of a large file': (
        [member('x', bytes(3 << 20))],
        [member('x', bytes((3 << 20) - 1) + b'\1')],
    ),
    'kind': ([member('x', b'')], [member('x', kind=DIR)]),
    'target': ([member('x', kind=LINK, link='y')], [member('x', kind=LINK, link='z')]),
    'what a link leads to': (
        [member('y', b'1'), member('x', kind=LINK, link='y')],
        [member('z', b'2'), member('x', kind=LINK, link='z')],
    ),
    'the second of a name': ([member('x', b'1')], [member('x', b'1'), member('x', b'2')]),
}


@pytest.mark.parametrize('case', UNEQUAL)
def test_unequal_members_are_refused(tmp_path, case):
    first, second = UNEQUAL[case]
    one = write(tmp_path / 'one.tar', image_of('a'), more=first)
    other = write(tmp_path / 'other.tar', image_of('b'), more=second)
    line = refuses(tmp_path, one, other)
    assert line == (f"'{one}' and '{other}' have 'x' with different content: leave one of them out")


def test_the_archive_that_has_the_member_is_named(tmp_path):
    paths = [tmp_path / f'{n}.tar' for n in range(3)]
    write(paths[0], image_of('a'))
    write(paths[1], image_of('b'), more=[member('x', b'1')])
    write(paths[2], image_of('c'), more=[member('x', b'2')])
    assert f"'{paths[1]}' and '{paths[2]}' have 'x'" in refuses(tmp_path, *paths)


def test_a_name_that_comes_twice_in_one_archive_is_warned_of(tmp_path):
    more = [member('x', b'1'), member('x', b'2')]
    one = write(tmp_path / 'one.tar', image_of('a'), more=more)
    found = warns(*flags_for(tmp_path, [one]), **PROGRAM)
    assert found == ["'x' comes twice: the first one stays"]
    assert content(tmp_path / 'out.tar', 'x') == b'1'


def test_only_members_of_one_name_are_compared(tmp_path):
    """What the kernel copies counts as read: once, and thrice where two archives have it."""
    size = 32 << 20
    large = member('large', bytes(size))
    one = write(tmp_path / 'one.tar', image_of('a'), more=[large])
    alone = write(tmp_path / 'other.tar', image_of('b'))
    _, _, read = measure(*flags_for(tmp_path, [one, alone]), **PROGRAM)
    shared = write(tmp_path / 'other.tar', image_of('b'), more=[large])
    done, memory, read_shared = measure(*flags_for(tmp_path, [one, shared]), **PROGRAM)
    assert done.returncode == 0
    assert read < 1.5 * size
    assert 2.9 * size < read_shared < 3.5 * size
    assert memory < 100 << 20


# The images.


def test_the_same_image_of_five_programs(tmp_path):
    joined = join(tmp_path, *(FIXTURES / name for name in SAME_IMAGE), flags=['--verify'])
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
    folders = {os.path.dirname(name) for name in everything if '/' in name}
    assert set(names(joined)) == everything - left_out | folders


@pytest.mark.parametrize('order', list(itertools.permutations(SAME_IMAGE[:3])))
def test_the_first_gives_the_names(tmp_path, order):
    entry = manifest(join(tmp_path, *(FIXTURES / name for name in order)))
    assert entry['Layers'] == manifest(FIXTURES / order[0])['Layers']


def test_an_image_in_one_archive_twice(tmp_path):
    image, other = image_of('a', tag='a:1'), image_of('b', tag='b:1')
    renamed = {**image.entry, 'Config': 'c.json', 'RepoTags': ['a:2', 'a:1']}
    entries = [image.entry, other.entry, renamed]
    more = [member('c.json', image.config)]
    one = write(tmp_path / 'one.tar', image, other, entries=entries, more=more)
    found = entries_of(join(tmp_path, one))
    assert [entry['RepoTags'] for entry in found] == [['a:1', 'a:2'], ['b:1']]


def test_one_archive_given_twice(tmp_path, two):
    once = join(tmp_path, *two).read_bytes()
    assert join(tmp_path, *two, two[0]).read_bytes() == once


def test_an_image_without_tags(tmp_path):
    assert manifest(join(tmp_path, write(tmp_path / 'one.tar', image_of('a'))))['RepoTags'] == []


# Partial images.


def partial_on(base, *layers, below=None, config_name=None):
    """Returns an image on another one, whose layers it calls otherwise, if that is asked for."""
    image = image_of(*base.layer_names, *layers, config_name=config_name)
    if below is None:
        return image, image.entry
    return image, {**image.entry, 'Layers': [*below, *layers]}


def test_a_partial_image_has_the_names_of_its_base(tmp_path):
    base = image_of('x', 'y')
    image, _ = partial_on(base, 'z')
    one = write(tmp_path / 'one.tar', base)
    other = write(tmp_path / 'other.tar', image, without=['x', 'y'])
    joined = join(tmp_path, one, other, flags=['--verify'])
    assert entries_of(joined)[1]['Layers'] == ['x', 'y', 'z']


def test_a_layer_is_found_by_its_diff_id(tmp_path):
    base = image_of('x', 'y')
    image, entry = partial_on(base, 'z', below=['elsewhere/1', 'elsewhere/2'])
    one = write(tmp_path / 'one.tar', base)
    other = write(tmp_path / 'other.tar', image, entries=[entry], without=['x', 'y'])
    for order in ([one, other], [other, one]):
        joined = join(tmp_path, *order, flags=['--verify'])
        assert ['x', 'y', 'z'] in [entry['Layers'] for entry in entries_of(joined)]


def test_a_layer_of_its_own_name_stays(tmp_path):
    """Also where another archive has the same one."""
    base = image_of('x')
    image, entry = partial_on(base, 'z', below=['copy'])
    more = [member('copy', base.layers['x'])]
    one = write(tmp_path / 'one.tar', base)
    other = write(tmp_path / 'other.tar', image, entries=[entry], without=['x'], more=more)
    assert entries_of(join(tmp_path, one, other))[1]['Layers'] == ['copy', 'z']


@pytest.mark.parametrize('base', [name for name in SAME_IMAGE if '.tar' in name])
@pytest.mark.parametrize('other', ['docker-20.10.tar', 'podman-4.3.tar', 'docker-29-pulled.tar'])
def test_a_partial_image_on_a_base_saved_by_another_program(tmp_path, base, other):
    parts = Parts(tmp_path, below=base_diff_ids_of(other))
    build(*parts.flags, f'--base={FIXTURES / base}', '--tag=example/new:1')
    joined = join(tmp_path, FIXTURES / other, parts.output, flags=['--verify'])
    base_entry, entry = entries_of(joined)
    assert entry['Layers'][:2] == base_entry['Layers']
    assert entry['Layers'][2:] == [f'{parts.id}/{parts.layers[0][0]}.tar']


def base_diff_ids_of(base):
    config = json.loads(content(FIXTURES / base, manifest(FIXTURES / base)['Config']))
    return config['rootfs']['diff_ids']


def test_a_chain_of_three(tmp_path):
    first = image_of('x')
    second, second_entry = partial_on(first, 'y', below=['p'])
    third, third_entry = partial_on(second, 'z', below=['q', 'r'])
    archives = [
        write(tmp_path / '1.tar', first),
        write(tmp_path / '2.tar', second, entries=[second_entry], without=['x']),
        write(tmp_path / '3.tar', third, entries=[third_entry], without=['x', 'y']),
    ]
    found = entries_of(join(tmp_path, *archives, flags=['--verify']))
    assert [entry['Layers'] for entry in found] == [['x'], ['x', 'y'], ['x', 'y', 'z']]


# Names that tell a digest, and others.
BY_DIGEST = [
    (f'blobs/sha256/{HEX}', f'{HEX}.tar.gz', True),
    (f'{HEX}.tar', f'blobs/sha256/{HEX}', True),
    (f'folder/{HEX}.tar', f'{HEX}.tgz', True),
    (f'{HEX}/layer.tar', f'blobs/sha256/{HEX}', False),
    (f'blobs/sha256/{HEX}', f'blobs/sha256/{"d" * 64}', False),
    (f'{HEX[1:]}.tar', f'blobs/sha256/{HEX[1:]}', False),
]


@pytest.mark.parametrize(('present', 'absent', 'is_found'), BY_DIGEST)
def test_a_layer_is_found_by_its_digest(tmp_path, present, absent, is_found):
    """Where no configuration tells the diff IDs."""
    base, image = image_of(present), image_of(absent, 'z', config_name='c.json')
    one = write(tmp_path / 'one.tar', base)
    other = write(
        tmp_path / 'other.tar', image, without=[absent, 'c.json'], more=[member('c.json', b'{}')]
    )
    warns(*flags_for(tmp_path, [one, other]), **PROGRAM)
    layers = entries_of(tmp_path / 'out.tar')[1]['Layers']
    assert layers == [present if is_found else absent, 'z']


def test_the_diff_id_counts_before_the_digest(tmp_path):
    """A layer with another diff ID is another one, whatever its name says."""
    present, absent = f'{HEX}.tar', f'blobs/sha256/{HEX}'
    image = image_of(absent)
    one = write(tmp_path / 'one.tar', image_of(present))
    other = write(tmp_path / 'other.tar', image, without=[absent])
    assert warns(*flags_for(tmp_path, [one, other]), **PROGRAM) == [
        f"'{other}': '{image.id}.json': no archive has its layer '{absent}': "
        'give that of its base, too'
    ]
    assert entries_of(tmp_path / 'out.tar')[1]['Layers'] == [absent]


def test_a_missing_layer(tmp_path):
    image = image_of('x', 'y')
    one = write(tmp_path / 'one.tar', image, without=['x'])
    text = f"'{one}': '{image.id}.json': no archive has its layer 'x': give that of its base, too"
    assert warns(*flags_for(tmp_path, [one]), **PROGRAM) == [text]
    assert manifest(tmp_path / 'out.tar')['Layers'] == ['x', 'y']
    (tmp_path / 'out.tar').unlink()
    assert problems(*flags_for(tmp_path, [one]), **PROGRAM) == [text]
    assert not (tmp_path / 'out.tar').exists()


def test_a_missing_configuration(tmp_path):
    image = image_of('x')
    one = write(tmp_path / 'one.tar', image, without=[f'{image.id}.json'])
    text = f"'{one}': '{image.id}.json' is a configuration that no archive has: give a whole image"
    assert warns(*flags_for(tmp_path, [one]), **PROGRAM) == [text]
    assert problems(*flags_for(tmp_path, [one]), **PROGRAM) == [text]
    other = write(tmp_path / 'other.tar', image)
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
def test_parent(tmp_path, below, above, stays):
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
    one = write(tmp_path / 'one.tar', image, entries=entries, without=[name], more=more)
    warns(*flags_for(tmp_path, [one]), **PROGRAM)
    found = entries_of(tmp_path / 'out.tar')
    assert found[0].get('Parent') == (parent if stays else None)
    assert 'Parent' not in found[1]


def in_capitals(config):
    """Returns a configuration whose keys are spelled as Go's decoder takes them, too."""
    return {key.upper(): value for key, value in config.items()}


@pytest.mark.parametrize(('above', 'stays'), [([H1, H2], True), ([H2, H2], False)])
def test_a_parent_whose_keys_are_in_another_spelling(tmp_path, above, stays):
    base, image = image_of('x'), image_of('x', 'y')
    base_config = json.dumps(in_capitals({**configuration(base.diff_ids), 'history': [H1]}))
    config = json.dumps(in_capitals({**configuration(image.diff_ids), 'history': above}))
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
def test_a_parent_that_is_not_there(tmp_path, parent):
    image = image_of('x')
    one = write(tmp_path / 'one.tar', image, entries=[{**image.entry, 'Parent': parent}])
    assert 'Parent' not in manifest(join(tmp_path, one))


def test_the_configuration_of_a_parent_is_not_the_parent(tmp_path):
    """Docker asks for an image."""
    base = FIXTURES / 'bazel-2016.tar'
    assert b'"Parent"' in base.read_bytes()
    assert 'Parent' not in manifest(join(tmp_path, base))


# Tags.


def two_tags(folder, one, other):
    return (
        write(folder / 'one.tar', image_of('a', tag=one)),
        write(folder / 'other.tar', image_of('b', tag=other)),
    )


@pytest.mark.parametrize('other', ['app:1', 'docker.io/app:1', 'docker.io/library/app:1'])
def test_a_tag_of_two_images(tmp_path, other):
    one_path, other_path = two_tags(tmp_path, 'app:1', other)
    assert refuses(tmp_path, one_path, other_path) == (
        f"'{one_path}' and '{other_path}' have two images with the tag '{other}': "
        'give one another tag'
    )


@pytest.mark.parametrize('other', ['app:2', 'app2:1', 'localhost/app:1', 'x/app:1'])
def test_tags_of_their_own(tmp_path, other):
    found = entries_of(join(tmp_path, *two_tags(tmp_path, 'app:1', other)))
    assert [entry['RepoTags'] for entry in found] == [['app:1'], [other]]


def test_a_tag_of_two_images_in_one_archive(tmp_path):
    one = write(tmp_path / 'one.tar', image_of('a', tag='a:1'), image_of('b', tag='a:1'))
    assert refuses(tmp_path, one).startswith(f"'{one}' has two images with the tag 'a:1'")


def test_another_image_of_the_same_tag_joins_under_another(tmp_path):
    base, other = FIXTURES / 'docker-20.10.tar', FIXTURES / 'crane-0.21.tar'
    assert f"'{base}' and '{other}' have two images" in refuses(tmp_path, base, other)
    entry = {**manifest(other), 'RepoTags': ['example/other:1.0']}
    kept = [member(m.name, data) for m, data in members(other) if m.name != 'manifest.json']
    data = json.dumps([entry]).encode()
    renamed = write_tar(tmp_path / 'renamed.tar', *kept, member('manifest.json', data))
    found = entries_of(join(tmp_path, base, renamed, warnings=True))
    assert [entry['RepoTags'] for entry in found] == [['example/base:1.0'], ['example/other:1.0']]


# `top` and `repositories`.


def v1_names(names_of_archive):
    return member('repositories', json.dumps(names_of_archive).encode())


def test_repositories_are_merged(tmp_path):
    one = {'app': {'1': 'a' * 64}, 'x': {'1': 'c' * 64}}
    other = {'app': {'2': 'b' * 64}, 'x': {'1': 'c' * 64}}
    archives = [
        write(tmp_path / 'one.tar', image_of('a'), more=[v1_names(one)]),
        write(tmp_path / 'other.tar', image_of('b'), more=[v1_names(other)]),
        write(tmp_path / 'none.tar', image_of('c')),
    ]
    expected = {'app': {'1': 'a' * 64, '2': 'b' * 64}, 'x': {'1': 'c' * 64}}
    joined = join(tmp_path, *archives)
    assert content(joined, 'repositories').decode() == json.dumps(expected, indent=2)
    assert names(joined)[-2:] == ['manifest.json', 'repositories']


def test_a_tag_of_two_v1_images(tmp_path):
    one = write(tmp_path / 'one.tar', image_of('a'), more=[v1_names({'app': {'1': 'a' * 64}})])
    other = write(tmp_path / 'other.tar', image_of('b'), more=[v1_names({'app': {'1': V1_ID}})])
    assert "have two images with the tag 'app:1'" in refuses(tmp_path, one, other)


@pytest.mark.parametrize('how', ['by the tag', 'by the top layer', 'by the ID'])
def test_several_v1_ids_of_one_image(tmp_path, how):
    """As Docker and Podman give them; the first stays."""
    layer, v1_id = 'a', 'b' * 64
    image = image_of(f'{"a" * 64}/layer.tar', tag='app:1')
    if how == 'by the top layer':
        layer = f'{v1_id}/layer.tar'
    if how == 'by the ID':
        v1_id = image.id
    entry = {**image.entry, 'Layers': [layer]}
    if how != 'by the tag':
        entry['RepoTags'] = []
    data = image.layers[f'{"a" * 64}/layer.tar']
    one = write(tmp_path / 'one.tar', image, more=[v1_names({'app': {'1': 'a' * 64}})])
    more = [member(layer, data), v1_names({'app': {'1': v1_id}})]
    without = image.layer_names
    other = write(tmp_path / 'other.tar', image, entries=[entry], without=without, more=more)
    assert repositories_of(join(tmp_path, one, other)) == {'app': {'1': 'a' * 64}}


def test_top(tmp_path, two):
    joined = join(tmp_path, *two, flags=[f'--id={V1_ID}'])
    assert content(joined, 'top') == V1_ID.encode()
    assert names(joined)[-2:] == ['manifest.json', 'top']
    (tmp_path / 'id').write_text(f'sha256:{V1_ID.upper()}  layer.tar\n')
    flags = [f'--id=@{tmp_path / "id"}', '--repository=app', '--name=1']
    joined = join(tmp_path, *two, flags=flags)
    assert content(joined, 'top') == V1_ID.encode()
    assert repositories_of(joined) == {'app': {'1': V1_ID}}
    assert names(joined)[-3:] == ['manifest.json', 'top', 'repositories']


def test_the_flags_add_to_repositories(tmp_path):
    more = [v1_names({'app': {'1': 'a' * 64, '2': 'b' * 64}, 'x': {'1': 'd' * 64}})]
    one = write(tmp_path / 'one.tar', image_of('a'), more=more)
    joined = join(tmp_path, one, flags=[f'--id={V1_ID}', '--repository=app', '--name=1'])
    assert repositories_of(joined) == {'app': {'1': V1_ID, '2': 'b' * 64}, 'x': {'1': 'd' * 64}}


@pytest.mark.parametrize('flags', [[], [f'--id={V1_ID}']])
def test_a_repository_wants_a_name(tmp_path, two, flags):
    assert refuses(tmp_path, *two, flags=[*flags, '--repository=r']) == (
        '--repository: give --name with it'
    )
    assert refuses(tmp_path, *two, flags=[*flags, '--repository=r', '--name=']) == (
        '--repository: give --name with it'
    )


def test_a_repository_without_an_id_is_passed_over(tmp_path, two):
    flags = flags_for(tmp_path, two, '--repository=r', '--name=1')
    assert warns(*flags, **PROGRAM) == [
        '--repository and --name are passed over: give --id with them'
    ]
    assert 'repositories' not in names(tmp_path / 'out.tar')
    assert 'top' not in names(tmp_path / 'out.tar')


def test_empty_flags_count_as_not_given(tmp_path, two):
    plain = join(tmp_path, *two).read_bytes()
    flags = ['--id=', '--repository=', '--name=', '--layer=']
    assert join(tmp_path, *two, flags=flags).read_bytes() == plain


def test_an_id_that_is_no_digest(tmp_path, two):
    text = "--id: 'x' is not 64 hex digits: give a SHA-256"
    assert warns(*flags_for(tmp_path, two, '--id=x'), **PROGRAM) == [text]
    assert content(tmp_path / 'out.tar', 'top') == b'x'
    assert problems(*flags_for(tmp_path, two, '--id=x'), **PROGRAM) == [text]


# Archives of before Docker 1.10.


def test_an_archive_of_before_docker_1_10(tmp_path):
    other = write(tmp_path / 'one.tar', image_of('a', tag='app:1'))
    base = FIXTURES / BEFORE_1_10
    assert warns(*flags_for(tmp_path, [base, other]), **PROGRAM) == [
        f"--layer: '{base}' is of before Docker 1.10: its images load in such a Docker only"
    ]
    joined = tmp_path / 'out.tar'
    assert manifest(joined)['RepoTags'] == ['app:1']
    assert repositories_of(joined) == json.loads(content(base, 'repositories'))
    kept = set(names(base)) - {'repositories'}
    assert kept < set(names(joined))


def test_such_archives_alone_get_no_manifest(tmp_path):
    """An empty one would hide the images from Docker's loader for them."""
    warns(*flags_for(tmp_path, [FIXTURES / BEFORE_1_10], '--verify'), **PROGRAM)
    assert names(tmp_path / 'out.tar') == names(FIXTURES / BEFORE_1_10)
