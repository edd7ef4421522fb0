# SPDX-License-Identifier: Apache-2.0
"""Real XFS and Btrfs in loop mounts: the archive is the same as elsewhere, and shares blocks."""

import hashlib
import json
import os
import subprocess
import tarfile

import pytest

from support.images import configuration
from support.made_layouts import CONFIG, MANIFEST, PLAIN, Made, compact
from support.measuring import measure
from support.needs import missing, require
from support.running import build
from support.tars import sha256

pytestmark = pytest.mark.mount

MIB = 1 << 20
SLACK = MIB  # the limit for the growth of a disk whose blocks an archive shares


def shell(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, **options).stdout


@pytest.fixture(scope='module', params=['xfs', 'btrfs'])
def mount(request, tmp_path_factory):
    """An empty file system of 24 GiB, which takes disk space only for what is written."""
    kind = request.param
    require(f'mkfs.{kind}', 'mount')
    if os.geteuid() != 0:
        missing('only root may mount')
    directory = tmp_path_factory.mktemp(kind)
    image, point = directory / 'image', directory / 'mount'
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
def directory(mount):
    """An empty directory on the file system."""
    point = mount / 'directory'
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


class Image:
    """An image of one layer with a made-up ID, so that the layer need not be read.

    Attributes:
        flags: the flags for its parts.
        layer_name: the name of the layer in the archive.
        blob_name: the name of the layer with --oci.
    """

    def __init__(self, directory, layer, name='image'):
        layer_id = sha256(name.encode())
        content = json.dumps(configuration([f'sha256:{layer_id}'])).encode()
        config = directory / f'{name}.json'
        config.write_bytes(content)
        identifier = sha256(content)
        self.flags = [f'--id={identifier}', f'--config={config}', f'--layer={layer_id}={layer}']
        self.layer_name = f'{identifier}/{layer_id}.tar'
        self.blob_name = f'blobs/sha256/{layer_id}'


def make_image(directory, layer, name='image'):
    """Writes the archive of an image; returns the image and the path of the archive."""
    image, archive = Image(directory, layer, name), directory / f'{name}.tar'
    build(*image.flags, f'--output={archive}')
    return image, archive


def shared_extents(path):
    lines = shell('filefrag', '-v', path).decode().splitlines()
    return [line for line in lines if 'shared' in line]


def assert_holds(archive, name, path):
    """Checks that a member of an archive has the content of a file."""
    with tarfile.open(archive) as tar, path.open('rb') as original:
        content = tar.extractfile(name)
        while block := original.read(MIB):
            assert content.read(MIB) == block
        assert content.read() == b''


def test_file_system_does_not_change_the_bytes(directory, tmp_path):
    layer = large_file(tmp_path / 'layer.tar', 3 * MIB)
    with layer.open('ab') as f:
        f.write(b'more')
    near, far = directory / 'near.tar', tmp_path / 'far.tar'
    image = Image(tmp_path, layer)
    build(*image.flags, f'--output={far}')
    expected = far.read_bytes()
    build(*image.flags, f'--output={near}')
    assert near.read_bytes() == expected
    shell('cp', '--reflink=never', layer, directory / 'layer.tar')
    image = Image(tmp_path, directory / 'layer.tar')
    build(*image.flags, f'--output={near}')
    assert near.read_bytes() == expected
    assert shared_extents(near)
    done = build(*image.flags, '--output=-')
    assert done.stdout == expected
    if os.access('/dev/shm', os.W_OK):
        memory = f'/dev/shm/{os.urandom(8).hex()}.tar'
        try:
            build(*image.flags, f'--output={memory}')
            with open(memory, 'rb') as f:
                assert f.read() == expected
        finally:
            os.unlink(memory)


@pytest.mark.parametrize(
    'size', [0, 1, 4095, 4096, 65535, 65536, 65537, 69631, 69632, 69633, 1234567]
)
def test_layer_sizes_around_blocks_and_the_alignment_limit(directory, size):
    layer = directory / 'layer'
    layer.write_bytes(os.urandom(size))
    below, base = make_image(directory, layer, 'below')
    above = Image(directory, layer, 'above')
    output = directory / 'output.tar'
    build(*above.flags, f'--legacy_base={base}', f'--output={output}')
    with tarfile.open(output) as tar:
        for name in (below.layer_name, above.layer_name):
            assert tar.extractfile(name).read() == layer.read_bytes()
            if size >= 65536:
                assert tar.getmember(name).offset_data % 4096 == 0


