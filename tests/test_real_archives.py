# SPDX-License-Identifier: Apache-2.0
"""Archives of real programs: each is read as GNU tar lists and extracts it.

It is compared member by member and byte by byte, as the reader gives it and as it is merged.
"""

import hashlib
import os
import pathlib
import random
import re
import shutil
import stat
import subprocess
import tarfile

import pytest

import archive
import gnu_tar
from helpers import (
    BASES,
    BLOCK,
    DATA,
    Parts,
    fails,
    make_tar,
    python_reads_zstd,
    require,
    sha256,
    warns,
)
from image_archive.errors import ArchiveError
from image_archive.tar import archive as archives

PROGRAMS = 'tar bsdtar busybox 7z skopeo umoci'.split()
PROGRAMS += 'gzip pigz bzip2 pbzip2 xz pixz zstd pzstd'.split()
HOLES = 5000
MIB = 1 << 20


def shell(command, folder):
    require(*(program for program in PROGRAMS if re.search(rf'\b{program}\b', command)))
    subprocess.run(
        ['bash', '-euo', 'pipefail', '-c', command],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=120,
    )


@pytest.fixture(scope='module')
def trees(tmp_path_factory):
    """A folder with folders to pack: `plain` of what v7 holds, `full` of what others hold too."""
    folder = tmp_path_factory.mktemp('trees')
    make_tree(folder / 'plain')
    make_tree(folder / 'full')
    add_long_names(folder / 'full')
    return folder


def make_tree(folder):
    (folder / 'folder/inner').mkdir(parents=True)
    (folder / 'empty folder').mkdir(mode=0o700)
    for size in (0, 1, 511, 512, 513, 10240, 70000):
        data = (b'%d ' % size * size)[:size]
        (folder / f'folder/{size}').write_bytes(data)
    (folder / 'folder/program').write_bytes(b'#!/bin/sh\n')
    (folder / 'folder/program').chmod(0o4751)
    (folder / 'folder/caf\xe9').write_bytes(b'UTF-8 name')
    os.link(folder / 'folder/513', folder / 'hard link')
    os.symlink('folder/513', folder / 'soft link')
    os.symlink('/folder/513', folder / 'folder/inner/absolute link')
    os.symlink('nothing', folder / 'dangling link')
    with open(folder / 'sparse', 'wb') as file:
        for number in range(HOLES):
            file.seek(1024 * number + 512)
            file.write(b'%512d' % number)
        file.truncate(1024 * HOLES + 5000)
    with open(folder / 'one hole', 'wb') as file:
        file.truncate(100000)
    with open(folder / 'sparse in front', 'wb') as file:
        file.seek(50000)
        file.write(b'end')


def add_long_names(folder):
    inner = folder / ('l' * 90) / ('m' * 90) / ('n' * 200)
    inner.mkdir(parents=True)
    (inner / 'file').write_bytes(b'deep')
    (folder / ('f' * 99)).write_bytes(b'99')
    (folder / ('f' * 100)).write_bytes(b'100')
    (folder / ('f' * 101)).write_bytes(b'101')
    os.link(inner / 'file', folder / 'long hard link')
    os.symlink('t' * 101, folder / 'long soft link')
    os.symlink('t' * 3000, folder / 'longer soft link')


def read(path):
    """Returns what the tool reads: the members as GNU tar lists them, and their content."""
    with archives.open_archive(str(path)) as opened:
        listed = [gnu_tar.as_listed(member) for member in opened.members]
        contents = {}
        for member in opened.members:
            if member.is_file:
                contents[member.name] = digest(opened.source(member).blocks())
        return listed, contents


def digest(blocks):
    total = hashlib.sha256()
    for block in blocks:
        total.update(block)
    return total.hexdigest()


