# SPDX-License-Identifier: Apache-2.0
"""Hostile tarballs, packages and bases: the layer is a sound archive, or the error one line.

LAYER_MUTANTS=20000 in the environment sets how many are tried of each. The number of a mutant is
its seed; a failure names it, and the mutant's file stays in the directory of the test.
"""

import bz2
import gzip
import lzma
import os
import posixpath
import random
import resource
import tarfile

import pytest

import build_tar
from support.amounts import amount
from support.hostile import MEMORY, SECONDS, mutated
from support.layers import COMMON, base_of
from support.measuring import measure
from support.running import messages
from support.tars import DIR, HARD, LINK, member, pax, sparse, tar_of

MUTANTS = amount('LAYER_MUTANTS', every_day=100, all_tests=2000)
SOUND = tar_of(
    member('./', kind=DIR),
    member('./d/', kind=DIR, mode=0o700),
    member('d/' + 'l' * 120, b'x' * 700),
    member('hard', kind=HARD, link='d/' + 'l' * 120),
    member('symbolic', kind=LINK, link='t' * 120),
    member('null', kind=b'3', devmajor=1, devminor=3),
    pax(b'SCHILY.xattr.user.x=1', b'mtime=5.5', b'uid=70000'),
    member('attributes', b'y' * 10),
    sparse(5000, (1024, 512)),
    member('d/.wh.x'),
    member('fifo', kind=b'6'),
)
CONTROL = tar_of(member('./control', b'Package: x\n'))


def package_of(data, ending):
    package = b'!<arch>\n'
    for name, part in (('debian-binary', b'2.0\n'), (f'data.tar{ending}', data)):
        package += b'%-16s0           0     0     100644  %-10d`\n' % (name.encode(), len(part))
        package += part + b'\n' * (len(part) % 2)
    return package


def mutant(kind, number):
    """Returns a damaged tarball, package or layer of a base."""
    chance = random.Random(f'{kind} {number}')
    ending, pack = chance.choice(
        [('', bytes), ('', bytes), ('.gz', gzip.compress), ('.bz2', bz2.compress), ('.xz', packed)]
    )
    sound = COMMON if kind == 'base' else SOUND
    if kind == 'package':
        if chance.random() < 0.5:
            return mutated(package_of(pack(sound), ending), chance)
        return package_of(pack(mutated(sound, chance)), ending)
    if chance.random() < 0.7:
        return pack(mutated(sound, chance))
    return mutated(pack(sound), chance)


def packed(data):
    return lzma.compress(data, preset=0)


def check_layer(path):
    """Checks that a layer is an archive that clients unpack."""
    found = {}
    with tarfile.open(path) as tar:
        for info in tar:
            assert info.name not in found
            assert not {'', '.', '..'} & set(info.name.split('/'))
            assert (info.mtime, info.uname, info.gname) == (0, '', '')
            assert not info.islnk() or found[info.linkname].type != DIR
            parent = posixpath.dirname(info.name)
            assert not parent or found[parent].type in (DIR, LINK, HARD)
            assert not info.isreg() or len(tar.extractfile(info).read()) == info.size
            found[info.name] = info


@pytest.mark.parametrize('kind', ['tarball', 'package', 'base'])
def test_mutants(tmp_path, time_limit, kind):
    output = tmp_path / 'layer.tar'
    damaged = tmp_path / 'damaged'
    base = tmp_path / 'base.tar'
    file = tmp_path / 'file'
    file.write_bytes(b'1')
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    made = 0
    for number in range(MUTANTS):
        output.unlink(missing_ok=True)
        damaged.write_bytes(mutant(kind, number))
        if kind == 'base':
            base_of(base, damaged.read_bytes())
        files = sorted(os.listdir(tmp_path))
        time_limit(SECONDS)
        try:
            with build_tar.TarFile(output, base=base if kind == 'base' else None) as tar:
                if kind == 'tarball':
                    tar.add_tar(damaged)
                elif kind == 'package':
                    tar.add_deb(damaged)
                else:
                    tar.add_file(file, 'var/run/x')
                    tar.add_file(file, 'bin/x')
        except (OSError, ValueError, build_tar.TarFile.Error) as error:
            assert '\n' not in str(error)
            assert sorted(os.listdir(tmp_path)) == files, f'mutant {number}'
        except BaseException as error:
            raise AssertionError(f'mutant {number} of {kind}') from error
        else:
            made += 1
            if kind != 'base':  # which has times of its own
                check_layer(output)
        finally:
            time_limit(0)
    assert made > MUTANTS // 20
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 < MEMORY


BOMBS = {
    'a deep name many times': tar_of(
        *(member(f'{number}/' + 'd/' * 120 + 'f') for number in range(200))
    ),
    'links to links': tar_of(
        *(
            member(f'l{number}', kind=LINK, link=f'l{number + 1}/l{number + 1}')
            for number in range(60)
        ),
        member('l60', kind=DIR),
    ),
}


@pytest.mark.parametrize('flag', ['--tar={}', '--base={}'])
@pytest.mark.slow
def test_directories_made_for_deep_names_are_limited(tmp_path, flag):
    """Each small member needs 127 directories that have no member."""
    name = '/'.join(['d' * 28] * 127)
    deep = tar_of(*(member(f'{number}/{name}') for number in range(8000)))
    path = tmp_path / 'deep.tar.gz'
    path.write_bytes(gzip.compress(deep, 1))
    if 'base' in flag:
        path = base_of(tmp_path / 'base.tar', path.read_bytes())
    flags = [f'--output={tmp_path}/layer.tar', flag.format(path)]
    done, peak, _ = measure(*flags, program='build_tar', timeout=SECONDS * 3)
    assert done.returncode == 1
    ((line,), _) = messages(done.stderr, 'build_tar')[::-1]
    assert 'directories' in line
    assert peak < MEMORY


@pytest.mark.parametrize('case', BOMBS)
def test_bombs(tmp_path, time_limit, case):
    base = base_of(tmp_path / 'base.tar', BOMBS[case])
    time_limit(SECONDS)
    try:
        with build_tar.TarFile(tmp_path / 'layer.tar', base=base) as tar:
            tar.add_link('l0/x', 'y')
    except ValueError as error:
        assert 'leads' in str(error)
    time_limit(0)
