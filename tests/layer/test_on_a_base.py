# SPDX-License-Identifier: Apache-2.0
"""build_tar --base: a layer leaves the directories and links of its base as they are."""

import gzip
import itertools

import pytest

import build_tar
from image_archive.errors import ArchiveError
from image_archive.image.layer_file import LayerFile
from image_archive.layer import base_files
from image_archive.system.progress import Progress
from image_archive.tar.content import BytesInMemory, Source
from image_archive.tar.names import normal_name
from support.amounts import amount
from support.layers import COMMON, base_of, directory, layer_fails, link, make_layer, shown
from support.project import FIXTURES
from support.random_members import random_members, respelled, respelled_back
from support.tars import (
    DIR,
    FILE,
    HARD,
    LINK,
    content,
    headers,
    member,
    members,
    names,
    pax,
    python_reads_zstd,
    tar_of,
    with_fields,
    write_tar,
)


@pytest.fixture
def base(tmp_path):
    return base_of(tmp_path / 'base.tar', COMMON)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / 'file'
    path.write_bytes(b'new')
    return path


def layer_on(base, output, *flags):
    """Makes a layer on a base; returns its members as shown() does."""
    make_layer(output, f'--base={base}', *flags)
    return shown(output)


# Directories of the base.


def test_parents_are_those_of_the_base(base, file, output):
    flags = [f'--file={file}={name}/x' for name in ('tmp', 'root', 'etc', 'usr/bin', 'srv')]
    assert layer_on(base, output, *flags, '--mtime=99') == {
        'tmp': (DIR, 0o1777, 0, 0, ''),
        'tmp/x': (FILE, 0o644, 0, 0, ''),
        'root': (DIR, 0o700, 0, 0, ''),
        'root/x': (FILE, 0o644, 0, 0, ''),
        'etc': (DIR, 0o755, 5, 6, ''),
        'etc/x': (FILE, 0o644, 0, 0, ''),
        'usr': (DIR, 0o755, 0, 0, ''),
        'usr/bin': (DIR, 0o555, 0, 0, ''),
        'usr/bin/x': (FILE, 0o644, 0, 0, ''),
        'srv': (DIR, 0o755, 0, 0, ''),
        'srv/x': (FILE, 0o644, 0, 0, ''),
    }
    times = {info.name: info.mtime for info, _ in members(output)}
    assert (times['tmp'], times['etc'], times['srv'], times['etc/x']) == (0, 7, 99, 99)


def test_directories_of_every_input_are_those_of_the_base(base, tree, tmp_path, output):
    (tree / 'tmp').mkdir(mode=0o700)
    tar = write_tar(tmp_path / 'a.tar', directory('root', 0o777, uid=9))
    flags = [f'--file={tree}=/', '--empty_dir=etc', f'--tar={tar}', '--mode=0777', '--owner=8.8']
    assert layer_on(base, output, *flags) == {
        'tmp': (DIR, 0o1777, 0, 0, ''),
        'etc': (DIR, 0o755, 5, 6, ''),
        'root': (DIR, 0o700, 0, 0, ''),
    }


def test_modes_and_owners_of_single_paths_win(base, file, output):
    flags = [f'--file={file}=bin/x', '--empty_dir=tmp', '--modes=tmp=0700', '--owners=/tmp/=1.2']
    flags += ['--modes=bin/x=4711', '--modes=bin=0711']
    found = layer_on(base, output, *flags)
    assert found['tmp'] == (DIR, 0o700, 1, 2, '')
    assert found['usr/bin'] == (DIR, 0o711, 0, 0, '')
    assert found['usr/bin/x'] == (FILE, 0o4711, 0, 0, '')


def test_extended_attributes_of_directories_stay(tmp_path, file, output):
    records = pax(b'SCHILY.xattr.user.x=1', b'mtime=1700000000.75')
    base = base_of(tmp_path / 'base.tar', tar_of(records, directory('d', 0o711)))
    layer_on(base, output, f'--file={file}=d/x')
    info = members(output)[0][0]
    assert info.pax_headers == {'SCHILY.xattr.user.x': '1'}
    assert info.mtime == 1700000000


