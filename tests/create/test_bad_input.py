# SPDX-License-Identifier: Apache-2.0
"""Bad input: one line on stderr, status 1, the output untouched, no files left (section 9)."""

import bz2
import functools
import gzip
import json
import lzma
import os
import tarfile

import pytest

import create_image
from support.images import BaseImage, Parts, write_base
from support.needs import as_another_user
from support.project import DATA
from support.running import fails, run
from support.tars import (
    HARD,
    LINK,
    make_tar,
    manifest,
    member,
    members,
    python_reads_zstd,
    tar_of,
    write_tar,
)

BASE = DATA / 'bases' / 'docker-20.10.tar'
V1_ID = 'c' * 64


def check(parts, flags, *words):
    """Checks that the tool fails with these flags, with and without an existing output."""
    before = set(parts.directory.iterdir())
    line = fails(*flags, cwd=parts.directory)
    assert set(parts.directory.iterdir()) == before
    parts.output.write_bytes(b'previous')
    assert fails(*flags, cwd=parts.directory) == line
    assert parts.output.read_bytes() == b'previous'
    assert set(parts.directory.iterdir()) == before | {parts.output}
    for word in words:
        assert word in line
    # The problem, then a colon and what to do about it.
    assert ': ' in line


# Flags.

# Flags added to good ones, and words of the error.
ADDED = [
    ('positional', "'positional'"),
    ('--unknown=1', 'unknown'),
    ('--verify=perhaps', 'verify'),
    ('--flagfile=missing', 'missing'),
    ('--stderrthreshold=bad', '--help'),
    ('--layer=no-equals-sign', "--layer: 'no-equals-sign'"),
    ('--layer==layer0.tar', "--layer: '=layer0.tar'"),
    ('--layer=id=', "--layer: 'id='"),
    ('--repository=r', '--repository: give --name'),
    (f'--legacy_id={V1_ID}', '--legacy_id: give --metadata'),
]


@pytest.mark.parametrize(('flag', 'words'), ADDED)
def test_bad_flag_is_an_error(parts, flag, words):
    check(parts, [*parts.flags, flag], words)


@pytest.mark.parametrize('name', ['id', 'config'])
@pytest.mark.parametrize('value', [None, ''])
def test_missing_or_empty_required_flag_is_an_error(parts, name, value):
    flags = parts.without(name)
    if value is not None:
        flags.append(f'--{name}={value}')
    check(parts, flags, f'--{name}')


def test_missing_output_flag_is_an_error(parts):
    before = set(parts.directory.iterdir())
    assert '--output' in fails(*parts.without('output'))
    assert set(parts.directory.iterdir()) == before


@pytest.mark.parametrize('layers', [0, 2])
def test_legacy_id_requires_exactly_one_layer(tmp_path, layers):
    image = Parts(tmp_path, [{'a': b''}, {'b': b''}])
    image.layers = image.layers[:layers]
    flags = [f'--legacy_id={V1_ID}', '--metadata=config.json']
    check(image, [*image.flags, *flags], '--legacy_id', '--layer')


def test_legacy_id_must_not_replace_a_layer_of_the_base(parts):
    """The legacy ID is the name of one of the base's directories."""
    directory, _, _ = manifest(BASE)['Layers'][0].partition('/')
    flags = [f'--base={BASE}', f'--legacy_base={BASE}']
    legacy = [f'--legacy_id={directory}', '--metadata=config.json']
    check(parts, [*parts.flags, *flags, *legacy], '--legacy_id')