def test_images_on_images_share_the_blocks_of_a_layer(directory):
    layer = large_file(directory / 'layer.tar', 1024 * MIB)
    before = used(directory)
    lowest, archive = make_image(directory, layer, 'lowest')
    for name in ('first', 'second', 'third'):
        image, base = Image(directory, directory / 'lowest.json', name), archive
        archive = directory / f'{name}.tar'
        build(*image.flags, f'--legacy_base={base}', f'--output={archive}')
    assert used(directory) - before < SLACK
    assert shared_extents(archive)
    assert_holds(archive, lowest.layer_name, layer)


def test_oci_layout_shares_the_blocks_of_its_layers_and_its_base(directory):
    lower = large_file(directory / 'lower.tar', 64 * MIB)
    upper = large_file(directory / 'upper.tar', 65 * MIB)
    before = used(directory)
    below, base = make_image(directory, lower, 'below')
    layer_id = sha256(b'above')
    diff_ids = [f'sha256:{sha256(b"below")}', f'sha256:{layer_id}']
    content = json.dumps(configuration(diff_ids)).encode()
    config = directory / 'above.json'
    config.write_bytes(content)
    parts = [f'--id={sha256(content)}', f'--config={config}', f'--layer={layer_id}={upper}']
    output = directory / 'output.tar'
    flags = [f'--base={base}', f'--legacy_base={base}', '--oci', f'--output={output}']
    build(*parts, *flags)
    assert used(directory) - before < SLACK
    assert_holds(output, below.blob_name, lower)
    assert_holds(output, f'blobs/sha256/{layer_id}', upper)


def test_image_of_files_needs_the_room_of_its_layer_once(directory, tmp_path):
    """The layer is in a file without a name while the image gets its blocks."""
    large = large_file(tmp_path / 'large', 512 * MIB)
    stat = os.statvfs(directory)
    filling = stat.f_bavail * stat.f_frsize - 768 * MIB
    shell('fallocate', f'--length={filling}', directory / 'filling')
    output = directory / 'image.tar'
    build(f'--output={output}', f'--file={large}=large', program='build_image')
    with tarfile.open(output) as tar:
        (name,) = [name for name in tar.getnames() if name.endswith('.tar')]
        layer = tar.extractfile(name)
        with tarfile.open(fileobj=layer) as inner:
            assert inner.getmember('large').size == 512 * MIB
    assert used(directory) > filling


def test_joined_archive_shares_the_blocks_of_its_parts(directory):
    layer = large_file(directory / 'layer.tar', 64 * MIB)
    other_layer = large_file(directory / 'other_layer.tar', 65 * MIB)
    one, archive = make_image(directory, layer, 'one')
    other, other_archive = make_image(directory, other_layer, 'other')
    output = directory / 'output.tar'
    before = used(directory)
    archives = [f'--layer={archive}', f'--layer={other_archive}']
    build(f'--output={output}', *archives, program='join_layers')
    assert used(directory) - before < SLACK
    assert_holds(output, one.layer_name, layer)
    assert_holds(output, other.layer_name, other_layer)


@pytest.mark.parametrize('oci', [False, True])
def test_archive_shares_the_blocks_of_a_layout_directory(directory, oci):
    made = Made()
    diff_id = f'sha256:{sha256(b"below")}'
    layer = {'mediaType': PLAIN, 'digest': diff_id, 'size': 64 * MIB}
    below = made.add(compact(configuration([diff_id])), CONFIG)
    value = {'schemaVersion': 2, 'config': below, 'layers': [layer]}
    made.roots.append(made.add(compact(value), MANIFEST))
    base = made.write_directory(directory / 'base')
    name = f'blobs/sha256/{sha256(b"below")}'
    blob = large_file(base / name, 64 * MIB)
    config = directory / 'above.json'
    config.write_bytes(compact(configuration([diff_id])))
    before = used(directory)
    output = directory / 'output.tar'
    flags = [f'--id={sha256(config.read_bytes())}', f'--config={config}', f'--output={output}']
    build(*flags, f'--base={base}', f'--legacy_base={base}', *(['--oci'] if oci else []))
    assert_holds(output, name, blob)
    joined = directory / 'joined.tar'
    build(f'--layer={base}', f'--output={joined}', program='join_layers')
    assert_holds(joined, name, blob)
    assert used(directory) - before < SLACK