@pytest.mark.parametrize(('time', 'seconds'), [('-1.5', -2), ('-1.0', -1), ('5.9', 5), ('-7', -7)])
def test_times_of_the_base_are_whole_seconds(tmp_path, file, output, time, seconds):
    layer = tar_of(pax(f'mtime={time}'.encode()), directory('d', 0o711))
    base = base_of(tmp_path / 'base.tar', layer)
    layer_on(base, output, f'--file={file}=d/x')
    assert members(output)[0][0].mtime == seconds


def test_only_directories_without_a_member_are_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(base_files, '_IMPLIED_LIMIT', 2)
    explicit = tar_of(*(directory('/'.join('abcdefg'[:size])) for size in range(1, 7)))
    with build_tar.TarFile(tmp_path / 'a.tar', base=base_of(tmp_path / '1.tar', explicit)):
        pass
    implied = base_of(tmp_path / '2.tar', tar_of(member('a/b/c/d')))
    with pytest.raises(build_tar.TarFile.Error, match='over 2 directories without a member'):
        build_tar.TarFile(tmp_path / 'a.tar', base=implied)


def test_directory_that_the_base_implies(tmp_path, file, output):
    base = base_of(tmp_path / 'base.tar', tar_of(member('a/b/c')))
    assert layer_on(base, output, f'--file={file}=a/x') == {
        'a': (DIR, 0o755, 0, 0, ''),
        'a/x': (FILE, 0o644, 0, 0, ''),
    }


# Links of the base.


@pytest.mark.parametrize(
    ('path', 'wanted'),
    [
        ('bin/x', ['usr', 'usr/bin', 'usr/bin/x']),
        ('/lib64/x', ['usr', 'usr/lib64', 'usr/lib64/x']),
        ('var/run/x', ['run', 'run/x']),
        ('var/lib/x', ['usr', 'usr/lib64', 'usr/lib64/x']),
        ('var/run/a/x', ['run', 'run/a', 'run/a/x']),
    ],
)
def test_link_on_the_way_is_followed(base, file, output, path, wanted):
    assert list(layer_on(base, output, f'--file={file}={path}')) == wanted


def test_directory_in_place_of_a_link_to_a_directory_is_that_directory(base, tmp_path, output):
    tar = write_tar(tmp_path / 'a.tar', directory('bin', 0o700), member('bin/x', b'1'))
    found = layer_on(base, output, f'--tar={tar}', '--empty_dir=var/run')
    assert list(found) == ['run', 'usr', 'usr/bin', 'usr/bin/x']
    assert found['usr/bin'] == (DIR, 0o555, 0, 0, '')
    assert found['run'] == (DIR, 0o2755, 0, 0, '')


def test_hard_links_move_with_their_targets(base, tmp_path, output):
    tar = write_tar(tmp_path / 'a.tar', member('bin/x'), member('etc/y', kind=HARD, link='bin/x'))
    assert layer_on(base, output, f'--tar={tar}')['etc/y'][::4] == (HARD, 'usr/bin/x')


def test_two_names_of_one_path_are_one_member(base, file, output):
    found = layer_on(base, output, f'--file={file}=bin/x', f'--file={file}=usr/bin/x')
    assert list(found) == ['usr', 'usr/bin', 'usr/bin/x']


def test_last_component_is_not_followed(base, file, output):
    flags = [f'--file={file}=bin', '--link=var/run:/other', '--link=usr/bin/sh:bash']
    found = layer_on(base, output, *flags)
    assert found['bin'][0] == FILE
    assert found['var/run'][::4] == (LINK, '/other')
    assert found['var'] == (DIR, 0o755, 3, 0, '')
    assert found['usr/bin/sh'][::4] == (LINK, 'bash')


