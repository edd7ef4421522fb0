# SPDX-License-Identifier: Apache-2.0
"""The archive of parts without a base, byte for byte, by the command line and from Python."""

import inspect
import json
import os
import pathlib
import subprocess
import sys
import tarfile

import pytest

import create_image
from conftest import (
    TOOL,
    as_another_user,
    build,
    content,
    environment,
    make_tar,
    manifest,
    members,
    names,
    require,
    run,
    sha256,
)

# The digest of the archive that fixed_image() builds.
FIXED_DIGEST = 'ea425f52da9993daf2f14254fac9d90ac09c65a9393e6c4bce73347a9fa3c283'


def fixed_image(folder, *flags, **options):
    """Builds an image of fixed parts: every rule of the layout that needs no base."""
    (folder / 'config.json').write_bytes(b'{"fixed": true}\n')
    (folder / 'small.tar').write_bytes(b'small layer')
    (folder / 'large.tar').write_bytes(bytes(range(256)) * 300)
    (folder / 'small.sha256').write_text(f'{"1" * 64}  small.tar\n')
    build(
        '--output=image.tar',
        f'--id={"a" * 64}',
        '--config=config.json',
        '--layer=@small.sha256=small.tar',
        f'--layer={"2" * 64}=large.tar',
        '--tag=example/fixed:1.0',
        '--tag=example/täg:1.0',
        '--repository=example/fixed',
        '--name=1.0',
        *flags,
        **{'cwd': folder, **options},
    )
    return (folder / 'image.tar').read_bytes()


def test_layout(parts):
    build(*parts.flags, '--tag=a:1', '--tag=b:2', '--repository=r', '--name=n')
    (layer_id, layer), folder = parts.layers[0], parts.id
    found = members(parts.output)
    assert [(m.name, m.type) for m, _ in found] == [
        (f'{folder}.json', tarfile.REGTYPE),
        (folder, tarfile.DIRTYPE),
        (f'{folder}/{layer_id}.tar', tarfile.REGTYPE),
        ('manifest.json', tarfile.REGTYPE),
        ('repositories', tarfile.REGTYPE),
    ]
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m, _ in found} == {(0, 0, '', '', 0)}
    assert [oct(m.mode) for m, _ in found] == ['0o644', '0o755', '0o644', '0o644', '0o644']
    assert found[0][1] == parts.config.read_bytes()
    assert found[2][1] == layer.read_bytes()
    text = (
        f'[{{"Config": "{folder}.json", "Layers": ["{folder}/{layer_id}.tar"], '
        '"RepoTags": ["a:1", "b:2"]}]'
    )
    assert found[3][1].decode() == text
    assert found[4][1].decode() == f'{{\n  "r": {{\n    "n": "{folder}"\n  }}\n}}'


def test_legacy_layout(parts):
    metadata = parts.folder / 'v1.json'
    metadata.write_bytes(b'{"id": "old"}')
    build(*parts.flags, '--legacy_id=old', f'--metadata={metadata}', '--repository=r', '--name=n')
    expected = [
        (f'{parts.id}.json', parts.config.read_bytes()),
        ('top', b'old'),
        ('old', None),
        ('old/VERSION', b'1.0'),
        ('old/layer.tar', parts.layers[0][1].read_bytes()),
        ('old/json', b'{"id": "old"}'),
    ]
    assert [(m.name, data) for m, data in members(parts.output)][:6] == expected
    assert names(parts.output)[6:] == ['manifest.json', 'repositories']
    assert manifest(parts.output)['Layers'] == ['old/layer.tar']
    # With the image id here, Docker's v1 loader answers "invalid target ID".
    assert json.loads(content(parts.output, 'repositories')) == {'r': {'n': 'old'}}


def test_end_of_archive(parts):
    build(*parts.flags)
    data = parts.output.read_bytes()
    last = data.index(b'manifest.json'.ljust(100, b'\0'))
    assert len(data) % 10240 == 0
    assert data[last + 1024 :].count(0) == len(data) - last - 1024 >= 1024


def test_no_layers_and_no_tags(parts):
    build(*parts.flags[:3])
    assert names(parts.output) == [f'{parts.id}.json', 'manifest.json']
    assert manifest(parts.output) == {'Config': f'{parts.id}.json', 'Layers': [], 'RepoTags': []}


def test_equal_layers_are_stored_once(parts):
    build(*parts.flags, parts.flags[-1])
    name = f'{parts.id}/{parts.layers[0][0]}.tar'
    assert names(parts.output).count(name) == 1
    assert manifest(parts.output)['Layers'] == [name, name]


