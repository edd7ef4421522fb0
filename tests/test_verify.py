# SPDX-License-Identifier: Apache-2.0
"""--verify: every problem on a line of its own, and nothing said of good parts."""

import bz2
import gzip
import json
import lzma
import os
import tarfile

import pytest

import create_image
from conftest import (
    BASES,
    DATA,
    Parts,
    base_diff_ids,
    build,
    derived,
    make_tar,
    manifest,
    run,
    sha256,
)


def problems(*flags, **options):
    """Runs the tool with --verify; returns its lines without the tool's name."""
    done = run(*flags, '--verify', **options)
    lines = done.stderr.decode().splitlines()
    assert done.returncode == (1 if lines else 0)
    assert all(line.startswith('create_image: ') for line in lines)
    return [line.removeprefix('create_image: ') for line in lines]


def config_with(parts, diff_ids):
    """Gives the parts a configuration with other diff IDs."""
    parts.config.write_text(json.dumps({'rootfs': {'diff_ids': diff_ids}}))
    parts.id = sha256(parts.config.read_bytes())
    return parts.flags


def test_good_parts_make_the_same_archive(tmp_path):
    image = Parts(tmp_path, [{'a': b'1'}, {'b': b'2'}])
    build(*image.flags, '--tag=a:1')
    expected = image.output.read_bytes()
    image.output.unlink()
    assert problems(*image.flags, '--tag=a:1') == []
    assert image.output.read_bytes() == expected


@pytest.mark.parametrize('base', [name for name in BASES if name != 'docker-1.9.tar'])
def test_good_image_on_each_base(tmp_path, base):
    _, flags = derived(tmp_path, base)
    assert problems(*flags) == []


@pytest.mark.parametrize('pack', [gzip.compress, bz2.compress, lzma.compress])
def test_the_uncompressed_content_of_a_layer_counts(parts, pack):
    identifier, layer = parts.layers[0]
    layer.write_bytes(pack(layer.read_bytes()))
    assert problems(*parts.flags) == []
    other = sha256(layer.read_bytes())
    (line, _) = problems(*parts.flags[:3], f'--layer={other}={layer}')
    assert line == f"--layer: the diff ID of '{layer}' is {identifier}: correct the ID or the file"


@pytest.mark.parametrize('pack', [gzip.compress, bz2.compress, lzma.compress])
def test_a_damaged_compressed_layer(parts, pack):
    layer = parts.layers[0][1]
    layer.write_bytes(pack(layer.read_bytes())[:-20])
    (line,) = problems(*parts.flags)
    assert line == f"'{layer}' is cut off or not a tar archive: replace it"


def test_digest_of_the_configuration(parts):
    found, parts.id = parts.id, 'a' * 64
    assert problems(*parts.flags) == [
        f"--id: the SHA-256 of '{parts.config}' is {found}: correct the ID or the file"
    ]


def test_digest_of_a_layer(parts):
    layer = make_tar(parts.folder / 'layer0.tar', {'another': b'layer'})
    found = sha256(layer.read_bytes())
    assert problems(*parts.flags) == [
        f"--layer: the diff ID of '{layer}' is {found}: correct the ID or the file"
    ]


@pytest.mark.parametrize(
    'text',
    ['{', '[]', 'null', '{}', '{"rootfs": 1}', '{"rootfs": {"diff_ids": 1}}', '[' * 100000, '\xff']
    + ['{"rootfs": {"diff_ids": []}, "x": NaN}', '{"rootfs": {"diff_ids": []}, "x": -Infinity}'],
)
def test_configuration_without_diff_ids(parts, text):
    parts.config.write_bytes(text.encode('latin-1'))
    parts.id = sha256(parts.config.read_bytes())
    (line,) = problems(*parts.flags)
    assert line == f"--config: '{parts.config}' is not JSON with rootfs.diff_ids: add them"


def wrong_diff_ids(parts):
    text = "rootfs.diff_ids must be the base's, then --layer's IDs"
    return [f"--config: '{parts.config}': {text}"]


def test_number_of_diff_ids(tmp_path):
    image = Parts(tmp_path, [{'a': b'1'}, {'b': b'2'}])
    first, second = (f'sha256:{identifier}' for identifier, _ in image.layers)
    for diff_ids in [second], [first, first, second], []:
        assert problems(*config_with(image, diff_ids)) == wrong_diff_ids(image)
    assert problems(*config_with(image, [first, second])) == []