BREAKING = {
    'a file on the way': (
        '--file={file}=etc/passwd/x',
        "--file: 'etc/passwd/x': the base has a file at 'etc/passwd'",
    ),
    'a file behind a link on the way': (
        '--file={file}=/bin/sh/x',
        "--file: 'bin/sh/x': the base has a file at 'usr/bin/sh'",
    ),
    'a directory in place of a file': (
        '--empty_dir=bin/sh',
        "--empty_dir: 'bin/sh': the base has a file at 'usr/bin/sh'",
    ),
    'a file in place of a directory': (
        '--file={file}=tmp',
        "--file: 'tmp': the base has a directory at 'tmp'",
    ),
    'an empty file in place of a directory': (
        '--empty_file=/var/run/../tmp',
        "--empty_file: '/var/run/../tmp' has '..' or NUL or is too long: give another path",
    ),
    'a link in place of a directory': (
        '--link=var:x',
        "--link: 'var': the base has a directory at 'var'",
    ),
    'a link that leads nowhere': (
        '--file={file}=nowhere/y',
        "--file: 'nowhere/y': the base's link 'nowhere' leads nowhere",
    ),
    'a link that leads in a circle': (
        '--file={file}=circle/y',
        "--file: 'circle/y': the base's link 'circle' leads in a circle",
    ),
}


@pytest.mark.parametrize('case', BREAKING)
def test_what_would_break_the_base_is_an_error(base, file, output, case):
    flag, text = BREAKING[case]
    error = layer_fails(output, f'--base={base}', flag.format(file=file))
    assert error.removesuffix(': delete that by --delete, or give another path') == text


# Deletion.


def test_whiteouts_are_first(base, file, output):
    flags = [f'--file={file}=etc/x', '--delete=etc/passwd', '--delete=/bin/sh', '--delete=tmp']
    assert layer_on(base, output, *flags) == {
        'etc': (DIR, 0o755, 5, 6, ''),
        'etc/.wh.passwd': (FILE, 0o644, 0, 0, ''),
        'usr': (DIR, 0o755, 0, 0, ''),
        'usr/bin': (DIR, 0o555, 0, 0, ''),
        'usr/bin/.wh.sh': (FILE, 0o644, 0, 0, ''),
        '.wh.tmp': (FILE, 0o644, 0, 0, ''),
        'etc/x': (FILE, 0o644, 0, 0, ''),
    }


def test_what_is_deleted_is_in_the_way_of_nothing(base, file, output):
    flags = ['--delete=tmp', f'--file={file}=tmp', '--delete=bin', f'--file={file}=bin/x']
    flags += ['--delete=etc', f'--file={file}=etc/passwd/x', '--delete=etc/passwd']
    found = layer_on(base, output, *flags)
    assert list(found) == [
        *('.wh.tmp', '.wh.bin', '.wh.etc', 'tmp', 'bin', 'bin/x'),
        *('etc', 'etc/passwd', 'etc/passwd/x'),
    ]
    assert found['etc'] == (DIR, 0o755, 0, 0, '')


@pytest.mark.parametrize('path', ['/nope', 'etc/nope', 'bin/bash', 'nope/x', 'etc/passwd/x'])
def test_to_delete_what_the_base_lacks_is_an_error(base, output, path):
    error = layer_fails(output, f'--base={base}', f'--delete={path}')
    assert error.startswith('--delete: ')
    assert error.endswith(': correct the path')
    assert repr(path) in error


def test_the_top_is_not_deleted(base, output):
    error = layer_fails(output, f'--base={base}', '--delete=/')
    assert error == "--delete: '/' is all of the base: give a path in it"


def test_name_that_is_too_long_for_a_whiteout(tmp_path, output):
    base = base_of(tmp_path / 'base.tar', tar_of(member('n' * 252), member('m' * 251)))
    error = layer_fails(output, f'--base={base}', f'--delete={"n" * 252}')
    assert error.endswith('has a name that is too long for a whiteout: delete its directory')
    assert list(layer_on(base, output, f'--delete={"m" * 251}')) == [f'.wh.{"m" * 251}']


# The layers of the base.


