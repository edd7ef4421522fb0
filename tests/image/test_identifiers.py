# SPDX-License-Identifier: Apache-2.0
"""Identifiers, from flags and from files (section 3)."""

import pytest

from support.images import configuration
from support.project import FIXTURES
from support.running import build, environment, fails, problems, warns
from support.tars import content, make_tar, manifest, names

# Content of a file with an identifier, as programs write it.
FILES = [
    '{}',
    '{}\n',
    '\n {}\t',
    '\ufeff{}\r\n',
    'sha256:{}\n',
    '{}  layer.tar\n',  # sha256sum
    '{} *a b\n',  # sha256sum --binary
    '\\{}  a\\nb.tar\n',  # sha256sum, of a name with a newline
    'SHA256 (layer.tar) = {}\n',  # the BSDs, sha256sum --tag
    '\\SHA256 (a\\nb.tar) = {}\n',  # sha256sum --tag, of a name with a newline
    'SHA256(a (1).tar)= {}\n',  # openssl 1
    '{}  a\udcff.tar\n',  # a name that is not UTF-8
    'SHA2-256(layer.tar)= {}\n',  # openssl 3
    'SHA256 hash of layer.tar:\r\n{}\r\nCertUtil: -hashfile command completed.\r\n',
    '{0}  layer.tar\n{0}  copy.tar\n',
]


UTF_8 = {'encoding': 'utf-8', 'errors': 'surrogateescape'}


@pytest.mark.parametrize('text', FILES)
def test_identifiers_from_files(parts, text):
    (layer_id, layer) = parts.layers[0]
    (parts.directory / 'id').write_text(text.format(parts.id), **UTF_8)
    (parts.directory / 'layer_id').write_text(text.format(layer_id), **UTF_8)
    build(*parts.flags)
    direct = parts.output.read_bytes()
    flags = ['--id=@id', f'--layer=@layer_id={layer}']
    build(*parts.without('id', 'layer'), *flags, cwd=parts.directory)
    assert parts.output.read_bytes() == direct


@pytest.mark.parametrize('change', [str.upper, 'sha256:{}'.format])
def test_upper_case_and_prefix_are_normalised(parts, change):
    """On the command line and in a file; the archive is the same."""
    (layer_id, layer) = parts.layers[0]
    build(*parts.flags)
    expected = parts.output.read_bytes()
    (parts.directory / 'id').write_text(change(parts.id))
    for identifier in (change(parts.id), f'@{parts.directory}/id'):
        flags = [f'--id={identifier}', f'--layer={change(layer_id)}={layer}', '--verify']
        build(*parts.without('id', 'layer'), *flags)
        assert parts.output.read_bytes() == expected


def test_file_in_utf_16_is_read(parts):
    """PowerShell's > writes such files."""
    (parts.directory / 'id').write_bytes(f'{parts.id}\r\n'.encode('utf-16'))
    build(*parts.without('id'), '--id=@id', '--verify', cwd=parts.directory)


def test_file_with_several_digests_gives_a_warning(parts):
    identifier, layer = parts.layers[0]
    (parts.directory / 'SHA256SUMS').write_text(f'{identifier}  a\n{"b" * 64}  b\n')
    flags = [*parts.without('layer'), f'--layer=@SHA256SUMS={layer}']
    line = "--layer: 'SHA256SUMS' has 2 digests, and the first is used: keep only one"
    assert warns(*flags, cwd=parts.directory) == [line]
    assert names(parts.output)[2] == f'{parts.id}/{identifier}.tar'
    assert problems(*flags, cwd=parts.directory) == [line]


@pytest.mark.parametrize('flag', ['--id', '--layer', '--legacy_id'])
def test_identifier_that_is_not_hex_is_reported_with_its_file(parts, flag):
    """It is reported once, under its own flag."""
    (parts.directory / 'words').write_text('some words\n')
    flags = bad_flags(parts, flag, '@words')
    found = [
        line
        for line in warns(*flags, cwd=parts.directory)
        if "'some' in 'words' is not 64 hex digits: give a SHA-256" in line
    ]
    assert len(found) == 1
    assert found[0].startswith(flag)
    parts.output.unlink()
    assert found[0] in problems(*flags, cwd=parts.directory)
    assert not parts.output.exists()


