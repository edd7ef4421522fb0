# SPDX-License-Identifier: Apache-2.0
"""join_layers: an error is one line that names the archive (section 9); the Python function."""

import gzip
import json
import os

import pytest

import archive
import join_layers
from support.images import write_base
from support.joins import PROGRAM, entries_of, image_of, join, refuses
from support.running import environment, fails, run_program
from support.tars import member, tar_of, write_tar

IMAGE = image_of('a')
FILES = [member(name, data) for name, data in IMAGE.files.items()]


def with_manifest(*entries):
    return tar_of(*FILES, member('manifest.json', json.dumps(entries).encode()))


GOOD = with_manifest(IMAGE.entry)


def good_with(name, data):
    return tar_of(*FILES, member('manifest.json', json.dumps([IMAGE.entry]).encode()), *data(name))


def one(data):
    return lambda name: [member(name, data)]


def two_of(data, other):
    return lambda name: [member(name, data), member(name, other)]


def test_output_must_not_be_the_file_of_the_identifier(tmp_path):
    (tmp_path / 'one.tar').write_bytes(GOOD)
    (tmp_path / 'id').write_text('a' * 64)
    flags = ['--output=./id', '--layer=one.tar', '--id=@id']
    line = fails(*flags, **PROGRAM, cwd=tmp_path)
    assert line == "--output: './id' is also the file of --id: give another path"
    assert (tmp_path / 'id').read_text() == 'a' * 64


@pytest.mark.parametrize('output', ['-', '/dev/stdout', '/dev/fd/7'])
def test_closed_stdout_is_an_error(tmp_path, output):
    """An archive may have been opened under its number; it must not be overwritten."""
    path = tmp_path / 'one.tar'
    path.write_bytes(GOOD)
    flags = [f'--output={output}', f'--layer={path}']
    line = fails(*flags, **PROGRAM, preexec_fn=lambda: os.close(1))
    name = 'standard output' if output == '-' else output
    assert line.startswith(f"'{name}': Bad file descriptor")
    assert path.read_bytes() == GOOD


BAD = {
    'empty': (b'', 'cut off'),
    'text': (b'text' * 1000, 'damaged or not a tar archive'),
    'cut': (GOOD[:700], 'cut off'),
    'cut gzip': (gzip.compress(GOOD)[:-9], 'cut off'),
    'a layer': (IMAGE.layers['a'], 'not a valid image archive: it has no manifest.json'),
    'no members': (bytes(10240), 'not a valid image archive: it has no members'),
    'an empty manifest': (
        with_manifest(),
        'not a valid image archive: it has an empty manifest.json',
    ),
    'no JSON': (tar_of(member('manifest.json', b'[')), 'manifest.json is not JSON'),
    'no list': (tar_of(member('manifest.json', b'{}')), 'manifest.json is not a JSON list'),
    'no Config': (with_manifest({'Layers': []}), 'lacks a valid Config or Layers'),
    'a bad entry that is not the last': (
        with_manifest({'Config': 1}, IMAGE.entry),
        'lacks a valid Config or Layers',
    ),
    'Layers': (with_manifest({**IMAGE.entry, 'Layers': 'a'}), 'lacks a valid Config or Layers'),
    'a layer above': (with_manifest({**IMAGE.entry, 'Layers': ['../a']}), 'lacks a valid Config'),
    'RepoTags': (
        with_manifest({**IMAGE.entry, 'RepoTags': 'a:1'}),
        'manifest.json has RepoTags that are no list of strings',
    ),
    'a tag': (with_manifest({**IMAGE.entry, 'RepoTags': [1]}), 'no list of strings'),
    'a layer twice': (good_with('a', one(b'another')), "'a' occurs twice with different content"),
    'a configuration twice': (
        good_with(f'{IMAGE.id}.json', one(b'{}')),
        f"'{IMAGE.id}.json' occurs twice with different content",
    ),
    'a manifest twice': (good_with('manifest.json', one(b'[]')), "'manifest.json' occurs twice"),
    'repositories': (good_with('repositories', one(b'[]')), 'repositories is not'),
    'no JSON in repositories': (good_with('repositories', one(b'{')), 'repositories is not'),
    'a tag in repositories': (good_with('repositories', one(b'{"a": {"1": 2}}')), 'is not'),
    'repositories twice': (
        good_with('repositories', two_of(b'{}', b'{"a": {}}')),
        "'repositories' occurs twice with different content",
    ),
    'index.json': (good_with('index.json', one(b'{}')), 'index.json is not an OCI image index'),
    'no JSON in index.json': (good_with('index.json', one(b'{')), 'is not an OCI image index'),
    'a descriptor': (
        good_with('index.json', one(b'{"manifests": [{"digest": "x"}]}')),
        'index.json is not an OCI image index',
    ),
    'annotations': (
        good_with('index.json', one(b'{"manifests": [{"digest": "a:1", "annotations": []}]}')),
        'index.json is not an OCI image index',
    ),
    'index.json twice': (
        good_with('index.json', two_of(b'{"manifests": []}', b'{}')),
        "'index.json' occurs twice with different content",
    ),
    'a name above': (good_with('../x', one(b'')), "'../x'"),
    'a file in a file': (good_with('a/b', one(b'')), "'a/b' is in 'a'"),
    'a device': (
        good_with('x', lambda name: [member(name, kind=b'3')]),
        "'x' is not a file, directory or link",
    ),
}


