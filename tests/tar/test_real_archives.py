# SPDX-License-Identifier: Apache-2.0
"""Archives written by real programs: read as GNU tar lists and extracts them.

Every member is compared, byte by byte, both as the reader returns it and after a merge.
"""

import os
import pathlib
import shlex
import sys
import tarfile

import pytest

from image_archive.errors import ArchiveError
from image_archive.tar import archive as archives
from support import gnu_tar
from support.amounts import some_every_day
from support.images import BASES, Parts
from support.needs import require
from support.project import DATA
from support.real_archives import check, read, shell
from support.running import warns
from support.tars import BLOCK, make_tar

MIB = 1 << 20
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
    'contents of links': ('full', 'tar -cf x.tar -h -C full directory/513 "hard link" "soft link"'),
    'appended': (
        'full',
        'tar -cf x.tar -C full directory && tar -rf x.tar -C full sparse && '
        'tar -rf x.tar -C full empty\\ directory one\\ hole',
    ),
    'updated': (
        'full',
        'tar -cf x.tar -C full directory && tar -uf x.tar -C full directory sparse',
    ),
    'concatenated': (
        'full',
        f'tar -cf x.tar -C full directory && tar -cf y.tar {SPARSE} -C full sparse && '
        'tar -Af x.tar y.tar',
    ),
    'with a member deleted': (
        'full',
        'tar -cf x.tar -C full . && tar -f x.tar --delete ./directory/70000',
    ),
    'by pipe': ('full', 'tar -c -C full . | cat > x.tar'),
}


# One of each dialect and kind of sparse member, and other ways to end an archive.
EVERY_DAY = ['v7', 'ustar', 'posix', 'oldgnu sparse', 'gnu sparse', 'posix sparse 0.0']
EVERY_DAY += ['posix sparse 0.1', 'posix sparse 1.0', 'gnu label', 'gnu incremental', 'xattrs']
EVERY_DAY += ['posix large owner', 'a global header', 'one block a record', 'concatenated']


@pytest.mark.parametrize('case', some_every_day(GNU_TAR, EVERY_DAY))
def test_archives_of_gnu_tar(trees, tmp_path, case):
    tree, command = GNU_TAR[case]
    (tmp_path / tree).symlink_to(trees / tree)
    if case == 'xattrs':
        give_attributes(trees / tree / 'directory/513')
    shell(command, tmp_path)
    check(tmp_path / 'x.tar', tmp_path)


def give_attributes(path):
    try:
        os.setxattr(path, 'user.text', b'value\n\0=')
        os.setxattr(path, 'user.large', b'x' * 3000)
    except OSError:
        pass  # the file system has no extended attributes, so the archive has none


LARGE_SPARSE = {
    'oldgnu': '--format=oldgnu',
    'gnu': '--format=gnu',
    'posix 0.0': '--format=posix --sparse-version=0.0',
    'posix 0.1': '--format=posix --sparse-version=0.1',
    'posix 1.0': '--format=posix --sparse-version=1.0',
}


@pytest.mark.parametrize('case', LARGE_SPARSE)
def test_sparse_file_of_over_8_gib(tmp_path, case):
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
def test_archive_with_less_than_two_zero_blocks_at_its_end(trees, tmp_path, kept):
    """Docker and old programs leave out one or both of them."""
    path = tmp_path / 'x.tar'
    shell(f'tar -cf {path} full', trees)
    data = path.read_bytes()
    end = len(data.rstrip(b'\0')) + BLOCK
    end -= end % BLOCK
    path.write_bytes(data[: end + kept * BLOCK])
    listed, _ = read(path)
    assert listed == gnu_tar.listing(path, '--warning=no-alone-zero-block')


@pytest.mark.parametrize('garbage', [b'garbage', b'\x1f\x8b' * 512, b'an archive'])
def test_data_after_the_end_give_a_warning(tmp_path, garbage):
    """GNU tar ignores them silently."""
    path = make_tar(tmp_path / 'x.tar', {'a': b'1'})
    listed = gnu_tar.listing(path)
    data = path.read_bytes()
    if garbage == b'an archive':
        garbage = data
    path.write_bytes(data + garbage)
    parts = Parts(tmp_path)
    (warning,) = warns(*parts.flags, f'--legacy_base={path}')
    assert warning == f"'{path}': data after the end of the archive are ignored"
    assert read(path)[0] == listed


