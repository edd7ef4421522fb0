# SPDX-License-Identifier: Apache-2.0
"""join_layers: tags, `repositories`, `top`, and archives of Docker 1.9 (section 11)."""

import json

import pytest

from support.images import BEFORE_1_10, write_base
from support.joins import PROGRAM, entries_of, flags_for, image_of, join, refuses, repositories_of
from support.project import FIXTURES
from support.running import problems, warns
from support.tars import content, manifest, member, members, names, write_tar

V1_ID = 'c' * 64


# Tags.


def two_tags(directory, one, other):
    return (
        write_base(directory / 'one.tar', image_of('a', tag=one)),
        write_base(directory / 'other.tar', image_of('b', tag=other)),
    )


@pytest.mark.parametrize('other', ['app:1', 'docker.io/app:1', 'docker.io/library/app:1'])
def test_one_tag_for_two_images_is_an_error(tmp_path, other):
    one_path, other_path = two_tags(tmp_path, 'app:1', other)
    assert refuses(tmp_path, one_path, other_path) == (
        f"'{one_path}' and '{other_path}' have two images with the tag '{other}': "
        'give one another tag'
    )


@pytest.mark.parametrize('other', ['app:2', 'app2:1', 'localhost/app:1', 'x/app:1'])
def test_different_tags_are_kept(tmp_path, other):
    found = entries_of(join(tmp_path, *two_tags(tmp_path, 'app:1', other)))
    assert [entry['RepoTags'] for entry in found] == [['app:1'], [other]]


def test_one_tag_for_two_images_in_one_archive_is_an_error(tmp_path):
    one = write_base(tmp_path / 'one.tar', image_of('a', tag='a:1'), image_of('b', tag='a:1'))
    assert refuses(tmp_path, one).startswith(f"'{one}' has two images with the tag 'a:1'")


def test_image_can_be_joined_after_its_tag_is_changed(tmp_path):
    base, other = FIXTURES / 'docker-20.10.tar', FIXTURES / 'crane-0.21.tar'
    assert f'{str(base)!r} and {str(other)!r} have two images' in refuses(tmp_path, base, other)
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
        write_base(tmp_path / 'one.tar', image_of('a'), more=[v1_names(one)]),
        write_base(tmp_path / 'other.tar', image_of('b'), more=[v1_names(other)]),
        write_base(tmp_path / 'none.tar', image_of('c')),
    ]
    expected = {'app': {'1': 'a' * 64, '2': 'b' * 64}, 'x': {'1': 'c' * 64}}
    joined = join(tmp_path, *archives)
    assert content(joined, 'repositories').decode() == json.dumps(expected, indent=2)
    assert names(joined)[-2:] == ['manifest.json', 'repositories']


def test_one_tag_for_two_v1_images_is_an_error(tmp_path):
    one = write_base(tmp_path / 'one.tar', image_of('a'), more=[v1_names({'app': {'1': 'a' * 64}})])
    other = write_base(
        tmp_path / 'other.tar', image_of('b'), more=[v1_names({'app': {'1': V1_ID}})]
    )
    assert "have two images with the tag 'app:1'" in refuses(tmp_path, one, other)


@pytest.mark.parametrize('how', ['by the tag', 'by the top layer', 'by the ID'])
def test_first_of_several_v1_ids_of_an_image_is_kept(tmp_path, how):
    """Docker and Podman write different ones."""
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
    one = write_base(tmp_path / 'one.tar', image, more=[v1_names({'app': {'1': 'a' * 64}})])
    more = [member(layer, data), v1_names({'app': {'1': v1_id}})]
    without = image.layer_names
    other = write_base(tmp_path / 'other.tar', image, entries=[entry], without=without, more=more)
    assert repositories_of(join(tmp_path, one, other)) == {'app': {'1': 'a' * 64}}


