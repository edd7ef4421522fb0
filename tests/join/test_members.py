# SPDX-License-Identifier: Apache-2.0
"""join_layers: members of the output, and members that several archives have (section 11)."""

import json

import pytest

from support.images import write_base
from support.joins import PROGRAM, entries_of, flags_for, image_of, join, refuses
from support.measuring import LARGE, measure
from support.running import warns
from support.tars import DIR, HARD, LINK, content, manifest, member, members, names

# The members.


def test_members_of_two_archives(tmp_path, two):
    joined = join(tmp_path, *two)
    app, db = image_of('shared', 'a', tag='app:1'), image_of('shared', 'b', tag='db:1')
    order = [f'{app.id}.json', 'shared', 'a', f'{db.id}.json', 'b', 'manifest.json']
    assert names(joined) == order
    found = {m.name: data for m, data in members(joined)}
    assert {**app.files, **db.files}.items() <= found.items()
    assert found['manifest.json'].decode() == json.dumps([app.entry, db.entry], sort_keys=True)


def test_images_are_in_the_order_of_the_archives(tmp_path, two):
    one, other = two
    forth = [entry['RepoTags'] for entry in entries_of(join(tmp_path, one, other))]
    back = [entry['RepoTags'] for entry in entries_of(join(tmp_path, other, one))]
    assert forth == [['app:1'], ['db:1']]
    assert back == [['db:1'], ['app:1']]


def test_members_are_merged_like_those_of_a_base(tmp_path):
    more = [
        member('./directory/', kind=DIR, mode=0o700),
        member('./directory/file', b'data', mode=0o4755, uid=7, mtime=123456789),
        member('directory/hard', kind=HARD, link='./directory/file'),
        member('directory/soft', kind=LINK, link='../a'),
        *(member(name, b'old') for name in ('top', 'oci-layout')),
        member('desktop', b'kept'),
    ]
    joined = join(tmp_path, write_base(tmp_path / 'one.tar', image_of('a'), more=more))
    found = {m.name: m for m, _ in members(joined)}
    assert list(found)[2:] == [
        'directory',
        'directory/file',
        'directory/hard',
        'directory/soft',
    ] + ['desktop', 'manifest.json']
    file = found['directory/file']
    assert (file.mode, file.uid, file.mtime) == (0o4755, 7, 0)
    assert found['directory/hard'].linkname == 'directory/file'
    assert found['directory'].mode == 0o700


def test_names_in_the_manifest_are_normalised_like_those_of_members(tmp_path):
    image = image_of('./a', config_name='./c.json')
    entry = manifest(join(tmp_path, write_base(tmp_path / 'one.tar', image)))
    assert (entry['Config'], entry['Layers']) == ('c.json', ['a'])


def test_other_keys_of_a_manifest_entry_are_kept(tmp_path):
    image = image_of('a')
    entry = {**image.entry, 'LayerSources': {image.diff_ids[0]: {'size': 1}}}
    one = write_base(tmp_path / 'one.tar', image, entries=[entry])
    assert manifest(join(tmp_path, one))['LayerSources'] == {image.diff_ids[0]: {'size': 1}}


# Members of one name in two archives; the form in the first one is kept.
EQUAL = {
    'files': ([member('f', b'data')], [member('f', b'data', mode=0o600)]),
    'directories': ([member('d', kind=DIR, mode=0o755)], [member('d', kind=DIR, mode=0o700)]),
    'soft links': ([member('l', kind=LINK, link='a')], [member('l', kind=LINK, link='a')]),
    'a link and its target': (
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
    one = write_base(tmp_path / 'one.tar', image_of('a'), more=first)
    other = write_base(tmp_path / 'other.tar', image_of('a', 'b'), more=second)
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
    'content of the target of a link': (
        [member('y', b'1'), member('x', kind=LINK, link='y')],
        [member('z', b'2'), member('x', kind=LINK, link='z')],
    ),
    'second member of a name': ([member('x', b'1')], [member('x', b'1'), member('x', b'2')]),
}


@pytest.mark.parametrize('case', UNEQUAL)
def test_unequal_members_are_refused(tmp_path, case):
    first, second = UNEQUAL[case]
    one = write_base(tmp_path / 'one.tar', image_of('a'), more=first)
    other = write_base(tmp_path / 'other.tar', image_of('b'), more=second)
    line = refuses(tmp_path, one, other)
    assert line == (f"'{one}' and '{other}' have 'x' with different content: leave one of them out")


def test_error_names_the_two_archives_that_have_the_member(tmp_path):
    paths = [tmp_path / f'{n}.tar' for n in range(3)]
    write_base(paths[0], image_of('a'))
    write_base(paths[1], image_of('b'), more=[member('x', b'1')])
    write_base(paths[2], image_of('c'), more=[member('x', b'2')])
    assert f"'{paths[1]}' and '{paths[2]}' have 'x'" in refuses(tmp_path, *paths)


def test_two_members_of_one_name_in_an_archive_give_a_warning(tmp_path):
    more = [member('x', b'1'), member('x', b'2')]
    one = write_base(tmp_path / 'one.tar', image_of('a'), more=more)
    found = warns(*flags_for(tmp_path, [one]), **PROGRAM)
    assert found == ["'x' occurs twice: only the first is kept"]
    assert content(tmp_path / 'out.tar', 'x') == b'1'


def test_only_members_of_one_name_are_compared(tmp_path):
    """The kernel's copies count as read: once, or three times if two archives have the member."""
    size = 2 * LARGE
    large = member('large', bytes(size))
    one = write_base(tmp_path / 'one.tar', image_of('a'), more=[large])
    alone = write_base(tmp_path / 'other.tar', image_of('b'))
    _, _, read = measure(*flags_for(tmp_path, [one, alone]), **PROGRAM)
    shared = write_base(tmp_path / 'other.tar', image_of('b'), more=[large])
    done, memory, read_shared = measure(*flags_for(tmp_path, [one, shared]), **PROGRAM)
    assert done.returncode == 0
    assert read < 1.5 * size
    assert 2.9 * size < read_shared < 3.5 * size
    assert memory < 100 << 20
