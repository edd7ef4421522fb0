# SPDX-License-Identifier: Apache-2.0
"""The public functions of utils.py, as other build scripts call them."""

import bz2
import gzip
import importlib.util
import json
import lzma
import tarfile

import pytest

import utils
from conftest import BASES, DATA, make_tar


def test_extract_value(tmp_path):
    (tmp_path / 'id').write_bytes('  ä b\n'.encode())
    assert utils.ExtractValue('plain') == 'plain'
    assert utils.ExtractValue('') == ''
    assert utils.ExtractValue(f'@{tmp_path}/id') == '  ä b\n'
    with pytest.raises(FileNotFoundError):
        utils.ExtractValue(f'@{tmp_path}/missing')
    (tmp_path / 'id').write_bytes(b'\xff')
    with pytest.raises(ValueError, match='utf-8'):
        utils.ExtractValue(f'@{tmp_path}/id')


def test_spellings_of_a_member(tmp_path):
    files = {'/a': b'3', './a': b'2', 'a': b'1', './b': b'2', '/b': b'3', '/c': b'3', 'x/a': b'0'}
    path = str(make_tar(tmp_path / 'x.tar', files))
    assert utils.GetTarFile(path, 'a') == b'1'
    assert utils.GetTarFile(path, 'b') == b'2'
    assert utils.GetTarFile(path, 'c') == b'3'
    assert utils.GetTarFile(path, 'x/a') == b'0'
    assert utils.GetTarFile(path, 'd') is None
    assert utils.GetTarFile(path, 'x') is None


def test_the_last_of_several_members_counts(tmp_path):
    path = make_tar(tmp_path / 'x.tar', {'a': b'1'})
    with tarfile.open(path, 'a') as tar:
        tar.addfile(tarfile.TarInfo('a'))
    assert utils.GetTarFile(str(path), 'a') == b''


@pytest.mark.parametrize('pack', [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_compressions(tmp_path, pack):
    """Under a name that says otherwise; a member longer than what is read at once."""
    data = bytes(range(256)) * 10000
    path = make_tar(tmp_path / 'x.zip', {'a': data})
    path.write_bytes(pack(path.read_bytes()))
    assert utils.GetTarFile(str(path), 'a') == data


@pytest.mark.parametrize('pack', [bytes, gzip.compress])
def test_a_large_member(tmp_path, pack):
    data = bytes(range(256)) * (36 << 10)
    path = make_tar(tmp_path / 'x.tar', {'a': data})
    path.write_bytes(pack(path.read_bytes()))
    assert utils.GetTarFile(str(path), 'a') == data
    with pytest.raises(utils.ArchiveError, match='over 9437183 bytes'):
        utils.GetTarFile(str(path), 'a', len(data) - 1)


def test_zstd(tmp_path):
    """Read where Python can; elsewhere the error says what to do."""
    # One raw block behind a header for the content's size (RFC 8878).
    data = make_tar(tmp_path / 'x.tar', {'a': b'1'}).read_bytes()
    frame = b'\x28\xb5\x2f\xfd\xa0' + len(data).to_bytes(4, 'little')
    block = (len(data) << 3 | 1).to_bytes(3, 'little')
    path = tmp_path / 'x.tar.zst'
    path.write_bytes(frame + block + data)
    if importlib.util.find_spec('compression'):
        assert utils.GetTarFile(str(path), 'a') == b'1'
    else:
        with pytest.raises(utils.ArchiveError, match='zstd: unpack it'):
            utils.GetTarFile(str(path), 'a')


def link(name, kind, target):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_links(tmp_path):
    path = make_tar(tmp_path / 'x.tar', {'folder/file': b'1'})
    with tarfile.open(path, 'a') as tar:
        tar.addfile(link('folder/soft', tarfile.SYMTYPE, 'file'))
        tar.addfile(link('other/soft', tarfile.SYMTYPE, '../folder/soft'))
        tar.addfile(link('absolute', tarfile.SYMTYPE, '/folder/file'))
        tar.addfile(link('hard', tarfile.LNKTYPE, 'folder/file'))
        tar.addfile(link('dangling', tarfile.SYMTYPE, 'nothing'))
        tar.addfile(link('one', tarfile.SYMTYPE, 'two'))
        tar.addfile(link('two', tarfile.SYMTYPE, 'one'))
        tar.addfile(link('self', tarfile.LNKTYPE, 'self'))
    for name in ('folder/soft', 'other/soft', 'absolute', 'hard'):
        assert utils.GetTarFile(str(path), name) == b'1'
    for name in ('dangling', 'one', 'self'):
        with pytest.raises(utils.ArchiveError, match='leads to no file'):
            utils.GetTarFile(str(path), name)


def test_podman_s_link_to_a_layer():
    path = str(DATA / 'bases' / 'podman-4.3.tar')
    with tarfile.open(path) as tar:
        name, target = next((m.name, m.linkname) for m in tar if m.issym())
    target = target.rpartition('/')[2]
    assert len(utils.GetTarFile(path, name)) > 1000
    assert utils.GetTarFile(path, name) == utils.GetTarFile(path, target)


def test_no_manifest(tmp_path):
    assert utils.GetManifestFromTar() == []
    assert utils.GetManifestFromTar('') == []
    assert utils.GetLatestManifestFromTar() is None
    path = str(make_tar(tmp_path / 'x.tar', {'a': b''}))
    assert utils.GetManifestFromTar(path) == []
    assert utils.GetLatestManifestFromTar(path) is None


def test_manifest(tmp_path):
    entries = [{'Config': 'a'}, {'Config': 'b', 'Layers': ['c'], 'More': {'d': 1}}]
    path = str(make_tar(tmp_path / 'x.tar', {'./manifest.json': json.dumps(entries).encode()}))
    assert utils.GetManifestFromTar(path) == entries
    assert utils.GetLatestManifestFromTar(path) == entries[1]


@pytest.mark.parametrize('base', BASES)
def test_manifest_of_each_base(base):
    path = str(DATA / 'bases' / base)
    with tarfile.open(path) as tar:
        names = [name for name in tar.getnames() if name in ('manifest.json', './manifest.json')]
        expected = json.load(tar.extractfile(names[0])) if names else []
    assert utils.GetManifestFromTar(path) == expected
    assert utils.GetLatestManifestFromTar(path) == (expected[-1] if names else None)
