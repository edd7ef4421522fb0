# SPDX-License-Identifier: Apache-2.0
"""Members of the archive: their order, headers and content (section 4)."""

import json
import subprocess
import tarfile

import pytest

from support.images import BaseImage, Parts, configuration, on_fixture, write_base
from support.needs import require
from support.project import DATA
from support.running import build, environment, warns
from support.tars import (
    DIR,
    FILE,
    content,
    make_tar,
    manifest,
    member,
    members,
    names,
    sha256,
    write_tar,
)

V1_ID = 'c' * 64


def test_members_and_their_order(parts):
    build(*parts.flags, '--tag=a:1', '--tag=b:2', '--repository=r', '--name=n')
    (layer_id, layer), directory = parts.layers[0], parts.id
    found = members(parts.output)
    assert [(m.name, m.type) for m, _ in found] == [
        (f'{directory}.json', FILE),
        (directory, DIR),
        (f'{directory}/{layer_id}.tar', FILE),
        ('manifest.json', FILE),
        ('repositories', FILE),
    ]
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m, _ in found} == {(0, 0, '', '', 0)}
    assert [oct(m.mode) for m, _ in found] == ['0o644', '0o755', '0o644', '0o644', '0o644']
    assert found[0][1] == parts.config.read_bytes()
    assert found[2][1] == layer.read_bytes()
    text = (
        f'[{{"Config": "{directory}.json", "Layers": ["{directory}/{layer_id}.tar"], '
        '"RepoTags": ["a:1", "b:2"]}]'
    )
    assert found[3][1].decode() == text
    assert found[4][1].decode() == f'{{\n  "r": {{\n    "n": "{directory}"\n  }}\n}}'


def test_members_with_legacy_id(parts):
    metadata = parts.directory / 'v1.json'
    metadata.write_bytes(b'{"id": "old"}')
    flags = [f'--legacy_id={V1_ID}', f'--metadata={metadata}', '--repository=r', '--name=n']
    build(*parts.flags, *flags)
    assert [(m.name, data) for m, data in members(parts.output)][:6] == [
        (f'{parts.id}.json', parts.config.read_bytes()),
        ('top', V1_ID.encode()),
        (V1_ID, None),
        (f'{V1_ID}/VERSION', b'1.0'),
        (f'{V1_ID}/layer.tar', parts.layers[0][1].read_bytes()),
        (f'{V1_ID}/json', b'{"id": "old"}'),
    ]
    assert names(parts.output)[6:] == ['manifest.json', 'repositories']
    assert manifest(parts.output)['Layers'] == [f'{V1_ID}/layer.tar']
    # With the image id here, Docker's v1 loader answers "invalid target ID".
    assert json.loads(content(parts.output, 'repositories')) == {'r': {'n': V1_ID}}


def test_members_of_the_base_come_before_manifest_json(tmp_path):
    """They come after the members of the image itself."""
    lower = BaseImage(['one.tar', 'two.tar'])
    base = write_base(tmp_path / 'base.tar', lower)
    image = Parts(tmp_path, below=lower.diff_ids, base=base)
    build(*image.flags, '--repository=r', '--name=n')
    own = f'{image.id}/{image.layers[0][0]}.tar'
    expected = [f'{image.id}.json', image.id, own, *lower.files, 'manifest.json', 'repositories']
    assert names(image.output) == expected
    assert manifest(image.output)['Layers'] == ['one.tar', 'two.tar', own]


@pytest.mark.parametrize(
    ('data', 'is_replaced'),
    [
        (b'{"r": {"n": "x", "m": "y"}}', True),
        (b'{"r": {"m": "x"}, "n": {"r": "x"}}', False),
        (b'{"r": 1}', False),
        (b'no JSON', False),
    ],
)
def test_name_of_another_image_in_repositories_gives_a_warning(tmp_path, data, is_replaced):
    lower = BaseImage(['one.tar'])
    more = [member('repositories', data)]
    image = Parts(tmp_path, below=lower.diff_ids, base=None)
    image.base = write_base(tmp_path / 'base.tar', lower, more=more)
    text = f"--repository and --name: '{image.base}' has another image with the name 'r:n'"
    expected = [f'{text}: give another name'] if is_replaced else []
    assert warns(*image.flags, '--repository=r', '--name=n', '--verify') == expected
    assert json.loads(content(image.output, 'repositories')) == {'r': {'n': image.id}}
    assert warns(*image.flags, '--verify') == []


def test_archive_ends_with_zero_blocks_up_to_a_whole_record(parts):
    build(*parts.flags)
    data = parts.output.read_bytes()
    last = data.index(b'manifest.json'.ljust(100, b'\0'))
    assert len(data) % 10240 == 0
    assert data[last + 1024 :].count(0) == len(data) - last - 1024 >= 1024


def test_image_without_layers_and_tags(tmp_path):
    image = Parts(tmp_path)
    image.layers = []
    image.configure(configuration([]))
    build(*image.flags)
    assert names(image.output) == [f'{image.id}.json', 'manifest.json']
    assert manifest(image.output) == {'Config': f'{image.id}.json', 'Layers': [], 'RepoTags': []}