def test_id_flag_writes_top(tmp_path, two):
    joined = join(tmp_path, *two, flags=[f'--id={V1_ID}'])
    assert content(joined, 'top') == V1_ID.encode()
    assert names(joined)[-2:] == ['manifest.json', 'top']
    (tmp_path / 'id').write_text(f'sha256:{V1_ID.upper()}  layer.tar\n')
    flags = [f'--id=@{tmp_path / "id"}', '--repository=app', '--name=1']
    joined = join(tmp_path, *two, flags=flags)
    assert content(joined, 'top') == V1_ID.encode()
    assert repositories_of(joined) == {'app': {'1': V1_ID}}
    assert names(joined)[-3:] == ['manifest.json', 'top', 'repositories']


def test_flags_add_to_repositories(tmp_path):
    more = [v1_names({'app': {'1': 'a' * 64, '2': 'b' * 64}, 'x': {'1': 'd' * 64}})]
    one = write_base(tmp_path / 'one.tar', image_of('a'), more=more)
    flags = [f'--id={V1_ID}', '--repository=app']
    joined = join(tmp_path, one, flags=[*flags, '--name=3'])
    assert repositories_of(joined)['app'] == {'1': 'a' * 64, '2': 'b' * 64, '3': V1_ID}
    found = warns(*flags_for(tmp_path, [one], *flags, '--name=1', '--verify'), **PROGRAM)
    text = f"--repository and --name: '{one}' has another image with the name 'app:1'"
    assert found == [f'{text}: give another name']
    assert repositories_of(joined) == {'app': {'1': V1_ID, '2': 'b' * 64}, 'x': {'1': 'd' * 64}}


@pytest.mark.parametrize('flags', [[], [f'--id={V1_ID}']])
def test_repository_requires_name(tmp_path, two, flags):
    assert refuses(tmp_path, *two, flags=[*flags, '--repository=r']) == (
        '--repository: give --name with it'
    )
    assert refuses(tmp_path, *two, flags=[*flags, '--repository=r', '--name=']) == (
        '--repository: give --name with it'
    )


def test_repository_without_id_is_ignored_with_a_warning(tmp_path, two):
    flags = flags_for(tmp_path, two, '--repository=r', '--name=1')
    assert warns(*flags, **PROGRAM) == [
        '--repository and --name are ignored without --id: give --id with them'
    ]
    assert 'repositories' not in names(tmp_path / 'out.tar')
    assert 'top' not in names(tmp_path / 'out.tar')


def test_empty_flags_are_ignored(tmp_path, two):
    plain = join(tmp_path, *two).read_bytes()
    flags = ['--id=', '--repository=', '--name=', '--layer=']
    assert join(tmp_path, *two, flags=flags).read_bytes() == plain


def test_id_that_is_not_hex_is_reported(tmp_path, two):
    text = "--id: 'x' is not 64 hex digits: give a SHA-256"
    assert warns(*flags_for(tmp_path, two, '--id=x'), **PROGRAM) == [text]
    assert content(tmp_path / 'out.tar', 'top') == b'x'
    assert problems(*flags_for(tmp_path, two, '--id=x'), **PROGRAM) == [text]


# Archives written by Docker 1.9 or older.


def test_archive_written_by_docker_1_9_gives_a_warning(tmp_path):
    other = write_base(tmp_path / 'one.tar', image_of('a', tag='app:1'))
    base = FIXTURES / BEFORE_1_10
    assert warns(*flags_for(tmp_path, [base, other]), **PROGRAM) == [
        f'--layer: {str(base)!r} was written by Docker 1.9 or older: '
        'only such a Docker can load its images'
    ]
    joined = tmp_path / 'out.tar'
    assert manifest(joined)['RepoTags'] == ['app:1']
    assert repositories_of(joined) == json.loads(content(base, 'repositories'))
    assert len(warns(*flags_for(tmp_path, [base, other, base]), **PROGRAM)) == 1
    kept = set(names(base)) - {'repositories'}
    assert kept < set(names(joined))


def test_archives_written_by_docker_1_9_alone_get_no_manifest(tmp_path):
    """An empty manifest would hide the images from the loader of these Dockers."""
    warns(*flags_for(tmp_path, [FIXTURES / BEFORE_1_10], '--verify'), **PROGRAM)
    assert names(tmp_path / 'out.tar') == names(FIXTURES / BEFORE_1_10)