def check(path, folder, merges=True):
    """Checks that an archive is read as GNU tar does, and merged with all that is in it."""
    expected = gnu_tar.listing(path)
    listed, contents = read(path)
    assert len(listed) > 0
    assert listed == expected
    gnu_tar.extract(path, folder / 'extracted')
    for name, found in contents.items():
        assert found == sha256((folder / 'extracted' / name.lstrip('/')).read_bytes()), name
    if merges:
        check_merged(path, folder)


def check_merged(path, folder):
    merged = folder / 'merged.tar'
    with archive.TarFileWriter(str(merged)) as tar:
        tar.add_tar(str(path))
    gnu_tar.extract(merged, folder / 'merged')
    assert facts(folder / 'merged') == facts(folder / 'extracted')


def facts(folder):
    """Returns {path: what is there} of all in a folder."""
    # By os.walk: before Python 3.11, rglob() stops at a link whose target is too long for a name.
    paths = []
    for parent, folders, names in os.walk(folder):
        paths += [pathlib.Path(parent, name) for name in (*folders, *names)]
    found = {}
    for path in paths:
        status = path.lstat()
        content = None
        if stat.S_ISREG(status.st_mode):
            content = sha256(path.read_bytes()), status.st_nlink
        elif stat.S_ISLNK(status.st_mode):
            content = os.readlink(path)
        found[path.relative_to(folder)] = (stat.filemode(status.st_mode), content)
    return found


# GNU tar.

SPARSE = '--sparse --hole-detection=raw'
OTHERS = '--owner=somebody:1234 --group=+70000 --mode=u+w'
GNU_TAR = {
    'v7': ('plain', 'tar -cf x.tar --format=v7 -C plain .'),
    'oldgnu': ('full', 'tar -cf x.tar --format=oldgnu -C full .'),
    'gnu': ('full', 'tar -cf x.tar --format=gnu -C full .'),
    'ustar': ('plain', 'tar -cf x.tar --format=ustar -C plain .'),
    'posix': ('full', 'tar -cf x.tar --format=posix -C full .'),
    'oldgnu sparse': ('full', f'tar -cf x.tar --format=oldgnu {SPARSE} -C full .'),
    'gnu sparse': ('full', f'tar -cf x.tar --format=gnu {SPARSE} -C full .'),
    **{
        f'posix sparse {version}': (
            'full',
            f'tar -cf x.tar --format=posix {SPARSE} --sparse-version={version} -C full .',
        )
        for version in ('0.0', '0.1', '1.0')
    },
    'gnu label': ('full', 'tar -cf x.tar --format=gnu --label=volume -C full .'),
    'posix label': ('full', 'tar -cf x.tar --format=posix --label=volume -C full .'),
    'oldgnu label': ('full', 'tar -cf x.tar --format=oldgnu --label=volume -C full .'),
    'gnu incremental': ('full', 'tar -cf x.tar --format=gnu -g snapshot -C full .'),
    'oldgnu incremental': ('full', 'tar -cf x.tar --format=oldgnu -g snapshot -C full .'),
    'posix incremental': ('full', 'tar -cf x.tar --format=posix -g snapshot -C full .'),
    'gnu incremental sparse': ('full', f'tar -cf x.tar -g snapshot {SPARSE} -C full .'),
    'xattrs': ('full', 'tar -cf x.tar --xattrs --acls --selinux -C full .'),
    'gnu owner': ('full', f'tar -cf x.tar --format=gnu {OTHERS} -C full .'),
    'posix owner': ('full', f'tar -cf x.tar --format=posix {OTHERS} -C full .'),
    'oldgnu large owner': (
        'full',
        'tar -cf x.tar --format=oldgnu --owner=+3000000 --group=+4000000000 -C full .',
    ),
    'posix large owner': (
        'full',
        'tar -cf x.tar --format=posix --owner=+3000000 --group=+4000000000 -C full .',
    ),
    'no names': ('full', 'tar -cf x.tar --numeric-owner --sort=name -C full .'),
    'old times': ('full', 'tar -cf x.tar --format=gnu --mtime=@-1000000000 -C full .'),
    'late times': ('full', 'tar -cf x.tar --format=gnu --mtime=@100000000000 -C full .'),
    'a global header': (
        'full',
        'tar -cf x.tar --format=posix --pax-option=comment=hello,uname=everybody -C full .',
    ),
    'no times': ('full', 'tar -cf x.tar --format=posix --pax-option=delete=*time -C full .'),
    'names with a slash in front': ('full', 'tar -cf x.tar -P --transform=s,^./,/, -C full .'),
    'one block a record': ('full', 'tar -cf x.tar -b 1 -C full .'),
    '2000 blocks a record': ('full', 'tar -cf x.tar -b 2000 -C full .'),
    'copies of hard links': ('full', 'tar -cf x.tar --hard-dereference -C full .'),
    'contents of links': ('full', 'tar -cf x.tar -h -C full folder/513 "hard link" "soft link"'),
    'appended': (
        'full',
        'tar -cf x.tar -C full folder && tar -rf x.tar -C full sparse && '
        'tar -rf x.tar -C full empty\\ folder one\\ hole',
    ),
    'updated': ('full', 'tar -cf x.tar -C full folder && tar -uf x.tar -C full folder sparse'),
    'concatenated': (
        'full',
        f'tar -cf x.tar -C full folder && tar -cf y.tar {SPARSE} -C full sparse && '
        'tar -Af x.tar y.tar',
    ),
    'with a member deleted': (
        'full',
        'tar -cf x.tar -C full . && tar -f x.tar --delete ./folder/70000',
    ),
    'by pipe': ('full', 'tar -c -C full . | cat > x.tar'),
}