@pytest.mark.parametrize('kind', [LINK, HARD])
@pytest.mark.parametrize('flags', [[], ['--verify']])
def test_legacy_id_must_not_replace_the_target_of_a_linked_layer(tmp_path, kind, flags):
    target = {LINK: f'../{V1_ID}/layer.tar', HARD: f'{V1_ID}/layer.tar'}
    lower = BaseImage([f'{V1_ID}/layer.tar'])
    entry = {**lower.entry, 'Layers': ['y/layer.tar']}
    link = member('y/layer.tar', kind=kind, linkname=target[kind])
    base = write_base(tmp_path / 'base.tar', lower, entries=[entry], more=[link])
    image = Parts(tmp_path, below=lower.diff_ids, base=base)
    legacy = [f'--legacy_id={V1_ID}', '--metadata=config.json']
    text = f"'{V1_ID}/layer.tar' is in --base or reserved: change it"
    line = fails(*image.flags, *legacy, *flags, cwd=tmp_path)
    assert line == f'--id or --legacy_id: {text}'
    assert not image.output.exists()


def test_error_is_one_line(parts):
    """Even if an argument contains newlines."""
    assert r"'two\nlines'" in fails(*parts.flags, '--base=two\nlines')
    assert 'two lines' in fails(*parts.flags, '--two\nlines')


# Files.


@pytest.mark.parametrize('flag', ['--id=@', '--layer=@=layer0.tar', '--legacy_id=@'])
def test_at_sign_without_a_file_name_is_an_error(parts, flag):
    name = flag.partition('=')[0]
    assert fails(*parts.flags, flag).startswith(f'{name}: @ names no file: ')


# Flags that name a file; {} is its path.
FILE_FLAGS = {
    'id': ['--id=@{}'],
    'layer id': ['--layer=@{}=layer0.tar'],
    'layer': [f'--layer={"d" * 64}={{}}'],
    'config': ['--config={}'],
    'base': ['--base={}'],
    'legacy base': ['--legacy_base={}'],
    'metadata': [f'--legacy_id={V1_ID}', '--metadata={}'],
}


def with_file(parts, case, path):
    return [*parts.flags, *(flag.format(path) for flag in FILE_FLAGS[case])]


@pytest.mark.parametrize('case', FILE_FLAGS)
def test_missing_file_is_an_error(parts, case):
    check(parts, with_file(parts, case, 'missing'), "'missing'", 'No such file')


@pytest.mark.parametrize('case', FILE_FLAGS)
def test_directory_instead_of_a_file_is_an_error(parts, case):
    (parts.directory / 'directory').mkdir()
    line = fails(*with_file(parts, case, 'directory'), cwd=parts.directory)
    texts = ['Not a regular file', 'Is a directory', 'is a directory, but not an OCI image layout']
    assert any(line.removeprefix("'directory'").lstrip(': ').startswith(text) for text in texts)
    assert not parts.output.exists()


@pytest.mark.parametrize('case', ['layer', 'base', 'legacy base'])
def test_pipe_as_layer_or_base_is_an_error(parts, case):
    os.mkfifo(parts.directory / 'fifo')
    check(parts, with_file(parts, case, 'fifo'), "'fifo'", 'regular file')


@pytest.mark.parametrize('case', ['layer', 'base', 'legacy base'])
def test_device_as_layer_or_base_is_an_error(parts, case):
    check(parts, with_file(parts, case, '/dev/zero'), "'/dev/zero'", 'regular file')


@pytest.mark.parametrize('case', ['layer', 'base', 'legacy base'])
def test_nothing_is_written_to_stdout_if_a_file_is_missing(parts, case):
    done = run(*with_file(parts, case, 'missing'), '--output=-')
    assert (done.returncode, done.stdout) == (1, b'')
    assert done.stderr.startswith(b"create_image: 'missing': No such file")


@pytest.mark.parametrize('output', ['missing/image.tar', 'config.json/image.tar', 'directory'])
def test_output_path_that_cannot_be_written_is_an_error(parts, output):
    (parts.directory / 'directory').mkdir()
    before = set(parts.directory.iterdir())
    line = fails(*parts.flags, f'--output={output}', cwd=parts.directory)
    assert f"'{output}'" in line
    assert 'check the path' in line
    assert set(parts.directory.iterdir()) == before