def test_layers_hide_each_other(tmp_path, file, output):
    lower = tar_of(
        directory('kept', 0o701),
        directory('whited out', 0o702),
        directory('opaque', 0o703),
        directory('opaque/in it', 0o704),
        directory('replaced', 0o705),
        directory('merged', 0o706),
        directory('merged/below', 0o707),
        link('link', 'kept'),
        directory('back', 0o700),
        directory('back/in it', 0o701),
    )
    upper = tar_of(
        directory('opaque', 0o710),
        directory('opaque/new', 0o711),
        member('opaque/.wh..wh..opq'),
        member('.wh.whited out'),
        member('.wh..wh.aufs'),
        member('replaced'),
        directory('merged', 0o712),
        member('merged/file'),
        directory('link', 0o713),
        member('.wh.back'),
        directory('back', 0o714),
    )
    base = base_of(tmp_path / 'base.tar', lower, upper)
    paths = ('kept', 'whited out', 'opaque', 'opaque/in it', 'opaque/new', 'merged')
    paths += ('merged/below', 'link', 'back', 'back/in it')
    found = layer_on(base, output, *(f'--file={file}={path}/x' for path in paths))
    assert {path: found[path][1] for path in paths} == {
        'kept': 0o701,
        'whited out': 0o755,
        'opaque': 0o710,
        'opaque/in it': 0o755,
        'opaque/new': 0o711,
        'merged': 0o712,
        'merged/below': 0o707,
        'link': 0o713,
        'back': 0o714,
        'back/in it': 0o755,
    }
    error = layer_fails(output.with_name('other'), f'--base={base}', f'--file={file}=replaced/x')
    assert error.startswith("--file: 'replaced/x': the base has a file at 'replaced'")


def test_members_below_a_link_of_their_layer(tmp_path, file, output):
    layer = tar_of(
        directory('usr', 0o701),
        directory('usr/lib', 0o702),
        link('lib', 'usr/lib'),
        directory('lib/x', 0o703),
    )
    base = base_of(tmp_path / 'base.tar', layer)
    found = layer_on(base, output, f'--file={file}=lib/x/y')
    assert {name: entry[1] for name, entry in found.items()} == {
        'usr': 0o701,
        'usr/lib': 0o702,
        'usr/lib/x': 0o703,
        'usr/lib/x/y': 0o644,
    }


def test_hard_link_to_a_link_is_a_link(tmp_path, file, output):
    layer = tar_of(directory('d', 0o700), link('a', 'd'), member('b', kind=HARD, link='a'))
    base = base_of(tmp_path / 'base.tar', layer)
    assert list(layer_on(base, output, f'--file={file}=b/x')) == ['d', 'd/x']


def test_compressed_layers_and_bases(tmp_path, file, output):
    flags = [f'--file={file}=bin/x', '--delete=etc/passwd']
    wanted = make_layer(output, f'--base={base_of(tmp_path / "base.tar", COMMON)}', *flags)
    base = base_of(tmp_path / 'layers.tar', gzip.compress(COMMON))
    assert make_layer(output, f'--base={base}', *flags) == wanted
    packed = tmp_path / 'base.tar.gz'
    packed.write_bytes(gzip.compress(base.read_bytes()))
    assert make_layer(output, f'--base={packed}', *flags) == wanted


def test_lower_layers_count_as_the_base(base, tmp_path, file, output):
    one = write_tar(tmp_path / 'one.tar', directory('srv', 0o701), link('opt', 'srv'))
    two = tmp_path / 'two.tar.gz'
    two.write_bytes(gzip.compress(tar_of(directory('srv', 0o702), member('.wh.tmp'))))
    flags = [f'--lower={one}', f'--lower={two}', f'--file={file}=opt/x', f'--file={file}=tmp/x']
    found = layer_on(base, output, *flags)
    assert found['srv'][1] == 0o702
    assert found['tmp'][1] == 0o755
    assert 'opt' not in found


@pytest.mark.parametrize('fixture', ['docker-20.10.tar', 'podman-4.3.tar.xz', 'crane-0.21.tar'])
def test_fixtures(fixture, file, output):
    layer_on(FIXTURES / fixture, output, f'--file={file}=srv/x')
    assert names(output)[-1] == 'srv/x'
    assert content(output, 'srv/x') == b'new'


# Bad bases.


def test_base_that_lacks_a_layer_is_an_error(base, tmp_path, output):
    missing = base_of(tmp_path / 'x.tar', COMMON, COMMON)
    data = missing.read_bytes().replace(b'1/layer.tar\0', b'2/layer.tar\0', 1)
    for place in headers(data):
        if data[place:].startswith(b'2/layer.tar\0'):
            block = with_fields(data[place : place + 512], name=b'2/layer.tar')
            data = data[:place] + block + data[place + 512 :]
    missing.write_bytes(data)
    error = layer_fails(output, f'--base={missing}')
    assert error == f"--base: {str(missing)!r} lacks its layer '1/layer.tar': give a whole image"