def test_another_file_under_the_same_id_is_named(parts):
    other = make_tar(parts.folder / 'other.tar', {'other': b''})
    identifier = parts.layers[0][0]
    done = build(*parts.flags, f'--layer={identifier}={other}', warnings=True)
    assert f"'{parts.id}/{identifier}.tar' comes twice" in done.stderr.decode()
    assert content(parts.output, f'{parts.id}/{identifier}.tar') == parts.layers[0][1].read_bytes()


@pytest.mark.parametrize('text', ['{}', '{}\n', '\n {}\t', '{}  layer.tar\n', '{} *a b\n'])
def test_identifiers_from_files(parts, text):
    (layer_id, layer), flags = parts.layers[0], parts.flags
    (parts.folder / 'id').write_text(text.format(parts.id))
    (parts.folder / 'layer_id').write_text(text.format(layer_id))
    build(*flags)
    direct = parts.output.read_bytes()
    build(flags[0], '--id=@id', flags[2], f'--layer=@layer_id={layer}', cwd=parts.folder)
    assert parts.output.read_bytes() == direct


def test_identifiers_need_not_be_hex(parts):
    build(parts.flags[0], '--id=an image', parts.flags[2], f'--layer=l={parts.layers[0][1]}')
    assert names(parts.output) == ['an image.json', 'an image', 'an image/l.tar', 'manifest.json']


def test_only_the_first_equals_sign_separates(parts):
    layer = make_tar(parts.folder / 'a=b.tar', {})
    build(*parts.flags[:3], f'--layer=x={layer}')
    assert content(parts.output, f'{parts.id}/x.tar') == layer.read_bytes()


def test_flagfile(parts):
    build(*parts.flags)
    direct = parts.output.read_bytes()
    (parts.folder / 'flags').write_text('\n'.join(parts.flags))
    build(f'--flagfile={parts.folder}/flags')
    assert parts.output.read_bytes() == direct


def test_from_python(parts):
    parameters = inspect.signature(create_image.create_image).parameters.values()
    assert [p.name if p.default is p.empty else (p.name, p.default) for p in parameters] == [
        *('output', 'identifier', 'layers', 'config', ('tags', None), ('base', None)),
        *(('legacy_base', None), ('metadata_id', None), ('metadata', None)),
        *(('name', None), ('repository', None)),
    ]
    assert create_image.DATA_FORMAT_VERSION == '1.0'
    build(*parts.flags, '--tag=a:1', '--repository=r', '--name=n')
    by_flags = parts.output.read_bytes()
    create_image.create_image(
        str(parts.output),
        parts.id,
        [{'name': name, 'layer': str(path)} for name, path in parts.layers],
        str(parts.config),
        tags=['a:1'],
        repository='r',
        name='n',
    )
    assert parts.output.read_bytes() == by_flags


def test_runs_from_any_folder_as_a_program(parts):
    path = f'{pathlib.Path(sys.executable).parent}:{os.environ["PATH"]}'
    subprocess.run([TOOL, *parts.flags], cwd='/', env=environment(PATH=path), check=True)
    assert names(parts.output)[0] == f'{parts.id}.json'


def test_the_log_is_silent_but_at_verbosity_0(parts):
    assert run(*parts.flags).stderr == b''
    lines = run(*parts.flags, '--verbosity=0').stderr.decode().splitlines()
    assert [line.partition('] ')[2] for line in lines] == [
        f"'{parts.id}.json': {parts.config.stat().st_size} bytes",
        f"'{parts.id}': 0 bytes",
        f"'{parts.id}/{parts.layers[0][0]}.tar': 10240 bytes",
        f"'manifest.json': {len(content(parts.output, 'manifest.json'))} bytes",
        f"'{parts.output}': {parts.output.stat().st_size} bytes",
    ]


def test_help_names_every_flag():
    text = run('--help').stdout.decode()
    for (
        flag
    ) in 'output id config layer tag base legacy_base legacy_id metadata repository name'.split():
        assert f'\n  --{flag}:' in text
    assert '\n  --[no]verify:' in text


# Determinism.


def test_digest(tmp_path):
    assert sha256(fixed_image(tmp_path)) == FIXED_DIGEST