# Output, layer, and the one of them that another user cannot write or read.
FORBIDDEN = {
    'a layer': ('open/i.tar', 'secret.tar', 'secret.tar'),
    'a directory that is closed': ('closed/i.tar', 'layer0.tar', 'closed/i.tar'),
    'a directory that is read-only': ('i.tar', 'layer0.tar', 'i.tar'),
}


@pytest.mark.parametrize('case', FORBIDDEN)
def test_error_names_the_file_without_permission(parts, case):
    """Runs as another user, as root has every permission."""
    output, layer, named = FORBIDDEN[case]
    directory = parts.directory
    (directory / 'closed').mkdir(mode=0o700)
    (directory / 'secret.tar').touch(mode=0o600)
    (directory / 'open').mkdir()
    (directory / 'open').chmod(0o777)
    for path in [directory, *directory.parents[:-2]]:
        path.chmod(0o755)
    before = set(directory.rglob('*'))
    layers = [{'name': parts.layers[0][0], 'layer': layer}]

    def names_the_file():
        try:
            create_image.create_image(output, parts.id, layers, 'config.json')
        except PermissionError as error:
            return 0 if error.filename == named else 1
        return 2

    assert as_another_user(directory, names_the_file) == 0
    assert set(directory.rglob('*')) == before


# Bases that are not tar archives, and bases with a bad manifest.


def cut(pack, bytes_lost):
    return pack(BASE.read_bytes())[:-bytes_lost]


def plain_cut():
    """Returns BASE, cut in the middle of a member."""
    data = BASE.read_bytes()
    return data[: data.rindex(b'manifest.json') - 700]


ZSTD = "' is damaged" if python_reads_zstd() else "' is zstd: unpack it"
# Content of the base, and words of the error.
NO_ARCHIVES = {
    'empty file': (b'', "' is cut off or not a tar archive: "),
    'text': (b'this is no archive\n' * 100, "' is damaged or not a tar archive: "),
    'one byte': (b'x', "' is cut off or not a tar archive: "),
    'cut in a member': (plain_cut(), "' is cut off in or after member '"),
    'cut gzip': (cut(gzip.compress, 3000), "' is cut off"),
    'cut bzip2': (cut(bz2.compress, 900), "' is cut off"),
    'cut xz': (cut(lzma.compress, 900), "' is cut off"),
    'bad gzip': (b'\x1f\x8b' + bytes(1000), "' is damaged or not a tar archive: "),
    'bad bzip2': (b'BZh9' + bytes(1000), "' is damaged or not a tar archive: "),
    'bad xz': (b'\xfd7zXZ\0' + bytes(1000), "' is damaged or not a tar archive: "),
    'bad zstd': (b'\x28\xb5\x2f\xfd' + b'\xff' * 1000, ZSTD),
}


@pytest.mark.parametrize('flag', ['--base', '--legacy_base'])
@pytest.mark.parametrize('case', NO_ARCHIVES)
def test_base_that_is_not_an_archive_is_an_error(parts, case, flag):
    data, words = NO_ARCHIVES[case]
    (parts.directory / 'base.tar').write_bytes(data)
    check(parts, [*parts.flags, f'{flag}=base.tar'], "'base.tar", words)