@pytest.mark.parametrize('flag', ['--id', '--layer'])
def test_wrong_identifier_is_the_only_problem(parts, flag):
    """The configuration, which has the right diff ID, is not reported."""
    layer = parts.layers[0][1]
    flags = [*parts.without('id'), f'--id={"a" * 64}']
    if flag == '--layer':
        flags = [*parts.without('layer'), f'--layer={"a" * 64}={layer}']
    (line,) = problems(*flags)
    assert line.startswith(f'{flag}: the ')
    assert f', not {"a" * 64}: ' in line


def test_wrong_identifier_is_reported_with_its_own_file(parts):
    """Two files have the same digest; only one of the flags is wrong."""
    identifier, layer = parts.layers[0]
    for name in ('wrong', 'right'):
        (parts.directory / name).write_text(identifier)
    flags = [*parts.without('id', 'layer'), '--id=@wrong', f'--layer=@right={layer}']
    (line,) = problems(*flags, cwd=parts.directory)
    assert line.startswith('--id: ')
    assert f"not {identifier} in 'wrong': correct" in line


@pytest.mark.parametrize('text', FILES)
def test_legacy_id_from_a_file(parts, text):
    identifier = 'c' * 64
    (parts.directory / 'legacy_id').write_text(text.format(identifier), **UTF_8)
    build(*parts.flags, '--legacy_id=@legacy_id', '--metadata=config.json', cwd=parts.directory)
    assert content(parts.output, 'top') == identifier.encode()
    assert content(parts.output, f'{identifier}/VERSION') == b'1.0'


def test_layer_path_can_have_an_equals_sign(parts):
    identifier, layer = parts.layers[0]
    copy = layer.rename(parts.directory / 'a=b.tar')
    build(*parts.without('layer'), f'--layer={identifier}={copy}')
    assert content(parts.output, f'{parts.id}/{identifier}.tar') == copy.read_bytes()


def test_identifiers_need_not_be_hex(parts):
    flags = ['--id=an image', f'--layer=l={parts.layers[0][1]}']
    build(*parts.without('id', 'layer'), *flags, warnings=True)
    assert names(parts.output) == ['an image.json', 'an image', 'an image/l.tar', 'manifest.json']


def test_identifiers_do_not_depend_on_the_locale(parts):
    flags = [*parts.without('id', 'layer'), '--id=é', f'--layer=ü={parts.layers[0][1]}']
    build(*flags, env=environment(LC_ALL='C.UTF-8'), warnings=True)
    expected = parts.output.read_bytes()
    posix = environment(LC_ALL='POSIX', PYTHONCOERCECLOCALE='0', PYTHONUTF8='0')
    build(*flags, env=posix, warnings=True)
    assert parts.output.read_bytes() == expected
    assert manifest(parts.output)['Layers'] == ['é/ü.tar']


def test_legacy_id_that_is_not_utf_8_keeps_its_bytes(parts):
    flags = [b'--legacy_id=\xff', f'--metadata={parts.config}']
    build(*parts.flags, *flags, warnings=True)
    assert content(parts.output, 'top') == b'\xff'
    assert '\udcff/layer.tar' in names(parts.output)
    assert manifest(parts.output)['Layers'] == ['\udcff/layer.tar']


def test_two_different_files_with_one_identifier_are_an_error(parts):
    identifier, layer = parts.layers[0]
    other = make_tar(parts.directory / 'other.tar', {'other': b''})
    flags = [*parts.flags, f'--layer={identifier}={other}']
    line = f"--layer: '{layer}' and '{other}' differ, and both are '{identifier}': correct an ID"
    assert fails(*flags) == line
    assert not parts.output.exists()


def test_two_equal_files_with_one_identifier_are_stored_once(parts):
    identifier, layer = parts.layers[0]
    copy = parts.directory / 'copy.tar'
    copy.write_bytes(layer.read_bytes())
    parts.layers.append((identifier, copy))
    parts.configure(configuration(parts.diff_ids))
    build(*parts.flags, '--verify')
    name = f'{parts.id}/{identifier}.tar'
    assert names(parts.output).count(name) == 1
    assert manifest(parts.output)['Layers'] == [name, name]