@pytest.mark.parametrize('case', GNU_TAR)
def test_gnu_tar(trees, tmp_path, case):
    tree, command = GNU_TAR[case]
    (tmp_path / tree).symlink_to(trees / tree)
    if case == 'xattrs':
        give_attributes(trees / tree / 'folder/513')
    shell(command, tmp_path)
    check(tmp_path / 'x.tar', tmp_path)


def give_attributes(path):
    try:
        os.setxattr(path, 'user.text', b'value\n\0=')
        os.setxattr(path, 'user.large', b'x' * 3000)
    except OSError:
        pass  # a file system without them: the archive has none


LARGE_SPARSE = {
    'oldgnu': '--format=oldgnu',
    'gnu': '--format=gnu',
    'posix 0.0': '--format=posix --sparse-version=0.0',
    'posix 0.1': '--format=posix --sparse-version=0.1',
    'posix 1.0': '--format=posix --sparse-version=1.0',
}


@pytest.mark.parametrize('case', LARGE_SPARSE)
def test_a_sparse_file_of_over_8_gib(tmp_path, case):
    size = 9 << 30
    with open(tmp_path / 'large', 'wb') as file:
        file.write(b'begin'.ljust(4096))
        file.seek(size - 4096)
        file.write(b'end'.ljust(4096))
    shell(f'tar -cSf x.tar {LARGE_SPARSE[case]} large', tmp_path)
    assert gnu_tar.listing(tmp_path / 'x.tar')[0].size == size
    with archives.open_archive(str(tmp_path / 'x.tar')) as opened:
        (member,) = opened.members
        assert (member.name, member.size) == ('large', size)
        begin, end = [piece for piece in opened.source(member).pieces() if piece.size]
        assert (begin[0], begin[2]) == (0, 4096)
        assert (end[0], end[2]) == (size - 4096, 4096)
        source = opened.source(member)
        assert b''.join(source.read_piece(begin[1], 4096)) == b'begin'.ljust(4096)
        assert b''.join(source.read_piece(end[1], 4096)) == b'end'.ljust(4096)


@pytest.mark.parametrize('kept', [0, 1])
def test_an_archive_without_all_its_end(trees, tmp_path, kept):
    """Docker and old programs leave it out, or a block of it."""
    path = tmp_path / 'x.tar'
    shell(f'tar -cf {path} full', trees)
    data = path.read_bytes()
    end = len(data.rstrip(b'\0')) + BLOCK
    end -= end % BLOCK
    path.write_bytes(data[: end + kept * BLOCK])
    listed, _ = read(path)
    assert listed == gnu_tar.listing(path, '--warning=no-alone-zero-block')


