# SPDX-License-Identifier: Apache-2.0
"""build_image writes byte for byte what the three programs give, one after the other."""

import gzip
import random

import pytest

from support.amounts import some_every_day
from support.composed import build_image, run, three_programs
from support.images import MODERN
from support.made_layouts import FORMS, one_image, two_platforms, write_form
from support.project import DATA, FIXTURES
from support.running import messages
from support.tars import make_tar, member, sha256, tar_of

CONFIG = ['--entrypoint=/srv/app,--serve', '--env=A=$PATH', '--ports=80', '--author=me']
ARCHIVE = ['--tag=example/app:1.0', '--tag=example/app:latest']
ZSTD = 'docker-29-zstd.tar'
PLAIN = [name for name in MODERN if name != ZSTD]
EVERY_DAY = ['docker-20.10.tar', 'docker-29-pulled.tar', 'podman-4.3.tar']


@pytest.fixture
def files(tmp_path):
    """The flags of a layer with files of every kind."""
    tree = tmp_path / 'tree'
    tree.mkdir()
    (tree / 'app').write_bytes(b'#!/bin/sh\n' * 20_000)
    (tree / 'app').chmod(0o755)
    (tree / 'link').symlink_to('app')
    tar = make_tar(tmp_path / 'a.tar', {'etc/t': b'1'})
    flags = [f'--file={tree}=srv', f'--tar={tar}', '--link=l:srv/app', '--empty_dir=tmp/d']
    return [*flags, '--empty_file=e', '--modes=e=600', '--owner=5.6', '--mtime=1']


@pytest.fixture
def below(tmp_path):
    """The paths of two layers, one of them compressed."""
    plain = make_tar(tmp_path / 'below.tar', {'opt/below': b'below' * 20_000})
    packed = tmp_path / 'below.tar.gz'
    packed.write_bytes(gzip.compress(tar_of(member('opt/packed', b'packed'))))
    return [plain, packed]


def both(tmp_path, base, layer=None, below=(), archive=ARCHIVE, partial=False, config=CONFIG):
    """Builds an image both ways; returns the bytes of the two archives, and the warnings."""
    directory = tmp_path / 'three'
    directory.mkdir()
    wanted = three_programs(directory, base, layer, below, config, archive, partial).read_bytes()
    output = tmp_path / 'image.tar'
    flags = [] if base is None else [f'--base={base}']
    flags += ['--partial'] if partial else []
    flags += [f'--layer={path}' for path in below]
    id_file = tmp_path / 'id'
    flags += [*(layer or []), *config, *archive, f'--id_file={id_file}']
    done = run(f'--output={output}', *flags)
    assert done.returncode == 0, done.stderr.decode()
    assert id_file.read_text() == sha256((directory / 'config.json').read_bytes()) + '\n'
    return output.read_bytes(), wanted, messages(done.stderr, 'build_image')[0]


@pytest.mark.parametrize('more', [[], ['--oci']])
@pytest.mark.parametrize('partial', [False, True])
@pytest.mark.parametrize('base', some_every_day(PLAIN, EVERY_DAY))
def test_files_on_a_base(tmp_path, files, below, base, partial, more):
    archive = [*ARCHIVE, *more]
    found, wanted, warnings = both(tmp_path, FIXTURES / base, files, below, archive, partial)
    assert found == wanted
    assert warnings == []


@pytest.mark.parametrize('more', [[], ['--oci']])
@pytest.mark.parametrize('partial', [False, True])
@pytest.mark.parametrize('base', some_every_day(MODERN, EVERY_DAY))
def test_another_configuration_of_a_base(tmp_path, base, partial, more):
    found, wanted, _ = both(tmp_path, FIXTURES / base, archive=[*ARCHIVE, *more], partial=partial)
    assert found == wanted


@pytest.mark.parametrize('more', [[], ['--oci'], ['--verify'], ['--oci', '--verify']])
def test_files_without_a_base(tmp_path, files, below, more):
    found, wanted, warnings = both(tmp_path, None, files, below, [*ARCHIVE, *more])
    assert found == wanted
    assert warnings == []


# Bytes of a file in a layer: much smaller than what is aligned, just smaller, larger, much larger.
SIZES = (1, 59_904, 59_905, 1 << 20)


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize(
    ('base', 'more'),
    [
        (None, []),
        (None, ['--oci', '--verify']),
        ('docker-20.10.tar', ['--verify']),
        ('docker-29-pulled.tar', ['--oci']),
    ],
)
def test_layer_without_others_below_it(tmp_path, base, more, size):
    (tmp_path / 'file').write_bytes(random.Random(size).randbytes(size))
    base = base and FIXTURES / base
    found, wanted, _ = both(tmp_path, base, [f'--file={tmp_path}/file=f'], (), [*ARCHIVE, *more])
    assert found == wanted


@pytest.mark.parametrize('size', SIZES)
def test_layer_of_an_archive_to_stdout(tmp_path, size):
    (tmp_path / 'file').write_bytes(bytes(size))
    _, wanted, _ = both(tmp_path, None, [f'--file={tmp_path}/file=f'], ())
    found = run('--output=-', f'--file={tmp_path}/file=f', *CONFIG, *ARCHIVE).stdout
    assert found == wanted


