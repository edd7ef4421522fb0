# SPDX-License-Identifier: Apache-2.0
"""build_tar --tar and --deb: members of tarballs and packages."""

import bz2
import gzip
import io
import lzma
import re
import subprocess
import tarfile

import pytest

from support.layers import layer_fails, layer_warns, make_layer, shown
from support.needs import require
from support.tars import (
    DIR,
    FILE,
    HARD,
    LINK,
    content,
    member,
    members,
    names,
    pax,
    python_reads_zstd,
    sparse,
    tar_of,
    write_tar,
)

CAPABILITY = b'SCHILY.xattr.security.capability=\1\0\0\2\0\4\0\0' + bytes(12)
PACK = {'': bytes, '.gz': gzip.compress, '.bz2': bz2.compress, '.xz': lzma.compress}


def ar(*files):
    """Returns an ar archive of (name, content)."""
    data = b'!<arch>\n'
    for name, stored in files:
        data += b'%-16s0           0     0     100644  %-10d`\n' % (name.encode(), len(stored))
        data += stored + b'\n' * (len(stored) % 2)
    return data


def deb(data, ending=''):
    """Returns a Debian package with a data.tar."""
    control = gzip.compress(tar_of(member('./control', b'Package: x\n')), mtime=0)
    return ar(
        ('debian-binary', b'2.0\n'),
        ('_odd', b'x'),
        ('control.tar.gz', control),
        (f'data.tar{ending}', data),
    )


ALL_KINDS = (
    member('./', kind=DIR, mode=0o700, uid=1),
    member('./d/', kind=DIR, mode=0o1777, uid=1, gid=2, uname='user', gname='group', mtime=9),
    member('./d/setuid', b'x', mode=0o4755, uid=1000, gid=3000000, mtime=99),
    member('/d//absolute', b'y' * 1000, mode=0),
    member('./hard', kind=HARD, link='./d/setuid', mode=0o4755),
    member('hard2', kind=HARD, link='hard'),
    member('symbolic', kind=LINK, link='../x', mode=0o777),
    member('null', kind=b'3', devmajor=1, devminor=3, mode=0o666),
    member('disk', kind=b'4', devmajor=3000000, devminor=255),
    member('fifo', kind=b'6', mode=0o600),
    member('to null', kind=HARD, link='null'),
    member('contiguous', b'z', kind=b'7'),
    member('l' * 150, kind=LINK, link='t' * 150),
)


@pytest.mark.parametrize('ending', PACK)
def test_members_keep_what_they_are(tmp_path, output, ending):
    tar = tmp_path / f'a.tar{ending}'
    tar.write_bytes(PACK[ending](tar_of(*ALL_KINDS)))
    make_layer(output, f'--tar={tar}')
    assert shown(output) == {
        'd': (DIR, 0o1777, 1, 2, ''),
        'd/setuid': (FILE, 0o4755, 1000, 3000000, ''),
        'd/absolute': (FILE, 0, 0, 0, ''),
        'hard': (HARD, 0o4755, 0, 0, 'd/setuid'),
        'hard2': (HARD, 0o644, 0, 0, 'd/setuid'),
        'symbolic': (LINK, 0o777, 0, 0, '../x'),
        'null': (b'3', 0o666, 0, 0, ''),
        'disk': (b'4', 0o644, 0, 0, ''),
        'fifo': (b'6', 0o600, 0, 0, ''),
        'to null': (HARD, 0o644, 0, 0, 'null'),
        'contiguous': (FILE, 0o644, 0, 0, ''),
        'l' * 150: (LINK, 0o644, 0, 0, 't' * 150),
    }
    infos = {info.name: info for info, _ in members(output)}
    assert (infos['null'].devmajor, infos['null'].devminor) == (1, 3)
    assert (infos['disk'].devmajor, infos['disk'].devminor) == (3000000, 255)
    assert {(info.mtime, info.uname, info.gname) for info in infos.values()} == {(0, '', '')}
    assert content(output, 'd/absolute') == b'y' * 1000


def test_gnu_tar_gives_the_same_bytes_for_the_same_members(tmp_path, output):
    """What GNU tar packed comes out as it was."""
    require('tar')
    tree = tmp_path / 'tree'
    (tree / 'd').mkdir(parents=True, mode=0o755)
    (tree / 'd' / ('n' * 120)).write_bytes(b'x' * 600)
    (tree / 'd' / 'link').symlink_to('t' * 120)
    (tree / 'hard').hardlink_to(tree / 'd' / ('n' * 120))
    command = ['tar', '--format=gnu', '--sort=name', '--mtime=@0', '--numeric-owner']
    subprocess.run([*command, '-cf', tmp_path / 'a.tar', 'd', 'hard'], cwd=tree, check=True)
    wanted = (tmp_path / 'a.tar').read_bytes()
    assert make_layer(output, f'--tar={tmp_path}/a.tar') == wanted