def test_layer_given_twice_is_stored_once(tmp_path):
    image = Parts(tmp_path, [{'a': b'1'}, {'a': b'1'}])
    image.layers[1] = image.layers[0]
    build(*image.flags)
    name = f'{image.id}/{image.layers[0][0]}.tar'
    assert names(image.output).count(name) == 1
    assert manifest(image.output)['Layers'] == [name, name]


# The manifest.


def test_manifest_has_the_format_of_json_dumps(tmp_path):
    image = on_fixture(tmp_path, 'crane-0.21.tar')
    build(*image.flags, '--tag=a:1')
    below = manifest(DATA / 'bases' / 'crane-0.21.tar')
    layers = [*below['Layers'], f'{image.id}/{image.layers[0][0]}.tar']
    listed = ', '.join(f'"{layer}"' for layer in layers)
    text = (
        f'[{{"Config": "{image.id}.json", "Layers": [{listed}], '
        f'"Parent": "{below["Config"]}", "RepoTags": ["a:1"]}}]'
    )
    assert content(image.output, 'manifest.json').decode() == text


HEX = 'ab' * 32
# The name of the base's configuration, and the Parent that comes from it.
PARENTS = [
    (f'{HEX}.json', f'sha256:{HEX}'),
    ('abc.json', 'sha256:abc'),
    ('./abc.json', 'sha256:abc'),
    ('directory/abc.json', 'sha256:directory/abc'),
    (f'blobs/sha256/{HEX}', f'sha256:{HEX}'),
    (f'sha256:{HEX}', f'sha256:{HEX}'),
    ('abc.json.bak', None),
    ('abcjson', None),
    (f'blobs/sha256/{HEX[1:]}', None),
    (f'blobs/sha512/{HEX}', None),
    (f'blobs/sha256/{HEX}/x', None),
    (f'sha256:{HEX.upper()}', None),
    ('config', None),
    ('.json', None),
]


@pytest.mark.parametrize(('config_name', 'parent'), PARENTS)
def test_parent_comes_from_the_config_name_of_the_base(tmp_path, config_name, parent):
    lower = BaseImage(['one.tar'], config_name)
    base = write_base(tmp_path / 'base.tar', lower)
    image = Parts(tmp_path, below=lower.diff_ids, base=base)
    build(*image.flags)
    assert manifest(image.output).get('Parent') == parent


# Readers other than Python's tarfile.

LONG_NAMES = [
    'short',
    'p' * 64 + '/' + 'n' * 64,
    'n' * 150,
    'd/' * 90 + 'file',
    'ünïcode/naïve.tar',
    'ü' * 120,
]


@pytest.fixture
def long_names(tmp_path):
    """An image with members of every kind of name, from two merged archives, and a 200 KB layer."""
    base = make_tar(tmp_path / 'base.tar', {name: name.encode() for name in LONG_NAMES})
    first = Parts(tmp_path)
    build(*first.flags, f'--legacy_base={base}')
    merged = first.output.rename(tmp_path / 'merged.tar')
    large = b'large' * 20000
    image = Parts(tmp_path, [{'l' * 130 + str(number): large for number in range(2)}])
    build(*image.flags, f'--legacy_base={merged}')
    return image


READERS = {
    'tar': ['tar', '-xf'],
    'bsdtar': ['bsdtar', '-xf'],
    'busybox': ['busybox', 'tar', '-xf'],
    'python': None,
}


@pytest.mark.parametrize('reader', READERS)
def test_other_programs_read_the_archive(long_names, reader, tmp_path):
    directory = tmp_path / 'out'
    directory.mkdir()
    if reader == 'python':
        with tarfile.open(long_names.output) as tar:
            tar.extractall(directory)
    else:
        require(reader)
        done = subprocess.run(
            [*READERS[reader], long_names.output, '-C', directory],
            capture_output=True,
            env=environment(LC_ALL='C.UTF-8'),
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, b'')
    for name in LONG_NAMES:
        assert (directory / name).read_bytes() == name.encode()
    layer_id, layer = long_names.layers[0]
    assert (directory / long_names.id / f'{layer_id}.tar').read_bytes() == layer.read_bytes()
    assert sha256((directory / f'{long_names.id}.json').read_bytes()) == long_names.id


@pytest.mark.parametrize('kind', [DIR, tarfile.SYMTYPE])
def test_only_regular_files_have_a_size(parts, kind):
    """Old programs set one for other types too; busybox tar would skip that many bytes."""
    other = member('other', kind=kind, link='x', size=70000)
    base = write_tar(parts.directory / 'base.tar', other, member('x'))
    build(*parts.flags, f'--legacy_base={base}')
    assert [(m.name, m.size) for m, _ in members(parts.output)][3] == ('other', 0)
    assert names(parts.output)[-1] == 'manifest.json'