def test_small_layer_leaves_nothing_behind_the_end_of_the_archive(tmp_path):
    """Its place is after less padding than that of a large layer, so the archive may be shorter."""
    output = tmp_path / 'image.tar'
    for size in range(0, 10_240, 512):
        flags = ['--empty_dir=x', f'--author={size * "a"}']
        build_image(output, *flags)
        assert output.read_bytes() == run('--output=-', *flags).stdout


def test_configuration_that_is_larger_than_a_block(tmp_path):
    """Where the layer begins depends on the size of the configuration."""
    (tmp_path / 'file').write_bytes(bytes(1 << 20))
    labels = [f'--labels=l{number}={"v" * 10_000}' for number in range(60)]
    (tmp_path / 'labels').write_text('\n'.join(labels))
    config = [f'--flagfile={tmp_path}/labels']
    found, wanted, _ = both(tmp_path, None, [f'--file={tmp_path}/file=f'], (), config=config)
    assert found == wanted


def test_layers_without_files(tmp_path, below):
    found, wanted, _ = both(tmp_path, DATA / 'bases' / 'docker-20.10.tar.gz', None, below)
    assert found == wanted


def test_deleted_files_of_a_base(tmp_path):
    base = FIXTURES / 'docker-20.10.tar'
    found, wanted, _ = both(tmp_path, base, ['--delete=etc/base-release'])
    assert found == wanted


def test_without_anything(tmp_path):
    found, wanted, _ = both(tmp_path, None)
    assert found == wanted


def test_digest_file(tmp_path):
    for name in 'one', 'two':
        (tmp_path / name).mkdir()
    flags = ['--oci', *ARCHIVE, f'--digest_file={tmp_path}/one/digest']
    three_programs(tmp_path / 'one', layer=['--empty_dir=x'], archive=flags)
    flags = ['--oci', *ARCHIVE, f'--digest_file={tmp_path}/two/digest', '--empty_dir=x']
    build_image(tmp_path / 'two' / 'image.tar', *flags)
    one, two = ((tmp_path / name / 'digest').read_text() for name in ('one', 'two'))
    assert one == two


CHOSEN = FIXTURES / 'docker-29-multiplatform.tar'


@pytest.mark.parametrize('platform', ['linux/amd64', 'linux/arm64'])
@pytest.mark.parametrize('partial', [False, True])
def test_image_of_a_platform(tmp_path, platform, partial):
    choice = ['--base_tag=example/base:1.0', f'--platform={platform}']
    output = tmp_path / 'image.tar'
    partly = ['--partial'] if partial else []
    flags = [f'--base={CHOSEN}', *choice, *partly, '--oci', '--empty_dir=x', *ARCHIVE]
    done = run(f'--output={output}', *flags)
    (tmp_path / 'three').mkdir()
    wanted = three_programs(
        tmp_path / 'three',
        CHOSEN,
        [*choice, '--empty_dir=x'],
        (),
        choice,
        [*choice, '--oci', *ARCHIVE],
        partial,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert output.read_bytes() == wanted.read_bytes()


def test_platform_without_a_base_is_that_of_the_configuration(tmp_path):
    (tmp_path / 'three').mkdir()
    flags = ['--platform=linux/arm64/v8']
    wanted = three_programs(tmp_path / 'three', layer=['--empty_dir=x'], config=flags)
    found = build_image(tmp_path / 'image.tar', *flags, '--empty_dir=x')
    assert found == wanted.read_bytes()


def test_warning_about_the_base_comes_once(tmp_path):
    output = tmp_path / 'image.tar'
    done = run(f'--output={output}', f'--base={FIXTURES}/docker-20.10.tar', '--remove_env=NONE')
    (warning,) = messages(done.stderr, 'build_image')[0]
    assert warning == "--remove_env: the base has no 'NONE': leave it out"


@pytest.mark.parametrize('more', [[], ['--oci'], ['--verify']])
@pytest.mark.parametrize('partial', [False, True])
@pytest.mark.parametrize('form', some_every_day(FORMS, ['compressed']))
@pytest.mark.parametrize('compressed', [False, True])
def test_files_on_a_layout(tmp_path, form, compressed, partial, more):
    base = write_form(one_image(compressed), form, tmp_path)
    if partial and more == ['--verify']:
        more = ['--oci', '--verify']
    archive = [*ARCHIVE, *more]
    found, wanted, _ = both(tmp_path, base, ['--empty_file=below/x'], (), archive, partial)
    assert found == wanted


@pytest.mark.parametrize('form', FORMS)
def test_files_on_an_image_of_a_layout_for_two_platforms(tmp_path, form):
    base = write_form(two_platforms(), form, tmp_path)
    choice = ['--platform=linux/arm64']
    (tmp_path / 'three').mkdir()
    wanted = three_programs(
        tmp_path / 'three', base, [*choice, '--empty_dir=x'], (), choice, choice
    )
    output = tmp_path / 'image.tar'
    assert build_image(output, f'--base={base}', *choice, '--empty_dir=x') == wanted.read_bytes()
