# SPDX-License-Identifier: Apache-2.0
"""build_tar: the bytes are those of GNU tar, for trees of any names, targets and sizes."""

import os
import random
import subprocess

import pytest

from support.layers import GNU_TAR, gnu_tar, make_layer
from support.needs import require
from support.running import command, environment
from support.tars import names


def write_tree(root, entries):
    """Writes files by their paths: bytes, None for a directory, or the text of a link."""
    for path, data in entries.items():
        full = os.path.join(os.fsencode(root), path)
        os.makedirs(os.path.dirname(full), 0o755, exist_ok=True)
        if data is None:
            os.makedirs(full, 0o755)
        elif isinstance(data, tuple):
            os.symlink(data[0], full)
        else:
            with open(full, 'wb') as file:
                file.write(data)
            os.chmod(full, 0o644)


TREES = {
    'order of bytes': dict.fromkeys((b'a', b'a-b', b'a.b', b'B', b'Z', b'z', b'_'), b'')
    | {b'a b/c': b'', b'ab/a': b'', b'ab.x': b'', 'ä'.encode(): b'', 'ß/ö'.encode(): b''},
    'odd names': {
        name: name
        for name in (
            b'-rf',
            b'--files-from',
            b'=',
            b'a=b:c',
            b' ',
            b'\\',
            b'new\nline',
            b'\x01',
            b'*',
        )
    },
    'not UTF-8': {b'\xff': b'1', b'\xc3': b'2', b'dir\xfe/\x80\x81': b'3', b'link': (b'\xff',)},
    'names about 100 bytes': {
        b'%d/' % size + b'n' * (size - len(b'tree/%d/' % size)): b'data' for size in range(96, 106)
    },
    'directories about 100 bytes': {b'd' * (size - len(b'tree/')): None for size in range(96, 106)},
    'names of 255 bytes': {b'n' * 255: b'x', b'd' * 255 + b'/' + b'e' * 255: b'y'},
    'deep': {b'/'.join([b'directory'] * 50) + b'/file': b'z'},
    'targets about 100 bytes': {
        b'link%d' % size: (b't' * size,) for size in (1, 98, 99, 100, 101, 102, 1000, 4000)
    },
    'long name and target': {b'n' * 200: (b't' * 300,)},
    'sizes': {b'%d' % size: b'x' * size for size in (0, 1, 511, 512, 513, 65535, 65536, 262145)},
    'nothing': {},
    'empty directories': {b'a': None, b'b/c': None},
}


@pytest.mark.parametrize('case', TREES)
def test_bytes_of_gnu_tar(tmp_path, tree, output, case):
    write_tree(tree, TREES[case])
    wanted = gnu_tar(tmp_path / 'gnu.tar', tmp_path, 'tree')
    assert make_layer(output, f'--file={tree}=tree') == wanted


@pytest.mark.parametrize('case', TREES)
def test_content_of_a_directory_goes_to_the_top(tmp_path, tree, output, case):
    write_tree(tree, TREES[case])
    names = sorted(os.listdir(tree), key=os.fsencode)
    wanted = gnu_tar(tmp_path / 'gnu.tar', tree, *names)
    for top in ('/', '.', './/'):
        assert make_layer(output, f'--file={tree}={top}') == wanted


def test_modes_and_hard_links(tmp_path, tree, output):
    write_tree(tree, {b'b/exe': b'1', b'c': b'2', b'link': (b'c',), b'n' * 150: b'3'})
    os.chmod(tree / 'b' / 'exe', 0o755)
    os.link(tree / 'c', tree / 'a')
    os.link(tree / 'c', tree / 'd')
    os.link(tree / ('n' * 150), tree / 'z')
    os.link(tree / 'link', tree / 'link2', follow_symlinks=False)
    wanted = gnu_tar(tmp_path / 'gnu.tar', tmp_path, 'tree')
    assert make_layer(output, f'--file={tree}=tree') == wanted


def test_one_file(tmp_path, tree, output):
    write_tree(tree, {b'file': b'data'})
    wanted = gnu_tar(tmp_path / 'gnu.tar', tree, 'file')
    for destination in ('file', '/file', './file', '/', '.', './'):
        assert make_layer(output, f'--file={tree}/file={destination}') == wanted


NUMBERS = [0, 1, 2097151, 2097152, 2147483647]


@pytest.mark.parametrize('number', NUMBERS)
def test_owners_over_the_range_of_octal(tmp_path, tree, output, number):
    require('tar')
    write_tree(tree, {b'file': b'data'})
    command = [*GNU_TAR, f'--owner={number}', f'--group={number}', '--file=-', 'file']
    done = subprocess.run(command, cwd=tree, capture_output=True, check=True)
    flags = [f'--file={tree}/file=file', f'--owner={number}.{number}']
    assert make_layer(output, *flags) == done.stdout


