# SPDX-License-Identifier: Apache-2.0
"""Real XFS and Btrfs in loop mounts: the same bytes as elsewhere, and shared blocks."""

import hashlib
import json
import os
import subprocess
import sys
import tarfile

import pytest

from helpers import TOOL, build, missing, require

MIB = 1 << 20
SLACK = MIB  # what an archive may add to a disk that shares its blocks


def shell(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, **options).stdout


@pytest.fixture(scope='module', params=['xfs', 'btrfs'])
def mount(request, tmp_path_factory):
    """An empty file system of 24 GiB, which takes disk only for what is written."""
    kind = request.param
    require(f'mkfs.{kind}', 'mount')
    if os.geteuid() != 0:
        missing('only root may mount')
    folder = tmp_path_factory.mktemp(kind)
    image, point = folder / 'image', folder / 'mount'
    with image.open('wb') as f:
        f.truncate(24 << 30)
    point.mkdir()
    shell(f'mkfs.{kind}', '-q', image)
    try:
        shell('mount', '-o', 'loop', image, point)
    except subprocess.CalledProcessError as error:
        missing(f'{kind} cannot be mounted: {error.stderr.decode()}')
    yield point
    shell('umount', point)
    image.unlink()


@pytest.fixture
def folder(mount):
    """An empty folder there."""
    point = mount / 'folder'
    point.mkdir()
    yield point
    shell('rm', '-rf', point)


def used(path):
    shell('sync', '-f', path)
    stat = os.statvfs(path)
    return (stat.f_blocks - stat.f_bfree) * stat.f_frsize