@pytest.mark.parametrize('garbage', [b'garbage', b'\x1f\x8b' * 512, b'an archive'])
def test_what_is_behind_the_end(tmp_path, garbage):
    """GNU tar passes over it; the tool says so."""
    path = make_tar(tmp_path / 'x.tar', {'a': b'1'})
    listed = gnu_tar.listing(path)
    data = path.read_bytes()
    if garbage == b'an archive':
        garbage = data
    path.write_bytes(data + garbage)
    parts = Parts(tmp_path)
    (warning,) = warns(*parts.flags, f'--legacy_base={path}')
    assert warning == f"'{path}': what lies behind the end of the archive is passed over"
    assert read(path)[0] == listed


DAMAGE = {
    'cut behind a header': lambda data, place: data[: place + BLOCK],
    'cut in data': lambda data, place: data[: place + BLOCK + 1000],
    'cut between blocks of data': lambda data, place: data[: place + 4 * BLOCK],
    'another name': lambda data, place: data[:place] + b'?' + data[place + 1 :],
    'another size': lambda data, place: data[: place + 130] + b'7' + data[place + 131 :],
    'another checksum': lambda data, place: data[: place + 150] + b'00' + data[place + 152 :],
    'no header': lambda data, place: data[:place] + b'text'.ljust(BLOCK) + data[place + BLOCK :],
}


@pytest.mark.parametrize('dialect', ['v7', 'oldgnu', 'gnu', 'ustar', 'posix'])
@pytest.mark.parametrize('damage', DAMAGE)
def test_damage(trees, tmp_path, dialect, damage):
    """What GNU tar takes for damage is an error."""
    path = tmp_path / 'x.tar'
    shell(f'tar -cf {path} --format={dialect} -C plain folder/1 folder/70000 folder/10240', trees)
    data = path.read_bytes()
    place = data.index(b'folder/70000\0' + bytes(80))
    path.write_bytes(DAMAGE[damage](data, place))
    assert gnu_tar.listing(path) is None
    with pytest.raises(ArchiveError, match=r"' is (cut off|damaged) in or after member 'folder/"):
        read(path)


# Other programs.

OTHERS_ARCHIVES = {
    'bsdtar': 'bsdtar -cf x.tar -C full .',
    'bsdtar v7': 'bsdtar -cf x.tar --format=v7tar -C plain .',
    'bsdtar ustar': 'bsdtar -cf x.tar --format=ustar -C plain .',
    'bsdtar gnutar': 'bsdtar -cf x.tar --format=gnutar -C full .',
    'bsdtar pax': 'bsdtar -cf x.tar --format=pax -C full .',
    'bsdtar sparse': 'bsdtar -cf x.tar --format=pax --read-sparse -C full .',
    'bsdtar owner': 'bsdtar -cf x.tar --uid 3000000 --gid 70000 --uname caf\xe9 -C full .',
    'busybox': 'busybox tar -cf x.tar -C full .',
    '7z': '7z a -ttar -snl -snh x.tar ./plain/*',
    '7z gnu': '7z a -ttar -mm=gnu -snl -snh x.tar ./full/* "-x!longer soft link"',
    '7z pax': '7z a -ttar -mm=pax -snl -snh x.tar ./full/* "-x!longer soft link"',
}


@pytest.mark.parametrize('case', OTHERS_ARCHIVES)
def test_another_program(trees, tmp_path, case):
    for tree in ('plain', 'full'):
        (tmp_path / tree).symlink_to(trees / tree)
    shell(OTHERS_ARCHIVES[case], tmp_path)
    check(tmp_path / 'x.tar', tmp_path)


