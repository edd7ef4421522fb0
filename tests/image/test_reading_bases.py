# SPDX-License-Identifier: Apache-2.0
"""Reading a base: the functions of utils.py, and the choice of the image (section 5)."""

import bz2
import gzip
import json
import lzma
import subprocess
import tarfile

import pytest

import utils
from image_archive.errors import ArchiveError
from support.images import BASES, BEFORE_1_10, MODERN, BaseImage, Parts, on_fixture, write_base
from support.needs import require
from support.project import DATA
from support.running import build, fails, warns
from support.tars import (
    BLOCK,
    GLOBAL,
    HARD,
    LINK,
    content,
    make_tar,
    manifest,
    member,
    members,
    names,
    pax,
    python_reads_zstd,
    write_tar,
)

PACKERS = [bytes, gzip.compress, bz2.compress, lzma.compress]


# GetTarFile.


SPELLINGS = {'a': b'1', 'b': b'2', 'c': b'3', 'x/a': b'0', 'd': None, 'x': None}


@pytest.mark.parametrize('name', SPELLINGS)
def test_order_in_which_spellings_of_a_name_are_tried(tmp_path, name):
    """As given, then with './' in front, then with '/', in whatever order the members are."""
    files = {'/a': b'3', './a': b'2', 'a': b'1', './b': b'2', '/b': b'3', '/c': b'3', 'x/a': b'0'}
    path = make_tar(tmp_path / 'x.tar', files)
    assert utils.GetTarFile(str(path), name) == SPELLINGS[name]


def test_last_of_several_members_of_one_name_is_read(tmp_path):
    path = write_tar(tmp_path / 'x.tar', member('a', b'1'), member('a', b'2'))
    assert utils.GetTarFile(str(path), 'a') == b'2'