@pytest.mark.parametrize('prefix', ['', 'sha512:'])
def test_last_diff_ids(parts, prefix):
    flags = config_with(parts, [prefix + parts.layers[0][0]])
    assert problems(*flags) == wrong_diff_ids(parts)


def test_order_of_diff_ids(tmp_path):
    image = Parts(tmp_path, [{'a': b'1'}, {'b': b'2'}])
    flags = config_with(image, [f'sha256:{i}' for i, _ in reversed(image.layers)])
    assert problems(*flags) == wrong_diff_ids(image)


@pytest.mark.parametrize('count', [1, 3])
def test_number_of_diff_ids_on_a_base(tmp_path, count):
    """The image adds no layers of its own; those of the base are not known by their digests."""
    base = f'{DATA}/bases/crane-0.21.tar'
    image = Parts(tmp_path)
    flags = [f'--base={base}', f'--legacy_base={base}']
    any_id = 'sha256:' + 'a' * 64
    assert problems(*config_with(image, [any_id] * 2)[:3], *flags) == []
    assert problems(*config_with(image, [any_id] * count)[:3], *flags) == wrong_diff_ids(image)


def test_an_empty_image(parts):
    assert problems(*config_with(parts, None)[:3]) == []
    flags = config_with(parts, ['sha256:' + 'a' * 64])[:3]
    assert problems(*flags) == wrong_diff_ids(parts)


def test_a_partial_image_and_the_flag_that_completes_it(tmp_path):
    _, flags = derived(tmp_path, 'podman-4.3.tar')
    (line,) = problems(*flags[:-1])
    lacking = ', '.join(f"'{digest.partition(':')[2]}.tar'" for digest in base_diff_ids())
    assert line == f'--base: the output lacks {lacking}: give a whole --legacy_base'
    assert problems(*flags) == []


def write_tar(path, *members):
    with tarfile.open(path, 'w') as tar:
        for name, kind, target in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            tar.addfile(info)
    return path


@pytest.mark.parametrize(
    ('target', 'lacking'),
    [('../file', False), ('../link2', False), ('../none', True), ('layer', True), ('../..', True)],
)
def test_a_layer_that_is_a_link(tmp_path, target, lacking):
    """As Docker saves a layer that two images share; here to another file than the base."""
    text = json.dumps([{'Config': 'c.json', 'Layers': ['link/layer']}]).encode()
    base = make_tar(tmp_path / 'base.tar', {'manifest.json': text})
    other = tmp_path / 'other.tar'
    links = [('link/layer', tarfile.SYMTYPE, target), ('link2', tarfile.SYMTYPE, 'file')]
    write_tar(other, *links, ('file', tarfile.REGTYPE, ''))
    image = Parts(tmp_path, below=['sha256:' + 'a' * 64])
    lines = problems(*image.flags, f'--base={base}', f'--legacy_base={other}')
    text = "--base: the output lacks 'link/layer': give a whole --legacy_base"
    assert lines == ([text] if lacking else [])


def test_the_first_of_two_members_counts(tmp_path):
    text = json.dumps([{'Config': 'c.json', 'Layers': ['layer']}]).encode()
    base = make_tar(tmp_path / 'base.tar', {'manifest.json': text})
    other = tmp_path / 'other.tar'
    write_tar(other, ('layer', tarfile.SYMTYPE, 'none'), ('layer', tarfile.REGTYPE, ''))
    image = Parts(tmp_path, below=['sha256:' + 'a' * 64])
    lines = problems(*image.flags, f'--base={base}', f'--legacy_base={other}')
    assert lines == ["--base: the output lacks 'layer': give a whole --legacy_base"]


def test_all_problems_at_once(parts):
    parts.layers = [('b' * 64, parts.layers[0][1])]
    parts.id = 'a' * 64
    base = f'--base={DATA}/bases/docker-20.10.tar'
    parts.output.write_bytes(b'previous')
    before = set(parts.folder.iterdir())
    lines = problems(*parts.flags, base, '--tag=A:1', '--tag=a:1', '--tag=b')
    starts = ['--id', '--layer', '--base', '--config', '--tag', '--tag']
    assert [line.partition(':')[0] for line in lines] == starts
    assert parts.output.read_bytes() == b'previous'
    assert set(parts.folder.iterdir()) == before