DEEPEST = '/'.join(['a'] * 128)
BAD_LAYERS = {
    'cut off': (COMMON[:600], 'is cut off'),
    'no tar': (b'x' * 1024, 'is damaged or not a tar archive: replace it'),
    'empty': (b'', 'is cut off or not a tar archive: replace it'),
    'gzip cut off': (gzip.compress(COMMON)[:-4], 'is cut off'),
    'above': (tar_of(member('../x')), ": '../x' has '..' or NUL or is too long: replace the base"),
    'too deep': (
        tar_of(member(DEEPEST, kind=DIR), member(f'{DEEPEST}/x')),
        "a/' has '..' or NUL or is too long: replace the base",
    ),
}


@pytest.mark.parametrize('case', BAD_LAYERS)
def test_bad_layer_is_an_error(base, tmp_path, output, case):
    data, text = BAD_LAYERS[case]
    bad = base_of(tmp_path / 'bad.tar', data)
    error = layer_fails(output, f'--base={bad}')
    assert error.replace(' :', ':').startswith(f"layer '0/layer.tar' of {str(bad)!r}")
    assert text in error
    lower = tmp_path / 'lower.tar'
    lower.write_bytes(data)
    error = layer_fails(output, f'--base={base}', f'--lower={lower}')
    assert error.startswith(repr(str(lower)))
    assert text in error


@pytest.mark.skipif(python_reads_zstd(), reason='this Python reads zstd')
def test_zstd_layer_is_an_error_before_python_3_14(tmp_path, output):
    base = base_of(tmp_path / 'base.tar', b'\x28\xb5\x2f\xfd' + bytes(600))
    error = layer_fails(output, f'--base={base}')
    advice = 'unpack it, or install backports.zstd'
    assert error.endswith(f'is zstd, which this Python cannot read: {advice}')


def test_base_of_old_docker_is_an_error(output):
    error = layer_fails(output, f'--base={FIXTURES / "docker-1.9.tar"}')
    assert 'was written by Docker 1.9 or older: load it with Docker 1.10 to 28' in error


def test_base_that_is_no_image_is_an_error(tmp_path, output):
    tar = write_tar(tmp_path / 'a.tar', member('x'))
    assert 'is not a valid base image' in layer_fails(output, f'--base={tar}')


def test_base_may_be_replaced(base, file):
    make_layer(base, f'--base={base}', f'--file={file}=bin/x')
    assert names(base) == ['usr', 'usr/bin', 'usr/bin/x']


class _LayerOfMembers(LayerFile):
    """A layer that has the members that it is given."""

    def __init__(self, found):
        super().__init__('x', Source('x', BytesInMemory(b''), 0, 0))
        self._found = found

    def read_headers(self, visit, progress):
        for one in self._found:
            visit(one)


def files_of(layers):
    """Returns what a base of these layers has at each name, or the error that it is."""
    files = base_files.BaseFiles()
    try:
        for layer in layers:
            files.add_layer(_LayerOfMembers(layer), Progress())
    except ArchiveError as error:
        return respelled_back(str(error))
    found = {}
    for one in itertools.chain(*layers):
        path = normal_name(one.name)
        found[path] = files.find(path)
        if isinstance(found[path], base_files.Directory):
            found[path] = (found[path].attributes, sorted(found[path].children))
    return found


def test_spelling_of_names_in_the_base_does_not_matter(monkeypatch):
    """Files in the directory of the member before take a shorter way, if it is spelled so."""
    short_ways = []
    is_common_file = base_files._is_common_file

    def counted(*arguments):
        short_ways.append(is_common_file(*arguments))
        return short_ways[-1]

    monkeypatch.setattr(base_files, '_is_common_file', counted)
    count = amount('MEMBERS_SEEDS', 500, 10_000)
    for seed in range(count):
        layers = [random_members(2 * seed), random_members(2 * seed + 1)]
        assert files_of(layers) == files_of([respelled(layer) for layer in layers]), seed
    assert short_ways.count(True) > count / 2
    assert short_ways.count(False) > count / 10