@pytest.mark.parametrize('pack', PACKERS)
@pytest.mark.parametrize('size', [0, 1, 2560000, pytest.param(9437184, marks=pytest.mark.slow)])
def test_members_of_all_sizes_are_read(tmp_path, pack, size):
    """The compression is detected by the content, not by the extension."""
    data = (bytes(range(256)) * (size // 256 + 1))[:size]
    path = make_tar(tmp_path / 'x.zip', {'a': data})
    path.write_bytes(pack(path.read_bytes()))
    assert utils.GetTarFile(str(path), 'a') == data


def stored_zstd(data):
    """Returns a zstd file of one raw block; its header holds the size of data (RFC 8878)."""
    frame = b'\x28\xb5\x2f\xfd\xa0' + len(data).to_bytes(4, 'little')
    block = (len(data) << 3 | 1).to_bytes(3, 'little')
    return frame + block + data


def test_zstd_is_read_or_the_error_gives_advice(tmp_path):
    """Python 3.14 and later can read it."""
    path = make_tar(tmp_path / 'x.tar', {'a': b'1'})
    path.write_bytes(stored_zstd(path.read_bytes()))
    if python_reads_zstd():
        assert utils.GetTarFile(str(path), 'a') == b'1'
    else:
        with pytest.raises(ArchiveError, match='zstd: unpack it'):
            utils.GetTarFile(str(path), 'a')


# Name, type and target of a link, and whether it leads to directory/file.
LINKS = [
    ('directory/soft', LINK, 'file', True),
    ('other/soft', LINK, '../directory/file', True),
    ('absolute', LINK, '/directory/file', True),
    ('hard', HARD, 'directory/file', True),
    ('other/hard', HARD, 'directory/file', True),
    ('directory/hard', HARD, 'directory/file', True),
    ('directory/hard', HARD, 'file', False),
    ('soft', LINK, 'file', False),
    ('dangling', LINK, 'nothing', False),
    ('self', LINK, 'self', False),
    ('self', HARD, 'self', False),
]


@pytest.mark.parametrize(('name', 'kind', 'target', 'leads'), LINKS)
def test_links_are_followed_and_broken_ones_are_an_error(tmp_path, name, kind, target, leads):
    """The target of a symbolic link is relative to its directory, that of a hard link is not."""
    link = member(name, kind=kind, link=target)
    path = str(write_tar(tmp_path / 'x.tar', member('directory/file', b'1'), link))
    if leads:
        assert utils.GetTarFile(path, name) == b'1'
    else:
        with pytest.raises(ArchiveError, match='leads to no file'):
            utils.GetTarFile(path, name)


def test_link_to_a_link_is_followed(tmp_path):
    first = member('a', kind=LINK, link='directory/b')
    second = member('directory/b', kind=LINK, link='../c')
    path = str(write_tar(tmp_path / 'x.tar', first, second, member('c', b'1')))
    assert utils.GetTarFile(path, 'a') == b'1'


def test_circular_links_are_an_error(tmp_path):
    one, two = member('one', kind=LINK, link='two'), member('two', kind=LINK, link='one')
    path = str(write_tar(tmp_path / 'x.tar', one, two))
    with pytest.raises(ArchiveError, match='leads to no file'):
        utils.GetTarFile(path, 'one')


def test_linked_layer_of_podman_is_read():
    path = str(DATA / 'bases' / 'podman-4.3.tar')
    with tarfile.open(path) as tar:
        link = next(member for member in tar if member.issym())
        target = tar.extractfile(link).read()
    assert len(target) > 1000
    assert utils.GetTarFile(path, link.name) == target


# GetManifestFromTar and GetLatestManifestFromTar.


@pytest.mark.parametrize('path', [None, ''])
def test_manifest_of_no_file_is_empty(path):
    assert utils.GetManifestFromTar(path) == []
    assert utils.GetLatestManifestFromTar(path) is None


def test_archive_without_a_manifest(tmp_path):
    other = make_tar(tmp_path / 'x.tar', {'a': b'', 'directory/manifest.json': b'[{}]'})
    for path in other, DATA / 'bases' / BEFORE_1_10:
        assert utils.GetManifestFromTar(str(path)) == []
        assert utils.GetLatestManifestFromTar(str(path)) is None


def test_all_manifest_entries_and_the_last_one(tmp_path):
    entries = [{'Config': 'a'}, {'Config': 'b', 'Layers': ['c'], 'More': {'d': 1}}]
    path = str(make_tar(tmp_path / 'x.tar', {'./manifest.json': json.dumps(entries).encode()}))
    assert utils.GetManifestFromTar(path) == entries
    assert utils.GetLatestManifestFromTar(path) == entries[1]


@pytest.mark.parametrize('base', MODERN)
def test_manifest_of_each_base_is_read(base):
    path = str(DATA / 'bases' / base)
    with tarfile.open(path) as tar:
        (name,) = {'manifest.json', './manifest.json'} & set(tar.getnames())
        expected = json.load(tar.extractfile(name))
    assert utils.GetManifestFromTar(path) == expected
    assert utils.GetLatestManifestFromTar(path) == expected[-1]


@pytest.mark.parametrize('target', ['m', 'directory/m'])
@pytest.mark.parametrize('kind', [LINK, HARD])
def test_manifest_that_is_a_link_is_read(tmp_path, kind, target):
    lower = BaseImage(['l'])
    files = [member(name, data) for name, data in lower.files.items()]
    file = member(target, json.dumps([lower.entry]).encode())
    link = member('./manifest.json', kind=kind, link=target)
    base = write_tar(tmp_path / 'base.tar', *files, file, link)
    image = Parts(tmp_path, below=lower.diff_ids, base=base)
    build(*image.without('legacy_base'))
    assert manifest(image.output)['Layers'][0] == 'l'


# The image that is used, and archives without one.


@pytest.mark.parametrize('position', [0, 1, 3, 5])
def test_last_manifest_entry_is_used(tmp_path, position):
    first, last = BaseImage(['one.tar'], tags=['one:1']), BaseImage(['two.tar', 'three.tar'])
    base = write_base(tmp_path / 'base.tar', first, last, position=position)
    image = Parts(tmp_path, below=last.diff_ids, base=base)
    build(*image.flags)
    entry = manifest(image.output)
    assert entry['Layers'][:-1] == ['two.tar', 'three.tar']
    assert entry['Parent'] == f'sha256:{last.id}'
    assert entry['RepoTags'] == []
    assert {*first.files, *last.files} < set(names(image.output))


@pytest.mark.parametrize('layers', [{}, {'Layers': None}, {'Layers': []}])
def test_base_without_layers(tmp_path, layers):
    lower = BaseImage([])
    entry = {'Config': f'{lower.id}.json', **layers}
    base = write_base(tmp_path / 'base.tar', lower, entries=[entry])
    image = Parts(tmp_path, base=base)
    build(*image.flags)
    assert manifest(image.output)['Layers'] == [f'{image.id}/{image.layers[0][0]}.tar']
    assert manifest(image.output)['Parent'] == f'sha256:{lower.id}'


def test_base_written_by_docker_1_9(tmp_path):
    image = on_fixture(tmp_path, BEFORE_1_10)
    (line,) = warns(*image.flags)
    assert (
        'was written by Docker 1.9 or older: only such a Docker can load images built on it' in line
    )
    assert BEFORE_1_10 in line
    entry = manifest(image.output)
    assert 'Parent' not in entry
    assert len(entry['Layers']) == 1
    assert len([name for name in names(image.output) if name.endswith('/layer.tar')]) == 2


def test_warning_about_docker_1_9_is_printed_once(tmp_path):
    """Also with --verify, which reads the base too."""
    image = on_fixture(tmp_path, BEFORE_1_10)
    assert len(warns(*image.flags, '--verify')) == 1


def test_base_without_legacy_base_makes_a_partial_image(tmp_path):
    image = on_fixture(tmp_path, 'podman-4.3.tar')
    build(*image.without('legacy_base'))
    own = [f'{image.id}.json', image.id, f'{image.id}/{image.layers[0][0]}.tar', 'manifest.json']
    assert names(image.output) == own
    below = manifest(DATA / 'bases' / 'podman-4.3.tar')['Layers']
    assert manifest(image.output)['Layers'][:2] == below


def partial_image(directory):
    """Writes the archive of an image that lacks the layers of its base."""
    image = on_fixture(directory, 'podman-4.3.tar')
    build(*image.without('legacy_base'))
    return image.output.rename(directory / 'partial.tar')


# Other paths of the file partial.tar.
SAME_FILE = {
    'the same path': lambda path: path,
    'with ./': lambda path: f'{path.parent}/./{path.name}',
    'through a directory': lambda path: f'{path.parent}/../{path.parent.name}/{path.name}',
    'a symbolic link': lambda path: linked(path).symlink_to(path),
    'a hard link': lambda path: linked(path).hardlink_to(path),
}


def linked(path):
    return path.parent / 'link'


@pytest.mark.parametrize('case', SAME_FILE)
def test_partial_base_as_legacy_base_is_an_error(tmp_path, case):
    """Whatever the path of the --legacy_base is: the two are compared as files."""
    partial = partial_image(tmp_path)
    other = SAME_FILE[case](partial) or linked(partial)
    image = on_fixture(tmp_path, 'podman-4.3.tar', config={'Cmd': ['other']})
    flags = [f'--base={partial}', f'--legacy_base={other}']
    line = fails(*image.without('base', 'legacy_base'), *flags)
    layer = manifest(partial)['Layers'][0]
    assert f"partial.tar' lacks its layer '{layer}'" in line
    assert not image.output.exists()


def test_legacy_base_can_be_another_archive_than_the_base(tmp_path):
    """If it lacks the base's layers, the image is partial, as without a --legacy_base."""
    image = on_fixture(tmp_path, 'podman-4.3.tar')
    other = make_tar(tmp_path / 'other.tar', {'other': b'o'})
    build(*image.without('legacy_base'), f'--legacy_base={other}', warnings=True)
    assert len(manifest(image.output)['Layers']) == 3
    assert names(image.output)[3:] == ['other', 'manifest.json']


# Forms of an archive that is not damaged.


def repacked(path, base, pack):
    path.write_bytes(pack((DATA / 'bases' / base).read_bytes()))
    return path


@pytest.mark.parametrize('base', [name for name in MODERN if name.endswith('.tar')])
@pytest.mark.parametrize(
    ('pack', 'extension'), list(zip(PACKERS, ['tar.gz', 'tar.xz', 'tar', 'zip'], strict=True))
)
def test_compression_is_detected_by_content(tmp_path, base, pack, extension):
    image = on_fixture(tmp_path, base)
    build(*image.flags)
    expected = image.output.read_bytes()
    image.base = repacked(tmp_path / f'base.{extension}', base, pack)
    build(*image.flags)
    assert image.output.read_bytes() == expected


@pytest.mark.parametrize('zero_blocks', [0, 1, 2, 1000])
def test_number_of_zero_blocks_at_the_end_does_not_matter(tmp_path, zero_blocks):
    image = on_fixture(tmp_path, 'docker-20.10.tar')
    build(*image.flags)
    expected = image.output.read_bytes()
    data = image.base.read_bytes().rstrip(b'\0')
    image.base = tmp_path / 'base.tar'
    image.base.write_bytes(data + bytes(-len(data) % BLOCK + BLOCK * zero_blocks))
    build(*image.flags)
    assert image.output.read_bytes() == expected


def test_global_header_applies_to_all_members_after_it(parts):
    header = pax(b'uid=7', b'comment=c', kind=GLOBAL)
    base = write_tar(parts.directory / 'base.tar', header, *map(member, 'abc'))
    build(*parts.flags, f'--legacy_base={base}')
    assert [(m.name, m.uid) for m, _ in members(parts.output)][3:-1] == [
        ('a', 7),
        ('b', 7),
        ('c', 7),
    ]


GNU_TAR_SPARSE = {
    'gnu': ['--format=gnu'],
    '0.0': ['--format=posix', '--sparse-version=0.0'],
    '0.1': ['--format=posix', '--sparse-version=0.1'],
    '1.0': ['--format=posix', '--sparse-version=1.0'],
}


@pytest.mark.parametrize('version', GNU_TAR_SPARSE)
def test_sparse_members_are_expanded(parts, version):
    require('tar')
    sparse = parts.directory / 'sparse'
    with sparse.open('wb') as f:
        f.seek(300000)
        f.write(b'island' * 1000)
        f.truncate(1000000)
    base = parts.directory / 'base.tar'
    files = ['-cf', base, '-C', parts.directory, 'sparse', 'config.json']
    subprocess.run(['tar', '-S', *GNU_TAR_SPARSE[version], *files], check=True)
    assert base.stat().st_size < 100000
    build(*parts.flags, f'--legacy_base={base}')
    assert content(parts.output, 'sparse') == sparse.read_bytes()
    assert content(parts.output, 'config.json') == parts.config.read_bytes()


@pytest.mark.slow
def test_base_with_10000_members(parts):
    files = {f'{n % 100}/{n}': b'%d' % n for n in range(10000)}
    base = make_tar(parts.directory / 'base.tar', files)
    build(*parts.flags, f'--legacy_base={base}')
    found = {m.name: data for m, data in members(parts.output) if m.isreg()}
    assert {name: found[name] for name in files} == files


@pytest.mark.parametrize('base', BASES)
def test_all_files_of_each_base_can_be_read(base):
    path = DATA / 'bases' / base
    for info, data in members(path):
        if info.isreg():
            assert utils.GetTarFile(str(path), info.name) == data