def test_unreadable_parts_hide_no_other_problem(parts):
    """Each is named once, however often it would be read."""
    layer = parts.layers[0][1]
    base = parts.folder / 'base.tar'
    base.write_bytes((DATA / 'bases/docker-20.10.tar').read_bytes()[:9000])
    cut = parts.folder / 'cut.tar'
    cut.write_bytes(gzip.compress(layer.read_bytes())[:-10])
    os.mkfifo(parts.folder / 'fifo')
    flags = [f'--base={base}', f'--legacy_base={base}', '--layer=x=missing']
    flags += [f'--layer=y={cut}', f'--layer=z={parts.folder}/fifo']
    parts.id = 'a' * 64
    digest = sha256(parts.config.read_bytes())
    lines = problems(*parts.flags, *flags, '--tag=A:1')
    folder = str(parts.folder)
    advice = 'check the path, its permissions and limits'
    layers_of_base = manifest(DATA / 'bases/docker-20.10.tar')['Layers']
    assert lines == [
        f"--id: the SHA-256 of '{parts.config}' is {digest}: correct the ID or the file",
        f"'missing': No such file or directory: {advice}",
        f"'{cut}' is cut off or not a tar archive: replace it",
        f"'{folder}/fifo': Not a regular file: {advice}",
        f"'{base}' is cut off in or after member '{layers_of_base[-1]}': replace it",
        *wrong_diff_ids(parts),
        "--tag: 'A:1': give a lower-case [registry/]repository:tag",
    ]
    parts.config.unlink()
    assert problems(*parts.flags) == [f"'{parts.config}': No such file or directory: {advice}"]


def test_an_unreadable_base_leaves_the_own_diff_ids_to_check(parts):
    own = f'sha256:{parts.layers[0][0]}'
    flags = config_with(parts, ['sha256:' + 'a' * 64, own])
    assert problems(*flags, '--base=missing') == [
        "'missing': No such file or directory: check the path, its permissions and limits"
    ]


def test_the_same_layer_twice_is_read_once(parts, monkeypatch):
    opened = []
    real = create_image.utils.open_archive
    monkeypatch.setattr(
        create_image.utils, 'open_archive', lambda path: (opened.append(path), real(path))[1]
    )
    layer = {'name': parts.layers[0][0], 'layer': str(parts.layers[0][1])}
    flags = config_with(parts, [f'sha256:{layer["name"]}'] * 2)
    create_image.FLAGS(['', *flags, '--tag=a:1'])
    assert create_image._find_problems(parts.id, [layer, layer]) == []
    assert opened == [str(parts.config), layer['layer']]


def test_parts_are_trusted_without_it(parts):
    parts.config.write_bytes(b'not JSON')
    build(
        *parts.flags[:1], '--id=any', *parts.flags[2:], '--layer=other=' + str(DATA / 'README.md')
    )


GOOD_TAGS = [
    *('a:1', 'a/b:1', 'a/b/c/d:latest', 'localhost/a:1', 'localhost:5000/a:1', 'host.example/a:1'),
    *('Host.Example:80/a:1', '127.0.0.1:5000/a:1', '[::1]/a:1', '[2001:db8::1]:5000/a/b:1'),
    *('a.b_c__d-e---f:1', 'a:' + 't' * 128, 'a:_T.x-', '0/1:2', 'a' * 237 + ':1'),
]
BAD_TAGS = [
    *('', 'a', 'a/b', 'localhost:5000/a', ':1', 'a:', '/a:1', 'a/:1', 'a//b:1', 'A:1', 'a/B:1'),
    *('a:' + 't' * 129, 'a:.t', 'a:-t', 'a:t t', ' a:1', 'a:1\n', 'a:1:2', 'a@sha256:' + 'a' * 64),
    *(
        '.a:1',
        'a.:1',
        'a..b:1',
        'a___b:1',
        '-a:1',
        'a-:1',
        'ä:1',
        'a:ä',
        '[::1:5000/a:1',
        '[x]/a:1',
    ),
    *('host.example:/a:1', 'host.example:port/a:1', '-host.example/a:1', 'a' * 238 + ':1'),
]


def test_tags(parts):
    assert problems(*parts.flags, *(f'--tag={tag}' for tag in GOOD_TAGS)) == []
    lines = problems(*parts.flags, *(f'--tag={tag}' for tag in BAD_TAGS))
    assert lines == [
        f'--tag: {tag!r}: give a lower-case [registry/]repository:tag' for tag in BAD_TAGS
    ]


def test_no_tag_takes_long_to_judge(parts):
    """A pattern that tries all ways would outlast the time limit of a run."""
    tags = [
        'a-' * 50000,
        'a' * 100000 + '!',
        '-' * 100000 + 'a',
        'a.' * 30000 + '/!',
        'a__' * 30000,
    ]
    assert len(problems(*parts.flags, *(f'--tag={tag}' for tag in tags))) == len(tags)