def test_extended_attributes_are_in_a_pax_header_before_the_others(tmp_path, output):
    records = (b'SCHILY.xattr.user.x=\xff\0\n', CAPABILITY, b'mtime=5.5', b'comment=x')
    long_name = 'n' * 150
    tar = write_tar(tmp_path / 'a.tar', pax(*records), member(long_name, b'data'), member('b'))
    data = make_layer(output, f'--tar={tar}')
    assert data.startswith(b'@PaxHeader\0')
    assert data[512:].startswith(b'27 SCHILY.xattr.user.x=\xff\0\n\n')
    assert data[1024:].startswith(b'././@LongLink\0')
    infos = {info.name: info.pax_headers for info, _ in members(output)}
    assert sorted(infos[long_name]) == ['SCHILY.xattr.security.capability', 'SCHILY.xattr.user.x']
    assert infos['b'] == {}
    # They are kept in a second merge, too.
    again = output.with_name('again.tar')
    assert make_layer(again, f'--tar={output}') == data


def test_gnu_tar_and_bsdtar_read_the_capability(tmp_path, output):
    require('tar', 'bsdtar')
    tar = write_tar(tmp_path / 'a.tar', pax(CAPABILITY), member('n' * 150, b'data'))
    make_layer(output, f'--tar={tar}')
    done = subprocess.run(
        ['tar', '--xattrs', '--xattrs-include=*', '-tvvf', output], capture_output=True, check=True
    )
    assert b'security.capability' in done.stdout
    done = subprocess.run(
        ['bsdtar', '--format=mtree', '-cf', '-', f'@{output}'], capture_output=True, check=True
    )
    assert b'n' * 150 in done.stdout


def test_sparse_files_become_plain_ones(tmp_path, output):
    tar = write_tar(tmp_path / 'a.tar', sparse(5000, (1024, 512)))
    make_layer(output, f'--tar={tar}')
    ((info, data),) = members(output)
    assert (info.type, data) == (FILE, bytes(5000))


def test_copy_of_a_hard_link_keeps_the_capability(tmp_path, output):
    tar = write_tar(
        tmp_path / 'a.tar', pax(CAPABILITY), member('a', b'x'), member('b', kind=HARD, link='a')
    )
    flags = ['--empty_file=a', f'--tar={tar}']
    assert layer_warns(output, *flags) == ["'a' occurs twice: only the first is kept"]
    infos = {info.name: info for info, _ in members(output)}
    assert infos['b'].type == FILE
    assert list(infos['b'].pax_headers) == ['SCHILY.xattr.security.capability']


def test_hard_links_of_two_tarballs(tmp_path, output):
    """The second one's first member is in the layer already, with the same content."""
    tar = write_tar(tmp_path / 'a.tar', member('a', b'x'), member('b', kind=HARD, link='a'))
    other = write_tar(tmp_path / 'b.tar', member('a', b'x'), member('c', kind=HARD, link='a'))
    make_layer(output, f'--tar={tar}', f'--tar={other}')
    found = {name: (member[0], member[4]) for name, member in shown(output).items()}
    assert found == {'a': (FILE, ''), 'b': (HARD, 'a'), 'c': (FILE, '')}
    assert content(output, 'c') == b'x'


BAD_MEMBERS = {
    'above': (member('../x'), "'../x' has '..' or NUL or is too long: rename that member"),
    'a hard link to nothing': (
        member('h', kind=HARD, link='x'),
        "'h' is a hard link to no file before it: replace it",
    ),
    'a hard link to a directory': (
        member('d', kind=DIR) + member('h', kind=HARD, link='d'),
        "'h' is a hard link to no file before it: replace it",
    ),
    'an unknown type': (
        member('u', kind=b'Z'),
        "'u' is of the type b'Z', which no layer has: leave it out",
    ),
    'no name': (member('./'), "'' is of the type b'0', which no layer has: leave it out"),
}


@pytest.mark.parametrize('case', BAD_MEMBERS)
def test_bad_member_is_an_error(tmp_path, output, case):
    data, text = BAD_MEMBERS[case]
    tar = write_tar(tmp_path / 'a.tar', data)
    assert layer_fails(output, f'--tar={tar}') == f'{str(tar)!r}: {text}'


# Packages.


@pytest.mark.parametrize('ending', PACK)
def test_files_of_a_package(tmp_path, output, ending):
    package = tmp_path / 'x.deb'
    package.write_bytes(deb(PACK[ending](tar_of(*ALL_KINDS)), ending))
    tar = write_tar(tmp_path / 'a.tar', *ALL_KINDS)
    assert make_layer(output, f'--deb={package}') == make_layer(
        output.with_name('other.tar'), f'--tar={tar}'
    )