def test_digest_under_another_umask(tmp_path):
    assert sha256(fixed_image(tmp_path, umask=0o077)) == FIXED_DIGEST
    assert (tmp_path / 'image.tar').stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    'variables',
    [
        {'LC_ALL': 'C', 'LANG': 'C'},
        {'LC_ALL': 'POSIX', 'PYTHONCOERCECLOCALE': '0', 'PYTHONUTF8': '0'},
        {'LC_ALL': 'C.UTF-8'},
        {'TZ': 'Asia/Kolkata'},
        {'PYTHONHASHSEED': '7', 'HOME': '/nowhere', 'SOURCE_DATE_EPOCH': '1700000000'},
    ],
)
def test_digest_in_another_environment(tmp_path, variables):
    assert sha256(fixed_image(tmp_path, env=environment(**variables))) == FIXED_DIGEST


def test_identifiers_in_another_locale(parts):
    flags = [parts.flags[0], '--id=é', parts.flags[2], f'--layer=ü={parts.layers[0][1]}']
    build(*flags, env=environment(LC_ALL='C.UTF-8'))
    expected = parts.output.read_bytes()
    build(*flags, env=environment(LC_ALL='POSIX', PYTHONCOERCECLOCALE='0', PYTHONUTF8='0'))
    assert parts.output.read_bytes() == expected
    assert manifest(parts.output)['Layers'] == ['é/ü.tar']


def test_digest_in_another_folder_with_other_modes_and_times(tmp_path):
    folder = tmp_path / 'another folder'
    folder.mkdir()
    fixed_image(folder)
    for path in folder.iterdir():
        os.utime(path, (1, 1))
        path.chmod(0o755)
    (folder / 'image.tar').unlink()
    assert sha256(fixed_image(folder)) == FIXED_DIGEST


def test_digest_as_another_user(tmp_path):
    fixed_image(tmp_path)
    output = tmp_path / 'image.tar'
    for path in [*tmp_path.iterdir(), tmp_path, *tmp_path.parents[:-2]]:
        path.chmod(path.stat().st_mode | 0o777)
    layers = [{'name': '1' * 64, 'layer': 'small.tar'}, {'name': '2' * 64, 'layer': 'large.tar'}]
    tags = ['example/fixed:1.0', 'example/täg:1.0']
    output.unlink()
    parts = 'image.tar', 'a' * 64, layers, 'config.json', tags
    names = {'name': '1.0', 'repository': 'example/fixed'}
    assert as_another_user(tmp_path, lambda: create_image.create_image(*parts, **names) or 0) == 0
    assert output.stat().st_uid == 12345
    assert sha256(output.read_bytes()) == FIXED_DIGEST


# Tar readers other than Python's.


@pytest.fixture
def long_names(tmp_path):
    """An image whose members have every kind of name, and the names."""
    names_ = [
        'short',
        'p' * 64 + '/' + 'n' * 64,
        'n' * 150,
        'd/' * 90 + 'file',
        'ünïcode/naïve.tar',
    ]
    names_ += ['ü' * 120]
    large = b'large' * 20000
    base = make_tar(tmp_path / 'base.tar', {name: name.encode() for name in names_})
    big = make_tar(tmp_path / 'big.tar', {'l' * 130 + str(n): large for n in range(2)})
    (tmp_path / 'config.json').write_text('{}')
    first = tmp_path / 'first.tar'
    config = f'--config={tmp_path}/config.json'
    build(f'--output={first}', '--id=1', config, f'--legacy_base={base}')
    build(f'--output={tmp_path}/image.tar', '--id=2', config, f'--legacy_base={big}')
    create_image.create_image(
        str(tmp_path / 'image.tar'), 'i', [{'name': 'l', 'layer': str(big)}],
        str(tmp_path / 'config.json'), legacy_base=str(first),
    )  # fmt: skip
    return tmp_path / 'image.tar', [*names_, 'i/l.tar']


@pytest.mark.parametrize('reader', ['tar', 'bsdtar', 'busybox', 'python'])
def test_other_readers(long_names, reader, tmp_path):
    image, expected = long_names
    folder = tmp_path / 'out'
    folder.mkdir()
    if reader == 'python':
        with tarfile.open(image) as tar:
            tar.extractall(folder)
    else:
        require(reader)
        command = ['busybox', 'tar'] if reader == 'busybox' else [reader]
        done = subprocess.run(
            [*command, '-xf', image, '-C', folder],
            capture_output=True,
            env=environment(LC_ALL='C.UTF-8'),
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, b'')
    for name in expected[:-1]:
        assert (folder / name).read_bytes() == name.encode()
    assert (folder / 'i/l.tar').read_bytes() == (tmp_path / 'big.tar').read_bytes()