DAMAGE = {
    'cut after a header': lambda data, place: data[: place + BLOCK],
    'cut in data': lambda data, place: data[: place + BLOCK + 1000],
    'cut between blocks of data': lambda data, place: data[: place + 4 * BLOCK],
    'another name': lambda data, place: data[:place] + b'?' + data[place + 1 :],
    'another size': lambda data, place: data[: place + 130] + b'7' + data[place + 131 :],
    'another checksum': lambda data, place: data[: place + 150] + b'00' + data[place + 152 :],
    'no header': lambda data, place: data[:place] + b'text'.ljust(BLOCK) + data[place + BLOCK :],
}


@pytest.mark.parametrize('dialect', ['v7', 'oldgnu', 'gnu', 'ustar', 'posix'])
@pytest.mark.parametrize('damage', DAMAGE)
def test_damage_that_gnu_tar_finds_is_an_error(trees, tmp_path, dialect, damage):
    path = tmp_path / 'x.tar'
    shell(
        f'tar -cf {path} --format={dialect} -C plain directory/1 directory/70000 directory/10240',
        trees,
    )
    data = path.read_bytes()
    place = data.index(b'directory/70000\0' + bytes(80))
    path.write_bytes(DAMAGE[damage](data, place))
    assert gnu_tar.listing(path) is None
    with pytest.raises(
        ArchiveError, match=r"' is (cut off|damaged) in or after member 'directory/"
    ):
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
def test_archives_of_other_programs(trees, tmp_path, case):
    for tree in ('plain', 'full'):
        (tmp_path / tree).symlink_to(trees / tree)
    shell(OTHERS_ARCHIVES[case], tmp_path)
    check(tmp_path / 'x.tar', tmp_path)


@pytest.mark.parametrize(
    'dialect', [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT], ids=str
)
def test_archives_of_python(trees, tmp_path, dialect):
    tree = 'plain' if dialect == tarfile.USTAR_FORMAT else 'full'
    with tarfile.open(tmp_path / 'x.tar', 'w', format=dialect) as tar:
        tar.add(trees / tree, '.')
    check(tmp_path / 'x.tar', tmp_path)


@pytest.mark.parametrize('size', [60000, MIB - 100])
def test_large_extended_header_is_read(tmp_path, size):
    info = tarfile.TarInfo('a')
    info.pax_headers = {'SCHILY.xattr.user.large': 'x' * size, 'path': 'b'}
    with tarfile.open(tmp_path / 'x.tar', 'w', format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(info)
    check(tmp_path / 'x.tar', tmp_path)
    assert read(tmp_path / 'x.tar')[0][0].name == 'b'


@pytest.mark.parametrize('base', BASES)
def test_archives_of_container_programs(tmp_path, base):
    """Of Docker, Podman, Skopeo and others; those that write tar archives are Go programs."""
    path = DATA / 'bases' / base
    # GNU tar calls these.
    compressors = {'.gz': 'gzip', '.bz2': 'bzip2', '.xz': 'xz'}
    if path.suffix in compressors:
        require(compressors[path.suffix])
    check(path, tmp_path)


# Archives of the system on which the tests run.

ARCHIVE_NAMES = ('.tar', '.tar.gz', '.tgz', '.tar.bz2', '.tar.xz')
LARGEST = 64 * MIB


def archives_in(directory):
    """Yields the paths of the archives below a directory, those of other users' files left out."""
    for parent, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(parent, name)
            if name.endswith(ARCHIVE_NAMES) and os.access(path, os.R_OK):
                if os.path.isfile(path) and os.path.getsize(path) < LARGEST:
                    yield path


def numeric_listing(path):
    with archives.open_archive(path, keep_all=False) as opened:
        return [gnu_tar.as_listed(member, numeric=True) for member in opened.members]


@pytest.mark.slow
@pytest.mark.parametrize('directory', [str(DATA), '/usr', sys.base_prefix])
def test_archives_of_the_system_are_read_as_gnu_tar_lists_them(directory):
    for path in archives_in(directory):
        # By numbers, as GNU tar takes empty PAX records for names of owners; POSIX does not.
        expected = gnu_tar.listing(path, '--numeric-owner')
        if expected is not None:
            assert numeric_listing(path) == expected, path


@pytest.mark.slow
@pytest.mark.parametrize('dialect', ['gnu', 'posix', 'ustar'])
def test_archive_of_a_real_tree(tmp_path, dialect):
    path = tmp_path / 'x.tar'
    tree = pathlib.Path(os.__file__).parent  # thousands of files
    shell(f'tar -cf {shlex.quote(str(path))} --format={dialect} -C {shlex.quote(str(tree))} .', '/')
    assert read(path)[0] == gnu_tar.listing(path)