# Content of the file, and words of the error.
BAD_FILES = {
    'empty': (b'', "'file' has no identifier"),
    'blank': (b' \n', "'file' has no identifier"),
    'binary': (b'\xff\xfe', "'file' has no identifier"),
    'NUL': (b'a\0b', r"'a\x00b'"),
    'a path': (b'a/b', "'a/b'"),
}
BAD_VALUES = ['a/b', '/', '.', '..']


def check(parts, flag, word, *flags):
    """Checks that the tool refuses the flag, with the word in the error, and writes nothing."""
    line = fails(*flags, cwd=parts.directory)
    assert line.startswith(f'{flag}')
    assert word in line
    assert not parts.output.exists()


@pytest.mark.parametrize('case', BAD_FILES)
@pytest.mark.parametrize('flag', ['--id', '--layer', '--legacy_id'])
def test_bad_identifier_in_a_file_is_an_error(parts, flag, case):
    data, word = BAD_FILES[case]
    (parts.directory / 'file').write_bytes(data)
    check(parts, flag, word, *bad_flags(parts, flag, '@file'))


@pytest.mark.parametrize('value', BAD_VALUES)
@pytest.mark.parametrize('flag', ['--id', '--layer', '--legacy_id'])
def test_identifier_that_is_no_file_name_is_an_error(parts, flag, value):
    check(parts, flag, f"'{value}'", *bad_flags(parts, flag, value))


def bad_flags(parts, flag, value):
    if flag == '--layer':
        return [*parts.flags, f'--layer={value}={make_tar(parts.directory / "other.tar", {})}']
    if flag == '--legacy_id':
        return [*parts.flags, f'--legacy_id={value}', '--metadata=config.json']
    return [*parts.without('id'), f'--id={value}']


@pytest.mark.parametrize('name', ['manifest', 'manifest.json', 'index', 'index.json', 'top'])
def test_reserved_names_are_an_error(parts, name):
    """The archive has other members of these names, or must not have any."""
    if name != 'top':
        check(parts, '--id', "json'", *parts.without('id'), f'--id={name}')
    flags = [f'--legacy_id={name}', '--metadata=config.json']
    if name in ('top', 'manifest.json', 'index.json'):
        check(parts, '--id or --legacy_id', f"'{name}'", *parts.flags, *flags)


# A locale in which Python encodes file names as ASCII.
ASCII = environment(PYTHONUTF8='0', PYTHONCOERCECLOCALE='0', LC_ALL='C')


@pytest.mark.parametrize('program', ['create_image', 'create_image_config', 'join_layers'])
def test_file_whose_name_the_locale_cannot_encode_is_read(parts, program):
    (layer_id, layer) = parts.layers[0]
    (parts.directory / 'é.sha256').write_text(layer_id)
    flags = {
        'create_image': [*parts.without('layer'), f'--layer=@é.sha256={layer}'],
        'create_image_config': [f'--output={parts.output}', '--layer=@é.sha256'],
        'join_layers': [
            f'--output={parts.output}',
            f'--layer={FIXTURES / "docker-20.10.tar"}',
            '--id=@é.sha256',
        ],
    }
    build(*flags[program], program=program, cwd=parts.directory)
    expected = parts.output.read_bytes()
    build(*flags[program], program=program, cwd=parts.directory, env=ASCII)
    assert parts.output.read_bytes() == expected


@pytest.mark.parametrize('program', ['create_image', 'join_layers'])
def test_missing_file_whose_name_the_locale_cannot_encode_is_reported(parts, program):
    flags = [f'--output={parts.output}', f'--config={parts.config}', '--id=@é.sha256']
    if program == 'join_layers':
        flags[1] = f'--layer={FIXTURES / "docker-20.10.tar"}'
    line = fails(*flags, program=program, cwd=parts.directory, env=ASCII)
    assert line.endswith(': No such file or directory: check the path, its permissions and limits')
