# SPDX-License-Identifier: Apache-2.0
"""Identifiers, from flags and from files (section 3)."""

import pytest

from helpers import build, content, environment, fails, make_tar, manifest, names

# What a file may hold around an identifier.
FILES = ['{}', '{}\n', '\n {}\t', '{}  layer.tar\n', '{} *a b\n']


@pytest.mark.parametrize('text', FILES)
def test_from_files(parts, text):
    (layer_id, layer) = parts.layers[0]
    (parts.folder / 'id').write_text(text.format(parts.id))
    (parts.folder / 'layer_id').write_text(text.format(layer_id))
    build(*parts.flags)
    direct = parts.output.read_bytes()
    flags = ['--id=@id', f'--layer=@layer_id={layer}']
    build(*parts.without('id', 'layer'), *flags, cwd=parts.folder)
    assert parts.output.read_bytes() == direct


@pytest.mark.parametrize('text', FILES)
def test_legacy_id_from_a_file(parts, text):
    identifier = 'c' * 64
    (parts.folder / 'legacy_id').write_text(text.format(identifier))
    build(*parts.flags, '--legacy_id=@legacy_id', '--metadata=config.json', cwd=parts.folder)
    assert content(parts.output, 'top') == identifier.encode()
    assert content(parts.output, f'{identifier}/VERSION') == b'1.0'


def test_the_first_equals_sign_separates(parts):
    identifier, layer = parts.layers[0]
    copy = layer.rename(parts.folder / 'a=b.tar')
    build(*parts.without('layer'), f'--layer={identifier}={copy}')
    assert content(parts.output, f'{parts.id}/{identifier}.tar') == copy.read_bytes()


def test_need_not_be_hex(parts):
    flags = ['--id=an image', f'--layer=l={parts.layers[0][1]}']
    build(*parts.without('id', 'layer'), *flags, warnings=True)
    assert names(parts.output) == ['an image.json', 'an image', 'an image/l.tar', 'manifest.json']


def test_are_the_same_in_every_locale(parts):
    flags = [*parts.without('id', 'layer'), '--id=é', f'--layer=ü={parts.layers[0][1]}']
    build(*flags, env=environment(LC_ALL='C.UTF-8'), warnings=True)
    expected = parts.output.read_bytes()
    posix = environment(LC_ALL='POSIX', PYTHONCOERCECLOCALE='0', PYTHONUTF8='0')
    build(*flags, env=posix, warnings=True)
    assert parts.output.read_bytes() == expected
    assert manifest(parts.output)['Layers'] == ['é/ü.tar']


def test_a_legacy_id_that_is_not_utf_8_keeps_its_bytes(parts):
    flags = [b'--legacy_id=\xff', f'--metadata={parts.config}']
    build(*parts.flags, *flags, warnings=True)
    assert content(parts.output, 'top') == b'\xff'
    assert '\udcff/layer.tar' in names(parts.output)
    assert manifest(parts.output)['Layers'] == ['\udcff/layer.tar']


# What a file holds, or the flag itself, and how the error names it.
BAD_FILES = {
    'empty': (b'', "'file' has no identifier"),
    'blank': (b' \n', "'file' has no identifier"),
    'binary': (b'\xff\xfe', "'file' has no identifier"),
    'NUL': (b'a\0b', r"'a\x00b'"),
    'a path': (b'a/b', "'a/b'"),
}
BAD_VALUES = ['a/b', '/', '.', '..']


def check(parts, flag, word, *flags):
    """Checks that the flag is refused, with a word, and nothing written."""
    line = fails(*flags, cwd=parts.folder)
    assert line.startswith(f'{flag}')
    assert word in line
    assert not parts.output.exists()


@pytest.mark.parametrize('case', BAD_FILES)
@pytest.mark.parametrize('flag', ['--id', '--layer', '--legacy_id'])
def test_no_path_component_in_a_file(parts, flag, case):
    data, word = BAD_FILES[case]
    (parts.folder / 'file').write_bytes(data)
    check(parts, flag, word, *bad_flags(parts, flag, '@file'))


@pytest.mark.parametrize('value', BAD_VALUES)
@pytest.mark.parametrize('flag', ['--id', '--layer', '--legacy_id'])
def test_no_path_component(parts, flag, value):
    check(parts, flag, f"'{value}'", *bad_flags(parts, flag, value))


def bad_flags(parts, flag, value):
    if flag == '--layer':
        return [*parts.flags, f'--layer={value}={make_tar(parts.folder / "other.tar", {})}']
    if flag == '--legacy_id':
        return [*parts.flags, f'--legacy_id={value}', '--metadata=config.json']
    return [*parts.without('id'), f'--id={value}']


@pytest.mark.parametrize('name', ['manifest', 'manifest.json', 'index', 'index.json', 'top'])
def test_names_that_are_taken(parts, name):
    """By what the archive holds beside the image's parts, or may not hold."""
    if name != 'top':
        check(parts, '--id', "json'", *parts.without('id'), f'--id={name}')
    flags = [f'--legacy_id={name}', '--metadata=config.json']
    if name in ('top', 'manifest.json', 'index.json'):
        check(parts, '--id or --legacy_id', f"'{name}'", *parts.flags, *flags)
