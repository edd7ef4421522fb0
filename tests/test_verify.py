# SPDX-License-Identifier: Apache-2.0
"""--verify: every problem on a line of its own, and nothing said of good parts."""

import bz2
import gzip
import json
import lzma

import pytest

import create_image
from conftest import BASES, DATA, Parts, base_diff_ids, build, derived, make_tar, run, sha256


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
    assert line == f"--layer: the SHA-256 of '{layer}' is {identifier}: give it as ID"


def test_a_damaged_compressed_layer(parts):
    layer = parts.layers[0][1]
    layer.write_bytes(gzip.compress(layer.read_bytes())[:-20])
    (line,) = problems(*parts.flags)
    assert line.startswith(f"'{layer}' is cut off or damaged in its compressed data")


def test_digest_of_the_configuration(parts):
    found, parts.id = parts.id, 'a' * 64
    assert problems(*parts.flags) == [
        f"--id: the SHA-256 of '{parts.config}' is {found}: give that"
    ]


def test_digest_of_a_layer(parts):
    layer = make_tar(parts.folder / 'layer0.tar', {'another': b'layer'})
    found = sha256(layer.read_bytes())
    assert problems(*parts.flags) == [
        f"--layer: the SHA-256 of '{layer}' is {found}: give it as ID"
    ]


@pytest.mark.parametrize(
    'text',
    ['{', '[]', 'null', '{}', '{"rootfs": 1}', '{"rootfs": {"diff_ids": 1}}', '[' * 100000, '\xff'],
)
def test_configuration_without_diff_ids(parts, text):
    parts.config.write_bytes(text.encode('latin-1'))
    parts.id = sha256(parts.config.read_bytes())
    (line,) = problems(*parts.flags)
    assert line.startswith(f"--config: '{parts.config}' is no JSON with a list in rootfs.diff_ids")


def test_number_of_diff_ids(parts):
    own = f'sha256:{parts.layers[0][0]}'
    (line,) = problems(*config_with(parts, ['sha256:' + 'a' * 64, own]))
    assert 'has 2 rootfs.diff_ids for 1 layers' in line


@pytest.mark.parametrize('prefix', ['', 'sha512:'])
def test_last_diff_ids(parts, prefix):
    (line,) = problems(*config_with(parts, [prefix + parts.layers[0][0]]))
    assert 'does not end in the ids of --layer' in line


def test_order_of_diff_ids(tmp_path):
    image = Parts(tmp_path, [{'a': b'1'}, {'b': b'2'}])
    (line,) = problems(*config_with(image, [f'sha256:{i}' for i, _ in reversed(image.layers)]))
    assert 'does not end in the ids of --layer' in line


def test_an_empty_image(parts):
    assert problems(*config_with(parts, None)[:3]) == []
    (line,) = problems(*config_with(parts, ['sha256:' + 'a' * 64])[:3])
    assert 'has 1 rootfs.diff_ids for 0 layers' in line


def test_a_partial_image_and_the_flag_that_completes_it(tmp_path):
    _, flags = derived(tmp_path, 'podman-4.3.tar')
    (line,) = problems(*flags[:-1])
    layer = base_diff_ids()[0].partition(':')[2]
    assert line == (
        f"--base: the image lacks '{layer}.tar': complete it with "
        f'--legacy_base={DATA}/bases/podman-4.3.tar'
    )
    completed = line.rpartition('complete it with ')[2]
    assert problems(*flags[:-1], completed) == []


def test_all_problems_at_once(parts):
    parts.layers = [('b' * 64, parts.layers[0][1])]
    parts.id = 'a' * 64
    base = f'--base={DATA}/bases/docker-20.10.tar'
    parts.output.write_bytes(b'previous')
    before = set(parts.folder.iterdir())
    lines = problems(*parts.flags, base, '--tag=A:1', '--tag=a:1', '--tag=b')
    starts = ['--layer', '--id', '--config', '--config', '--base', '--tag', '--tag']
    assert [line.partition(':')[0] for line in lines] == starts
    assert parts.output.read_bytes() == b'previous'
    assert set(parts.folder.iterdir()) == before


def test_the_same_layer_twice_is_read_once(parts, monkeypatch):
    opened = []
    reader = create_image.utils.TarReader
    monkeypatch.setattr(
        create_image.utils, 'TarReader', lambda path: (opened.append(path), reader(path))[1]
    )
    layer = {'name': parts.layers[0][0], 'layer': str(parts.layers[0][1])}
    flags = config_with(parts, [f'sha256:{layer["name"]}'] * 2)
    create_image.FLAGS(['', *flags, '--tag=a:1'])
    assert list(create_image._find_problems(parts.id, [layer, layer])) == []
    assert opened == [layer['layer']]


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
        f'--tag: {tag!r} is not [registry/]repository:tag, in lower case: change it'
        for tag in BAD_TAGS
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