def test_package_with_zstd(tmp_path, output):
    """Python reads zstd from version 3.14 on, or with backports.zstd."""
    require('zstd')
    plain = tar_of(member('./x', b'1'))
    data = subprocess.run(['zstd', '-c'], input=plain, stdout=subprocess.PIPE, check=True).stdout
    package = tmp_path / 'x.deb'
    package.write_bytes(deb(data, '.zst'))
    if python_reads_zstd():
        make_layer(output, f'--deb={package}')
        assert names(output) == ['x']
    else:
        error = layer_fails(output, f'--deb={package}')
        advice = 'unpack it, install backports.zstd, or use Python 3.14'
        assert error == f'{str(package)!r} is zstd: {advice}'


DATA = tar_of(member('./x', b'1'))
BAD_PACKAGES = {
    'empty': (b'', 'is not a Debian package: give a .deb file'),
    'a tarball': (DATA, 'is not a Debian package: give a .deb file'),
    'no members': (ar(), 'has no data.tar: give a Debian package'),
    'no data': (ar(('debian-binary', b'2.0\n')), 'has no data.tar: give a Debian package'),
    'cut off in a header': (ar(('debian-binary', b'2.0\n'))[:30], 'is cut off or damaged'),
    'cut off in the data': (deb(DATA)[:-1], 'is cut off or damaged: replace it'),
    'a size that is no number': (deb(DATA).replace(b'4         `', b'-4        `'), 'is cut off'),
    'a bad end of a header': (deb(DATA).replace(b'`\n', b'\n`'), 'is cut off or damaged'),
    'data of no bytes': (deb(b''), 'is cut off or not a tar archive: replace it'),
    'data that are no tar': (deb(b'x' * 600), 'is damaged or not a tar archive: replace it'),
    'data that are cut off': (deb(DATA[:512]), "is cut off in or after member './x'"),
    'gzip that is cut off': (deb(gzip.compress(DATA)[:-9], '.gz'), 'is cut off'),
    'lzma': (deb(b'\x5d\0\0\x80\0' + bytes(600), '.lzma'), 'is damaged or not a tar archive'),
}


@pytest.mark.parametrize('case', BAD_PACKAGES)
def test_bad_package_is_an_error(tmp_path, output, case):
    data, text = BAD_PACKAGES[case]
    package = tmp_path / 'x.deb'
    package.write_bytes(data)
    assert layer_fails(output, f'--deb={package}').startswith(f'{str(package)!r} {text}')


# Packages of the mirror.

PACKAGES = ('busybox', 'libc-bin', 'sudo', 'iputils-ping', 'base-files', 'coreutils')
SMALL_PACKAGES = 100
SMALL_SIZE = 40_000  # bytes


def small_packages():
    """Returns names of small packages, from all of those that apt knows."""
    fields = ['apt-cache', 'dumpavail']
    text = subprocess.run(fields, capture_output=True, text=True, check=True).stdout
    found = []
    for paragraph in text.split('\n\n'):
        values = dict(re.findall(r'^(Package|Size): (\S+)$', paragraph, re.MULTILINE))
        if 'Size' in values and int(values['Size']) <= SMALL_SIZE:
            found.append(values['Package'])
    found = sorted(set(found))
    return found[:: len(found) // SMALL_PACKAGES][:SMALL_PACKAGES]


def read_layer(tar):
    """Returns the name and everything that counts of each member, in their order."""
    found = {}
    for info in tar:
        name = info.name.removeprefix('./')
        data = tar.extractfile(info).read() if info.isreg() else None
        target = info.linkname.removeprefix('./') if info.islnk() else info.linkname
        if name not in ('', '.'):
            found[name] = (info.type, info.mode, info.uid, info.gid, target, data)
    return list(found.items())


@pytest.mark.client
def test_packages_of_debian_are_what_dpkg_unpacks(tmp_path, output):
    require('apt-get', 'apt-cache', 'dpkg-deb')
    command = ['apt-get', 'download', *PACKAGES, *small_packages()]
    # A file that is no longer on the mirror does not keep apt from the others.
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    paths = list(tmp_path.glob('*.deb'))
    assert len(paths) >= SMALL_PACKAGES, done.stderr
    for path in paths:
        command = ['dpkg-deb', '--fsys-tarfile', path]
        done = subprocess.run(command, capture_output=True, check=True)
        make_layer(output, f'--deb={path}')
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
            wanted = read_layer(tar)
        with tarfile.open(output) as tar:
            assert read_layer(tar) == wanted, path.name