@pytest.mark.parametrize('seconds', [0, 1, 1700000000, 8589934591, 8589934592, 253402300799])
def test_times_over_the_range_of_octal(tree, output, seconds):
    require('tar')
    write_tree(tree, {b'file': b'data'})
    command = [*GNU_TAR, f'--mtime=@{seconds}', '--file=-', 'file']
    done = subprocess.run(command, cwd=tree, capture_output=True, check=True)
    flags = [f'--file={tree}/file=file', f'--mtime={seconds}']
    assert make_layer(output, *flags) == done.stdout


def test_file_that_is_sparse_on_disk(tmp_path, tree, output):
    with open(tree / 'sparse', 'wb') as file:
        file.truncate(3 << 20)
        file.seek(1 << 20)
        file.write(b'data')
    os.chmod(tree / 'sparse', 0o644)
    wanted = gnu_tar(tmp_path / 'gnu.tar', tmp_path, 'tree')
    assert make_layer(output, f'--file={tree}=tree') == wanted


@pytest.mark.slow
def test_file_of_9_gib(tree):
    """Over the octal range of a size; both archives go through pipes."""
    require('tar', 'cmp')
    with open(tree / 'large', 'wb') as file:
        file.truncate(9 << 30)
    os.chmod(tree / 'large', 0o644)
    commands = [
        command('build_tar', '--output=-', '--file=large=large'),
        [*GNU_TAR, '--file=-', 'large'],
    ]
    writers = [subprocess.Popen(one, cwd=tree, stdout=subprocess.PIPE) for one in commands]
    pipes = [writer.stdout.fileno() for writer in writers]
    subprocess.run(['cmp', *(f'/dev/fd/{pipe}' for pipe in pipes)], pass_fds=pipes, check=True)
    for writer in writers:
        writer.stdout.close()
        assert writer.wait() == 0


def test_random_trees(tmp_path, output):
    """Names of random bytes, in random directories."""
    chance = random.Random(23)
    for number in range(5):
        tree = tmp_path / f'{number}'
        tree.mkdir()
        directories = [b'']
        for _ in range(60):
            size = chance.choice([1, 2, 8, 60, 150])
            allowed = [byte for byte in range(1, 256) if byte != ord('/')]
            name = bytes(chance.choice(allowed) for _ in range(size))
            path = os.path.join(chance.choice(directories), name)
            full = os.path.join(os.fsencode(tree), path)
            if name in (b'.', b'..') or os.path.lexists(full):
                continue
            kind = chance.choice(['file', 'directory', 'link'])
            if kind == 'directory':
                os.mkdir(full, 0o755)
                directories.append(path)
            else:
                write_tree(tree, {path: b'd' * size if kind == 'file' else (b't' * size,)})
        wanted = gnu_tar(tmp_path / 'gnu.tar', tmp_path, f'{number}')
        assert make_layer(output, f'--file={tree}={number}') == wanted


def test_locale_umask_and_order_of_the_file_system_do_not_matter(tmp_path, tree, output):
    write_tree(tree, {**TREES['not UTF-8'], **TREES['order of bytes']})
    wanted = make_layer(output, f'--file={tree}=ä')
    other = tmp_path / 'other'
    write_tree(other, dict(reversed({**TREES['not UTF-8'], **TREES['order of bytes']}.items())))
    for path in other.rglob('*'):
        os.utime(path, (1, 1), follow_symlinks=False)
    flags = [f'--file={other}=ä']
    assert make_layer(output, *flags, umask=0o077) == wanted
    for name in ('C', 'POSIX', 'C.UTF-8'):
        variables = environment(
            LC_ALL=name, PYTHONCOERCECLOCALE='0', PYTHONUTF8='0', TZ='Asia/Tokyo'
        )
        assert make_layer(output, *flags, env=variables) == wanted


def test_other_programs_read_it(tmp_path, tree, output):
    write_tree(tree, {**TREES['names about 100 bytes'], **TREES['long name and target']})
    os.link(tree / '96' / os.listdir(tree / '96')[0], tree / 'z')
    make_layer(output, f'--file={tree}=tree')
    wanted = sorted(names(output))
    for reader in (['bsdtar'], ['busybox', 'tar']):
        require(reader[0])
        done = subprocess.run([*reader, '-tf', output], capture_output=True, text=True, check=True)
        assert sorted(line.rstrip('/') for line in done.stdout.splitlines()) == wanted