@pytest.mark.parametrize('case', BAD)
def test_bad_archive_is_an_error(tmp_path, case):
    """In any position."""
    data, text = BAD[case]
    good = write_base(tmp_path / 'good.tar', image_of('z'))
    bad = tmp_path / 'bad.tar'
    bad.write_bytes(data)
    for order in ([bad, good], [good, bad]):
        line = refuses(tmp_path, *order)
        assert f"'{bad}'" in line
        assert text in line
        assert ': ' in line


def test_missing_layer_flag_is_an_error(tmp_path):
    for flags in ([], ['--layer=']):
        line = fails(f'--output={tmp_path}/out.tar', *flags, **PROGRAM)
        assert line == '--layer is missing: give an image archive'
    assert list(tmp_path.iterdir()) == []


def test_missing_output_flag_is_an_error(tmp_path):
    path = write_base(tmp_path / 'one.tar', IMAGE)
    assert fails(f'--layer={path}', **PROGRAM).startswith('--output is missing: give ')


def test_positional_argument_is_an_error(tmp_path):
    path = write_base(tmp_path / 'one.tar', IMAGE)
    assert f"'{path}'" in refuses(tmp_path, path, flags=[path])


def test_missing_archive_is_an_error(tmp_path):
    path = write_base(tmp_path / 'one.tar', IMAGE)
    line = refuses(tmp_path, path, tmp_path / 'missing.tar')
    assert line.startswith(f"'{tmp_path}/missing.tar': No such file or directory: ")


def test_directory_or_pipe_instead_of_an_archive_is_an_error(tmp_path):
    (tmp_path / 'directory').mkdir()
    os.mkfifo(tmp_path / 'pipe')
    text = 'is a directory, but not an OCI image layout'
    assert f"'{tmp_path}/directory' {text}" in refuses(tmp_path, tmp_path / 'directory')
    assert f"'{tmp_path}/pipe': Not a regular file" in refuses(tmp_path, tmp_path / 'pipe')


@pytest.mark.parametrize('identifier', ['a/b', '..', '@missing', '@empty'])
def test_bad_id_is_an_error(tmp_path, identifier):
    path = write_base(tmp_path / 'one.tar', IMAGE)
    (tmp_path / 'empty').touch()
    value = identifier.replace('@', f'@{tmp_path}/')
    line = refuses(tmp_path, path, flags=[f'--id={value}'])
    assert identifier.removeprefix('@') in line


def test_id_file_with_several_digests_is_reported(tmp_path):
    path = write_base(tmp_path / 'one.tar', IMAGE)
    (tmp_path / 'sums').write_text(f'{"1" * 64}  a\n{"2" * 64}  b\n')
    line = refuses(tmp_path, path, flags=[f'--id=@{tmp_path}/sums', '--verify'])
    assert 'has 2 digests' in line


def test_output_must_not_be_an_input(tmp_path):
    path = write_base(tmp_path / 'out.tar', IMAGE)
    (tmp_path / 'link.tar').symlink_to(path)
    before = path.read_bytes()
    for layer in (path, tmp_path / 'link.tar'):
        assert refuses(tmp_path, layer) == (
            f"--output: '{path}' is also the file of --layer: give another path"
        )
    assert path.read_bytes() == before