def test_unaligned_base_is_copied(directory):
    data = os.urandom(5 * MIB)
    base = directory / 'base.tar'
    (directory / 'member').write_bytes(data)
    with tarfile.open(base, 'w') as tar:
        tar.add(directory / 'member', 'member')
    image, output = Image(directory, directory / 'member'), directory / 'output.tar'
    before = used(directory)
    build(*image.flags, f'--legacy_base={base}', f'--output={output}')
    assert used(directory) - before > 5 * MIB
    with tarfile.open(output) as tar:
        assert tar.extractfile('member').read() == data
        assert tar.extractfile(image.layer_name).read() == data


@pytest.mark.parametrize('mount', ['xfs'], indirect=True)
def test_layer_of_9_gib_is_read_by_every_program(directory):
    """It is a hole except for its two ends."""
    require('bsdtar', 'busybox', 'tar')
    layer, size = directory / 'layer.tar', 9 << 30
    with layer.open('wb') as f:
        f.write(b'begin')
        f.seek(size - 3)
        f.write(b'end')
    image, output = make_image(directory, layer)
    for reader in ('tar', 'bsdtar', 'busybox tar'):
        listed = shell(*reader.split(), '-tvf', output, env={**os.environ, 'LC_ALL': 'C'}).decode()
        assert f' {size} ' in listed
        assert listed.splitlines()[-1].endswith(' manifest.json')
        command = f'{reader} -xOf {output} {image.layer_name} | tail -c 5'
        assert shell('sh', '-c', command) == b'\0\0end'
    with tarfile.open(output) as tar:
        content = tar.extractfile(image.layer_name)
        assert content.read(6) == b'begin\0'
        content.seek(size - 4)
        assert content.read() == b'\0end'
        assert tar.getnames()[-1] == 'manifest.json'


@pytest.mark.parametrize('mount', ['xfs'], indirect=True)
def test_sparse_member_of_9_gib_is_merged(directory):
    require('tar')
    size = 9 << 30
    with (directory / 'sparse').open('wb') as f:
        f.seek(size - 3)
        f.write(b'end')
    base, output = directory / 'base.tar', directory / 'image.tar'
    shell('tar', '-S', '-cf', base, '-C', directory, 'sparse')
    assert base.stat().st_size < MIB
    (directory / 'layer').touch()
    image = Image(directory, directory / 'layer')
    build(*image.flags, f'--legacy_base={base}', f'--output={output}')
    with tarfile.open(output) as tar:
        content = tar.extractfile('sparse')
        content.seek(size - 4)
        assert content.read() == b'\0end'


def test_memory_does_not_grow_with_the_size_of_the_input(directory, tmp_path):
    """A large layer is cloned, copied, merged and joined; a base has many members."""

    def assert_flat(*flags, program='create_image', output=tmp_path / 'output.tar'):
        done, peak, _ = measure(*flags, f'--output={output}', program=program)
        assert done.returncode == 0, done.stderr.decode()
        assert done.stderr == b''
        assert peak < 64 * MIB

    layer = large_file(directory / 'layer.tar', 512 * MIB)
    image, archive = Image(directory, layer), directory / 'image.tar'
    assert_flat(*image.flags, output=archive)
    assert_flat(*image.flags)
    assert_flat(*image.flags, '--oci')
    (directory / 'empty').touch()
    above, other = make_image(directory, directory / 'empty', 'above')
    assert_flat(*above.flags, f'--legacy_base={archive}')
    joined = [f'--layer={archive}', f'--layer={other}', f'--layer={tmp_path / "output.tar"}']
    assert_flat(*joined, program='join_layers', output=tmp_path / 'joined.tar')
    shell('gzip', '-1', '-k', archive)
    assert_flat(*above.flags, f'--legacy_base={archive}.gz')
    many = directory / 'many.tar'
    with tarfile.open(many, 'w') as tar:
        for number in range(10000):
            tar.addfile(tarfile.TarInfo(f'{number % 100}/{number}'))
    assert_flat(*above.flags, f'--legacy_base={many}')