def large_file(path, size):
    """Writes a file whose blocks all differ."""
    with path.open('wb') as f:
        for number in range(size // MIB):
            f.write(hashlib.sha256(b'%d' % number).digest() * (MIB // 32))
    return path


def image_of(folder, layer, identifier='l'):
    """Returns the flags for an image of one layer, which is not read for them."""
    config = folder / 'config.json'
    config.write_text('{}')
    return ['--id=i', f'--config={config}', f'--layer={identifier}={layer}']


def shared_extents(path):
    lines = shell('filefrag', '-v', path).decode().splitlines()
    return [line for line in lines if 'shared' in line]


def test_the_same_bytes_everywhere(folder, tmp_path):
    layer = large_file(tmp_path / 'layer.tar', 3 * MIB)
    with layer.open('ab') as f:
        f.write(b'more')
    near, far = folder / 'near.tar', tmp_path / 'far.tar'
    build(*image_of(tmp_path, layer), f'--output={far}')
    expected = far.read_bytes()
    build(*image_of(tmp_path, layer), f'--output={near}')
    assert near.read_bytes() == expected
    shell('cp', '--reflink=never', layer, folder / 'layer.tar')
    build(*image_of(tmp_path, folder / 'layer.tar'), f'--output={near}')
    assert near.read_bytes() == expected
    assert shared_extents(near)
    done = build(*image_of(tmp_path, folder / 'layer.tar'), '--output=-')
    assert done.stdout == expected
    if os.access('/dev/shm', os.W_OK):
        memory = f'/dev/shm/{os.urandom(8).hex()}.tar'
        try:
            build(*image_of(tmp_path, folder / 'layer.tar'), f'--output={memory}')
            with open(memory, 'rb') as f:
                assert f.read() == expected
        finally:
            os.unlink(memory)


@pytest.mark.parametrize(
    'size', [0, 1, 4095, 4096, 65535, 65536, 65537, 69631, 69632, 69633, 1234567]
)
def test_sizes_at_the_edges(folder, size):
    (folder / 'layer').write_bytes(os.urandom(size))
    build(*image_of(folder, folder / 'layer'), f'--output={folder}/one.tar')
    build(
        *image_of(folder, folder / 'layer', 'm'),
        f'--legacy_base={folder}/one.tar',
        f'--output={folder}/two.tar',
        '--id=j',
    )
    with tarfile.open(folder / 'two.tar') as tar:
        for name in ('i/l.tar', 'j/m.tar'):
            assert tar.extractfile(name).read() == (folder / 'layer').read_bytes()
            if size >= 65536:
                assert tar.getmember(name).offset_data % 4096 == 0


def test_three_generations_share_a_gigabyte(folder):
    layer = large_file(folder / 'layer.tar', 1024 * MIB)
    before, base = used(folder), []
    for generation in range(4):
        output = folder / f'{generation}.tar'
        build(
            *image_of(folder, layer if not base else folder / 'config.json', f'l{generation}'),
            *base,
            f'--id=i{generation}',
            f'--output={output}',
        )
        base = [f'--legacy_base={output}']
    assert used(folder) - before < SLACK
    assert shared_extents(output)
    with tarfile.open(output) as tar, layer.open('rb') as original:
        content = tar.extractfile('i0/l0.tar')
        while block := original.read(MIB):
            assert content.read(MIB) == block
        assert content.read() == b''


def test_an_unaligned_base_is_copied(folder):
    data = os.urandom(5 * MIB)
    base = folder / 'base.tar'
    (folder / 'member').write_bytes(data)
    with tarfile.open(base, 'w') as tar:
        tar.add(folder / 'member', 'member')
    before = used(folder)
    build(*image_of(folder, folder / 'member'), f'--legacy_base={base}', f'--output={folder}/o.tar')
    assert used(folder) - before > 5 * MIB
    with tarfile.open(folder / 'o.tar') as tar:
        assert tar.extractfile('member').read() == data
        assert tar.extractfile('i/l.tar').read() == data


@pytest.mark.parametrize('mount', ['xfs'], indirect=True)
def test_nine_gigabytes(folder):
    """In a layer and in a base's sparse member, for every reader; all but the ends is a hole."""
    require('bsdtar', 'busybox', 'tar')
    layer, size = folder / 'layer.tar', 9 << 30
    with layer.open('wb') as f:
        f.write(b'begin')
        f.seek(size - 3)
        f.write(b'end')
    output = folder / 'image.tar'
    build(*image_of(folder, layer), f'--output={output}')
    for reader in ('tar', 'bsdtar', 'busybox tar'):
        listed = shell(*reader.split(), '-tvf', output, env={**os.environ, 'LC_ALL': 'C'}).decode()
        assert f' {size} ' in listed
        assert listed.splitlines()[-1].endswith(' manifest.json')
        command = f'{reader} -xOf {output} i/l.tar | tail -c 5'
        assert shell('sh', '-c', command) == b'\0\0end'
    with tarfile.open(output) as tar:
        content = tar.extractfile('i/l.tar')
        assert content.read(6) == b'begin\0'
        content.seek(size - 4)
        assert content.read() == b'\0end'
        assert tar.getnames()[-1] == 'manifest.json'


@pytest.mark.parametrize('mount', ['xfs'], indirect=True)
def test_a_sparse_member_of_nine_gigabytes(folder):
    require('tar')
    size = 9 << 30
    with (folder / 'sparse').open('wb') as f:
        f.seek(size - 3)
        f.write(b'end')
    base, output = folder / 'base.tar', folder / 'image.tar'
    shell('tar', '-S', '-cf', base, '-C', folder, 'sparse')
    assert base.stat().st_size < MIB
    config = folder / 'config.json'
    build(*image_of(folder, config), f'--legacy_base={base}', f'--output={output}')
    with tarfile.open(output) as tar:
        content = tar.extractfile('sparse')
        content.seek(size - 4)
        assert content.read() == b'\0end'


PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak(*flags):
    """Returns the tool's peak memory in bytes."""
    out = shell(sys.executable, '-c', PEAK, sys.executable, TOOL, *flags)
    return int(out) << 10


def test_memory_stays_flat(folder, tmp_path):
    """For a large layer, cloned and copied, checked and merged, and for many members."""
    layer = large_file(folder / 'layer.tar', 512 * MIB)
    flags = image_of(folder, layer)
    assert peak(*flags, f'--output={folder}/image.tar') < 64 * MIB
    assert peak(*flags, f'--output={tmp_path}/image.tar') < 64 * MIB
    base = f'--legacy_base={folder}/image.tar'
    merge = [*image_of(folder, folder / 'config.json', 'other'), '--id=j', base]
    assert peak(*merge, f'--output={tmp_path}/image.tar') < 64 * MIB
    shell('gzip', '-1', '-k', folder / 'image.tar')
    assert peak(*merge[:-1], f'{base}.gz', f'--output={tmp_path}/image.tar') < 64 * MIB
    many = folder / 'many.tar'
    with tarfile.open(many, 'w') as tar:
        for number in range(10000):
            tar.addfile(tarfile.TarInfo(f'{number % 100}/{number}'))
    assert peak(*merge[:-1], f'--legacy_base={many}', f'--output={tmp_path}/image.tar') < 64 * MIB


def test_two_oci_layouts_share_their_layers(folder):
    """The base's blobs, too, which the second archive takes from the first."""
    layers = [large_file(folder / 'one.tar', 64 * MIB), folder / 'two.tar']
    layers[1].write_bytes(layers[0].read_bytes()[::-1])
    digests = [hashlib.sha256(layer.read_bytes()).hexdigest() for layer in layers]
    before = used(folder)
    base = []
    for count in (1, 2):
        diff_ids = [f'sha256:{digest}' for digest in digests[:count]]
        config = {'architecture': 'amd64', 'os': 'linux', 'rootfs': {'diff_ids': diff_ids}}
        path = folder / f'{count}.json'
        path.write_text(json.dumps(config))
        identifier = hashlib.sha256(path.read_bytes()).hexdigest()
        output = folder / f'{count}.tar'
        flags = [f'--output={output}', f'--id={identifier}', f'--config={path}', *base]
        flags.append(f'--layer={digests[count - 1]}={layers[count - 1]}')
        build(*flags, '--oci', warnings=True)
        base = [f'--base={output}', f'--legacy_base={output}']
    assert used(folder) - before < SLACK
    assert len(shared_extents(output)) >= 2
    with tarfile.open(output) as tar:
        for layer, digest in zip(layers, digests, strict=True):
            stored = tar.extractfile(f'blobs/sha256/{digest}').read()
            assert stored == layer.read_bytes()