def test_output_in_a_missing_directory_is_an_error(tmp_path):
    """It is reported before the tool opens an archive."""
    output = tmp_path / 'missing' / 'out.tar'
    line = fails(f'--output={output}', f'--layer={tmp_path}/none.tar', **PROGRAM)
    assert f"'{output}': No such file or directory" in line


def test_previous_output_is_untouched_after_an_error(tmp_path):
    path = write_base(tmp_path / 'one.tar', IMAGE)
    bad = tmp_path / 'bad.tar'
    bad.write_bytes(GOOD[:700])
    (tmp_path / 'out.tar').write_bytes(b'previous')
    refuses(tmp_path, path, bad)
    assert (tmp_path / 'out.tar').read_bytes() == b'previous'


def test_full_disk_is_an_error(tmp_path):
    path = write_base(tmp_path / 'one.tar', IMAGE)
    line = fails('--output=/dev/full', f'--layer={path}', **PROGRAM)
    assert line == "'/dev/full': No space left on device: free some space"


# The output does not depend on the environment.


@pytest.fixture
def two(tmp_path):
    one_image = image_of('shared', 'a', tag='app:1')
    other_image = image_of('shared', 'b', tag='täg:1')
    more = [member('large', bytes(range(256)) * 1000), member('./f', b'f', mtime=5)]
    return (
        write_base(tmp_path / 'one.tar', one_image, more=more),
        write_base(tmp_path / 'other.tar', other_image, more=more),
    )


def test_stdout_has_the_same_bytes(tmp_path, two):
    expected = join(tmp_path, *two, warnings=True).read_bytes()
    layers = [f'--layer={path}' for path in two]
    assert run_program('join_layers', '--output=-', *layers).stdout == expected


@pytest.mark.parametrize(
    'variables',
    [{'LC_ALL': 'C', 'LANG': 'C'}, {'TZ': 'Asia/Kolkata'}, {'PYTHONHASHSEED': '7', 'HOME': '/'}],
)
def test_output_does_not_depend_on_the_environment(tmp_path, two, variables):
    expected = join(tmp_path, *two, warnings=True).read_bytes()
    elsewhere = tmp_path / 'elsewhere'
    elsewhere.mkdir()
    copies = []
    for path in two:
        copy = elsewhere / path.name
        copy.write_bytes(gzip.compress(path.read_bytes()))
        os.utime(copy, (1, 1))
        copies.append(copy)
    options = {'warnings': True, 'env': environment(**variables), 'umask': 0o077}
    assert join(elsewhere, *copies, **options).read_bytes() == expected


# From Python.


def test_create_image_writes_the_same_bytes(tmp_path, two):
    flags = [f'--id={"c" * 64}', '--repository=r', '--name=1']
    expected = join(tmp_path, *two, flags=flags, warnings=True).read_bytes()
    output = tmp_path / 'python.tar'
    layers = [str(path) for path in two]
    join_layers.create_image(
        str(output), layers, identifier=f'sha256:{"C" * 64}', name='1', repository='r'
    )
    assert output.read_bytes() == expected
    join_layers.create_image(str(output), layers)
    assert len(entries_of(output)) == 2


def test_exceptions_of_create_image(tmp_path, two):
    output = str(tmp_path / 'python.tar')
    path = str(two[0])
    with pytest.raises(ValueError, match='--layer is missing'):
        join_layers.create_image(output, [])
    with pytest.raises(ValueError, match='--output is missing'):
        join_layers.create_image('', [path])
    with pytest.raises(ValueError, match='--name'):
        join_layers.create_image(output, [path], 'a' * 64, None, 'r')
    with pytest.raises(OSError, match='No such file'):
        join_layers.create_image(output, [path, f'{path}.missing'])
    bad = write_tar(tmp_path / 'bad.tar', member('a'))
    with pytest.raises(archive.TarFileWriter.Error, match='not a valid image archive'):
        join_layers.create_image(output, [path, str(bad)])
    assert not os.path.exists(output)


def test_script_can_import_both_programs():
    import create_image

    assert create_image.create_image is not join_layers.create_image