NO_LIST = 'manifest.json is not a JSON list'
BAD_ENTRY = 'manifest.json lacks a valid Config or Layers'
MANIFESTS = {
    'not JSON': (b'[{', 'manifest.json is not JSON'),
    'not UTF-8': (b'\xff\xff\xff', 'manifest.json is not in UTF-8'),
    'nested': (b'[' * 100000 + b']' * 100000, 'manifest.json is nested over 100 levels deep'),
    'of over 4 MiB': (b'[' + b' ' * (4 << 20) + b']', "'manifest.json' has over 4194304 bytes"),
    'a byte order mark': (b'\xef\xbb\xbf[]', 'manifest.json is not JSON'),
    'UTF-16': ('[]'.encode('utf-16'), 'manifest.json is not in UTF-8'),
    'UTF-16 without a mark': ('[]'.encode('utf-16-le'), 'manifest.json is not JSON'),
    'NaN': (b'[NaN]', 'manifest.json is not JSON'),
    'an object': (b'{}', NO_LIST),
    'null': (b'null', NO_LIST),
    'entry null': (b'[null]', BAD_ENTRY),
    'entry a list': (b'[[]]', BAD_ENTRY),
    'no Config': (b'[{"Layers": []}]', BAD_ENTRY),
    'Config a number': (b'[{"Config": 1}]', BAD_ENTRY),
    'Config null': (b'[{"Config": null}]', BAD_ENTRY),
    'Config outside': (b'[{"Config": "../c"}]', BAD_ENTRY),
    'Layers a string': (b'[{"Config": "c", "Layers": ""}]', BAD_ENTRY),
    'Layers an object': (b'[{"Config": "c", "Layers": {}}]', BAD_ENTRY),
    'Layers of numbers': (b'[{"Config": "c", "Layers": ["l", 1]}]', BAD_ENTRY),
    'Layers outside': (b'[{"Config": "c", "Layers": ["../l"]}]', BAD_ENTRY),
}


@pytest.mark.parametrize('case', MANIFESTS)
def test_bad_manifest_of_the_base_is_an_error(parts, case):
    text, words = MANIFESTS[case]
    make_tar(parts.directory / 'base.tar', {'manifest.json': text})
    check(parts, [*parts.flags, '--base=base.tar'], "'base.tar'", words)


def test_only_the_last_manifest_entry_is_checked(tmp_path):
    """A bad entry before it is ignored."""
    last = json.dumps(manifest(BASE)).encode()
    entries = b'[{"Config": 1}, ' + last + b']'
    files = {m.name: data for m, data in members(BASE) if m.isreg()}
    base = make_tar(tmp_path / 'base.tar', {**files, 'manifest.json': entries})
    image = Parts(tmp_path)
    done = run(*image.flags, f'--base={base}', f'--legacy_base={base}')
    assert done.returncode == 0
    assert manifest(image.output)['Layers'][:2] == manifest(BASE)['Layers']


# Members that an image must not have.

bad = functools.partial(member, 'second')
DEEP = 'a/' * 128 + 'b'
MEMBERS = {
    '..': (member('a/../b'), "'..'"),
    'outside': (member('../b'), "'..'"),
    'hard link outside': (bad(kind=HARD, link='../c'), 'hard link'),
    'hard link to nothing': (bad(kind=HARD, link='c'), 'hard link'),
    'hard link to itself': (bad(kind=HARD, link='second'), 'hard link'),
    'device': (bad(kind=tarfile.CHRTYPE), 'not a file, directory or link'),
    'block device': (bad(kind=tarfile.BLKTYPE), 'not a file, directory or link'),
    'FIFO': (bad(kind=tarfile.FIFOTYPE), 'not a file, directory or link'),
    'unknown type': (bad(kind=b'Z'), 'not a file, directory or link'),
    'below a file': (member('first/below'), 'not a directory'),
    'no name': (member(''), 'no name'),
    '129 parts': (member(DEEP), 'is too long'),
    '4097 bytes': (member('n' * 4097), 'is too long'),
}


@pytest.mark.parametrize('case', MEMBERS)
def test_bad_member_of_a_base_is_an_error(parts, case):
    wrong, words = MEMBERS[case]
    write_tar(parts.directory / 'base.tar', member('first'), wrong)
    check(parts, [*parts.flags, '--legacy_base=base.tar'], "'base.tar'", words)


def test_member_name_of_128_parts_is_accepted(parts):
    name = 'a/' * 127 + 'b'
    (parts.directory / 'base.tar').write_bytes(tar_of(member(name)))
    done = run(*parts.flags, '--legacy_base=base.tar', cwd=parts.directory)
    assert (done.returncode, done.stderr) == (0, b'')
    assert name in [m.name for m, _ in members(parts.output)]