@pytest.mark.parametrize(
    'dialect', [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT], ids=str
)
def test_python(trees, tmp_path, dialect):
    tree = 'plain' if dialect == tarfile.USTAR_FORMAT else 'full'
    with tarfile.open(tmp_path / 'x.tar', 'w', format=dialect) as tar:
        tar.add(trees / tree, '.')
    check(tmp_path / 'x.tar', tmp_path)


@pytest.mark.parametrize('size', [60000, MIB - 100])
def test_a_large_extended_header(tmp_path, size):
    info = tarfile.TarInfo('a')
    info.pax_headers = {'SCHILY.xattr.user.large': 'x' * size, 'path': 'b'}
    with tarfile.open(tmp_path / 'x.tar', 'w', format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(info)
    check(tmp_path / 'x.tar', tmp_path)
    assert read(tmp_path / 'x.tar')[0][0].name == 'b'


@pytest.mark.parametrize('base', BASES)
def test_a_docker_archive(tmp_path, base):
    """Of Docker, Podman, Skopeo and others; those that pack them are Go programs."""
    path = DATA / 'bases' / base
    check(path, tmp_path)


SKOPEO = {
    'docker archive': 'skopeo copy docker-archive:base.tar docker-archive:x.tar:example/app:1',
    'OCI archive': 'skopeo copy docker-archive:base.tar oci-archive:x.tar:1',
}


@pytest.mark.parametrize('case', SKOPEO)
def test_skopeo(tmp_path, case):
    shutil.copy(DATA / 'bases' / 'docker-20.10.tar', tmp_path / 'base.tar')
    shell(f'{SKOPEO[case]} --insecure-policy'.replace('copy', 'copy -q'), tmp_path)
    check(tmp_path / 'x.tar', tmp_path)


def test_umoci(trees, tmp_path):
    shell(
        'umoci init --layout=image && umoci new --image=image:1 && '
        f'umoci insert --rootless --image=image:1 {trees}/plain /opt',
        tmp_path,
    )
    blobs = (tmp_path / 'image/blobs/sha256').iterdir()
    (layer,) = [path for path in blobs if path.read_bytes().startswith(b'\x1f\x8b')]
    _, contents = read(layer)
    # GNU tar misses the end of the last block.
    plain = trees / 'plain'
    assert len(contents) > 10
    for name, found in contents.items():
        assert found == sha256((plain / name.removeprefix('opt/')).read_bytes()), name


# Compressors.

COMPRESSED = {
    'gzip': 'gzip -c x.tar',
    'gzip by pipe': 'cat x.tar | gzip -1n',
    'gzip members': 'head -c 3000 x.tar | gzip && tail -c +3001 x.tar | gzip',
    'gzip and zeros': 'gzip -c x.tar && head -c 1000 /dev/zero',
    'pigz': 'pigz -c -p 4 -b 128 x.tar',
    'pigz independent': 'pigz -c -i -b 128 x.tar',
    'pigz at its best': 'pigz -c -11 -I 1 x.tar',
    '7z gzip': '7z a -tgzip -so -an x.tar',
    'bzip2': 'bzip2 -c x.tar',
    'bzip2 streams': 'head -c 3000 x.tar | bzip2 && tail -c +3001 x.tar | bzip2 -1',
    'bzip2 of nothing': 'bzip2 < /dev/null && bzip2 -c x.tar',
    'pbzip2': 'pbzip2 -c -p2 -b1 x.tar',
    '7z bzip2': '7z a -tbzip2 -so -an x.tar',
    'xz': 'xz -c x.tar',
    'xz at its best': 'xz -9e -c x.tar',
    'xz by threads': 'xz -T2 --block-size=64KiB -c x.tar',
    'xz without a check': 'xz --check=none -c x.tar',
    'xz with CRC32': 'xz --check=crc32 -c x.tar',
    'xz with SHA-256': 'xz --check=sha256 -c x.tar',
    'xz with a filter': 'xz --x86 --lzma2 -c x.tar',
    'xz streams': 'head -c 3000 x.tar | xz && tail -c +3001 x.tar | xz',
    'xz and padding': 'xz -c x.tar && head -c 1000 /dev/zero',
    'xz streams and padding': 'head -c 3000 x.tar | xz && head -c 8 /dev/zero && '
    'tail -c +3001 x.tar | xz && head -c 4 /dev/zero',
    'pixz': 'pixz -p 2 < x.tar',
    'pixz without an index': 'pixz -t -p 2 < x.tar',
    '7z xz': '7z a -txz -mx=9 -so -an x.tar',
}
ZSTD = {
    'zstd': 'zstd -c x.tar',
    'zstd by pipe': 'cat x.tar | zstd -1',
    'zstd at its best': 'zstd --ultra -22 -c x.tar',
    'zstd without a check': 'zstd --no-check -c x.tar',
    'zstd by threads': 'zstd -T2 -B512KiB -c x.tar',
    'zstd frames': 'head -c 3000 x.tar | zstd && tail -c +3001 x.tar | zstd',
    'zstd --long': 'zstd --long -c x.tar',
    'zstd --long by pipe': 'cat x.tar | zstd --long=27',
    'pzstd': 'pzstd -p 2 -c x.tar',
    'pzstd by pipe': 'cat x.tar | pzstd -p 2',
    'zstd and a skippable frame': "zstd -c x.tar && printf '\\x50\\x2a\\x4d\\x18\\4\\0\\0\\0data'",
}
NO_ZSTD = 'zstd: unpack it, or use Python 3.14'


@pytest.fixture(scope='module')
def packed(trees):
    """The archive that is compressed in all ways, and what the tool reads in it."""
    (trees / 'full/folder/noise').write_bytes(random.Random(1).randbytes(400000))
    shell('tar -cf x.tar full/folder', trees)
    return trees / 'x.tar', read(trees / 'x.tar')


def compress(packed, folder, command):
    path, _ = packed
    os.link(path, folder / 'x.tar')
    shell(f'({command}) > packed', folder)
    return folder / 'packed'


@pytest.mark.parametrize('case', COMPRESSED)
def test_a_compressor(packed, tmp_path, case):
    path = compress(packed, tmp_path, COMPRESSED[case])
    assert read(path) == packed[1]


@pytest.mark.parametrize('case', ZSTD)
def test_zstd(packed, tmp_path, case):
    path = compress(packed, tmp_path, ZSTD[case])
    if python_reads_zstd():
        assert read(path) == packed[1]
    else:
        line = fails(*Parts(tmp_path).flags, f'--legacy_base={path}')
        assert line == f"'{path}' is {NO_ZSTD}"


# What takes more memory than the tool gives a compressor.
LARGE_WINDOWS = {
    'xz': ('xz --lzma2=dict=192MiB -c x.tar', 'xz that takes over 128 MiB: unpack it'),
    'zstd': ('cat x.tar | zstd --long=28', 'zstd with a window of over 128 MiB: unpack it'),
}


@pytest.mark.parametrize('case', LARGE_WINDOWS)
def test_a_large_window(packed, tmp_path, case):
    command, text = LARGE_WINDOWS[case]
    path = compress(packed, tmp_path, command)
    line = fails(*Parts(tmp_path).flags, f'--legacy_base={path}')
    if case == 'zstd' and not python_reads_zstd():
        text = NO_ZSTD
    assert line == f"'{path}' is {text}"


CUT = ['gzip', 'pigz', 'bzip2', 'pbzip2', 'xz', 'pixz', '7z xz', 'xz streams']


@pytest.mark.parametrize('case', CUT)
def test_a_cut_off_stream(packed, tmp_path, case):
    path = compress(packed, tmp_path, COMPRESSED[case])
    data = path.read_bytes()
    for size in (len(data) - 1, len(data) - 9, len(data) // 2):
        path.write_bytes(data[:size])
        with pytest.raises(ArchiveError, match=r' is (cut off|damaged) '):
            read(path)
