# SPDX-License-Identifier: Apache-2.0
"""Bad input: one line, status 1, the output untouched, nothing left behind."""

import bz2
import gzip
import json
import lzma
import os
import tarfile

import pytest

import create_image
from archive import TarFileWriter
from conftest import DATA, as_another_user, fails, make_tar, manifest, run

BASE = DATA / 'bases' / 'docker-20.10.tar'


def without(flags, name):
    return [flag for flag in flags if not flag.startswith(f'--{name}=')]


def check(parts, flags, *words):
    """Has the tool fail on flags, with an output there before and without."""
    before = set(parts.folder.iterdir())
    line = fails(*flags, cwd=parts.folder)
    assert set(parts.folder.iterdir()) == before
    parts.output.write_bytes(b'previous')
    assert fails(*flags, cwd=parts.folder) == line
    assert parts.output.read_bytes() == b'previous'
    assert set(parts.folder.iterdir()) == before | {parts.output}
    for word in words:
        assert word in line
    # What is wrong, and behind the last colon what to do.
    assert len(line.split(': ')) >= 3


# Flags to take away, flags to add, and what the line must name.
ARGUMENTS = [
    ('id', [], ['--id']),
    ('config', [], ['--config']),
    ('id', ['--id='], ['--id']),
    ('', ['positional'], ["'positional'"]),
    ('', ['--unknown=1'], ['unknown']),
    ('', ['--verify=perhaps'], ['verify']),
    ('', ['--flagfile=missing'], ['missing']),
    ('', ['--layer=no-equals-sign'], ['--layer', "'no-equals-sign'"]),
    ('', ['--layer==layer0.tar'], ['--layer', "'=layer0.tar'"]),
    ('', ['--layer=id='], ['--layer', "'id='"]),
    ('', ['--layer='], ['--layer', "''"]),
    ('id', ['--id=a/b'], ['--id', "'a/b'"]),
    ('id', ['--id=.'], ['--id', "'.'"]),
    ('id', ['--id=..'], ['--id', "'..'"]),
    ('id', ['--id=@empty'], ['--id', "'empty'"]),
    ('id', ['--id=@blank'], ['--id', "'blank'"]),
    ('id', ['--id=@nul'], ['--id', r"'a\x00b'"]),
    ('id', ['--id=@slash'], ['--id', "'a/b'"]),
    ('id', ['--id=manifest'], ['--id', "'manifest.json'"]),
    ('id', ['--id=index'], ['--id', "'index.json'"]),
    ('id', ['--id=manifest.json'], ['--id', "'manifest.json'"]),
    ('id', ['--id=@binary'], ['--id', "'binary'"]),
    ('id', ['--id=@missing'], ["'missing'", 'No such file']),
    ('id', ['--id=@folder'], ["'folder'", 'directory']),
    ('', ['--layer=@missing=layer0.tar'], ["'missing'", 'No such file']),
    ('', ['--layer=a/b=layer0.tar'], ['--layer', "'a/b'", "'layer0.tar'"]),
    ('', ['--layer=@empty=layer0.tar'], ['--layer', "'empty'"]),
    ('', ['--layer=id=missing'], ["'missing'", 'No such file']),
    ('', ['--layer=id=folder'], ["'folder'", 'regular file']),
    ('', ['--layer=id=fifo'], ["'fifo'", 'regular file']),
    ('config', ['--config=missing'], ["'missing'", 'No such file']),
    ('config', ['--config=folder'], ["'folder'", 'regular file']),
    ('config', ['--config=/dev/zero'], ["'/dev/zero'", 'regular file']),
    ('', ['--base=missing'], ["'missing'", 'No such file']),
    ('', ['--base=folder'], ["'folder'", 'regular file']),
    ('', ['--legacy_base=missing'], ["'missing'", 'No such file']),
    ('', ['--legacy_id=old'], ['--metadata', '--legacy_id']),
    ('', ['--legacy_id=a/b', '--metadata=config.json'], ['--legacy_id', "'a/b'"]),
    ('', ['--legacy_id=old', '--metadata=missing'], ["'missing'", 'No such file']),
    ('', ['--legacy_id=', '--metadata=config.json'], ['--legacy_id', "''"]),
    ('', ['--legacy_id=top', '--metadata=config.json'], ['--legacy_id', "'top'"]),
    (
        '',
        ['--legacy_id=manifest.json', '--metadata=config.json'],
        ['--legacy_id', "'manifest.json'"],
    ),
    ('layer', ['--legacy_id=old', '--metadata=config.json'], ['--legacy_id', '--layer']),
    (
        '',
        ['--legacy_id=old', '--metadata=config.json', '--layer=2=layer0.tar'],
        ['--legacy_id', '--layer'],
    ),
    ('', ['--repository=r'], ['--repository', '--name']),
    ('', ['--stderrthreshold=bad'], ['--help']),
]


@pytest.mark.parametrize(('gone', 'added', 'words'), ARGUMENTS)
def test_arguments(parts, gone, added, words):
    files = {'empty': b'', 'blank': b' \n', 'nul': b'a\0b', 'slash': b'a/b', 'binary': b'\xff\xfe'}
    for name, data in files.items():
        (parts.folder / name).write_bytes(data)
    (parts.folder / 'folder').mkdir()
    os.mkfifo(parts.folder / 'fifo')
    check(parts, [*without(parts.flags, gone), *added], *words)


def test_missing_output(parts):
    assert '--output' in fails(*without(parts.flags, 'output'))


@pytest.mark.parametrize('output', ['missing/image.tar', 'config.json/image.tar', 'folder'])
def test_output_that_cannot_be(parts, output):
    (parts.folder / 'folder').mkdir()
    before = set(parts.folder.iterdir())
    line = fails(*parts.flags, f'--output={output}', cwd=parts.folder)
    assert f"'{output}'" in line
    assert 'check the path' in line
    assert set(parts.folder.iterdir()) == before


def base_of(folder, content, name='manifest.json'):
    return make_tar(folder / 'base.tar', {name: content}).read_bytes()


def cut(data):
    return data[: data.rindex(b'manifest.json') - 700]


def entries(entry):
    return lambda folder: base_of(folder, json.dumps([entry]).encode())


# What stands in the base, and words of the line.
WRONG_BASES = {
    'empty file': (lambda _: b'', "' is cut off or not a tar archive: "),
    'text': (lambda _: b'this is no archive\n' * 100, "' is damaged or not a tar archive: "),
    'one byte': (lambda _: b'x', "' is cut off or not a tar archive: "),
    'cut in a member': (lambda _: cut(BASE.read_bytes()), "' is cut off in or after member '"),
    'cut gzip': (lambda _: gzip.compress(BASE.read_bytes())[:-3000], "' is cut off"),
    'cut bzip2': (lambda _: bz2.compress(BASE.read_bytes())[:-900], "' is cut off"),
    'cut xz': (lambda _: lzma.compress(BASE.read_bytes())[:-900], "' is cut off"),
    'bad gzip': (lambda _: b'\x1f\x8b' + bytes(1000), "' is damaged or not a tar archive: "),
    'bad bzip2': (lambda _: b'BZh9' + bytes(1000), "' is damaged or not a tar archive: "),
    'bad xz': (
        lambda _: b'\xfd7zXZ\0' + bytes(1000),
        '(Corrupt input data) or not a tar archive: ',
    ),
    'bad zstd': (lambda _: b'\x28\xb5\x2f\xfd' + bytes(1000), 'base.tar'),
    'not JSON': (lambda folder: base_of(folder, b'[{'), 'not a JSON list'),
    'not UTF-8': (lambda folder: base_of(folder, b'\xff\xff\xff'), 'not a JSON list'),
    'nested': (lambda folder: base_of(folder, b'[' * 100000 + b']' * 100000), 'not a JSON list'),
    'an object': (lambda folder: base_of(folder, b'{}'), 'not a JSON list'),
    'null': (lambda folder: base_of(folder, b'null'), 'not a JSON list'),
    'entry null': (entries(None), 'Config or Layers'),
    'entry a list': (entries([]), 'Config or Layers'),
    'no Config': (entries({'Layers': []}), 'Config or Layers'),
    'Config a number': (entries({'Config': 1}), 'Config or Layers'),
    'Config null': (entries({'Config': None}), 'Config or Layers'),
    'Layers a string': (entries({'Config': 'c', 'Layers': ''}), 'Config or Layers'),
    'Layers an object': (entries({'Config': 'c', 'Layers': {}}), 'Config or Layers'),
    'Layers of numbers': (entries({'Config': 'c', 'Layers': ['l', 1]}), 'Config or Layers'),
    'Layers outside': (entries({'Config': 'c', 'Layers': ['../l']}), 'Config or Layers'),
}


@pytest.mark.parametrize('case', WRONG_BASES)
def test_base(parts, case):
    make, words = WRONG_BASES[case]
    base = parts.folder / 'base.tar'
    base.write_bytes(make(parts.folder))
    check(parts, [*parts.flags, f'--base={base}'], 'base.tar', words)


@pytest.mark.parametrize('case', [case for case in WRONG_BASES if 'cut' in case or 'bad' in case])
def test_legacy_base(parts, case):
    make, words = WRONG_BASES[case]
    base = parts.folder / 'base.tar'
    base.write_bytes(make(parts.folder))
    check(parts, [*parts.flags, f'--legacy_base={base}'], 'base.tar', words)


MEMBERS = {
    '..': ({'name': 'a/../b'}, "'..'"),
    'outside': ({'name': '../b'}, "'..'"),
    'hard link outside': ({'type': tarfile.LNKTYPE, 'linkname': '../c'}, "'..'"),
    'hard link to nothing': ({'type': tarfile.LNKTYPE, 'linkname': 'c'}, 'hard link'),
    'device': ({'type': tarfile.CHRTYPE}, 'not a file, directory or link'),
    'block device': ({'type': tarfile.BLKTYPE}, 'not a file, directory or link'),
    'FIFO': ({'type': tarfile.FIFOTYPE}, 'not a file, directory or link'),
    'unknown type': ({'type': b'Z'}, 'not a file, directory or link'),
    'below a file': ({'name': 'first/below'}, 'not a directory'),
    'no name': ({'name': '/'}, 'no name'),
    'deep': ({'name': 'a/' * 2000 + 'b'}, 'is too long'),
}


@pytest.mark.parametrize('case', MEMBERS)
def test_member_of_a_base(parts, case):
    fields, words = MEMBERS[case]
    base = parts.folder / 'base.tar'
    with tarfile.open(base, 'w') as tar:
        tar.addfile(tarfile.TarInfo('first'))
        info = tarfile.TarInfo('second')
        for name, value in fields.items():
            setattr(info, name, value)
        tar.addfile(info)
    check(parts, [*parts.flags, f'--legacy_base={base}'], 'base.tar', words)


def test_what_may_not_be_read_or_written(tmp_path):
    """As another user; root may do all."""
    (tmp_path / 'config.json').write_text('{}')
    (tmp_path / 'closed').mkdir(mode=0o700)
    (tmp_path / 'secret.tar').touch(mode=0o600)
    (tmp_path / 'open').mkdir()
    (tmp_path / 'open').chmod(0o777)
    for path in [tmp_path, *tmp_path.parents[:-2]]:
        path.chmod(0o755)
    cases = [
        ('open/i.tar', [{'name': 'l', 'layer': 'secret.tar'}], 'secret.tar'),
        ('closed/i.tar', [], 'closed/i.tar'),
        ('i.tar', [], 'i.tar'),
    ]
    for output, layers, name in cases:

        def names_the_file(output=output, layers=layers, name=name):
            try:
                create_image.create_image(output, 'i', layers, 'config.json')
            except PermissionError as error:
                return int(error.filename != name)
            return 2

        assert as_another_user(tmp_path, names_the_file) == 0, name
    assert len(list(tmp_path.rglob('*'))) == 4


@pytest.mark.parametrize('flag', ['--layer=l=', '--legacy_base=', '--base='])
def test_nothing_is_streamed_when_a_file_is_missing(parts, flag):
    done = run(*parts.flags, '--output=-', flag + 'missing')
    assert (done.returncode, done.stdout) == (1, b'')
    assert done.stderr.startswith(b"create_image: 'missing': No such file")


def test_from_python(parts):
    layers = [{'name': 'l', 'layer': str(parts.layers[0][1])}]
    output, config = str(parts.output), str(parts.config)
    bad = parts.folder / 'bad.tar'
    bad.write_bytes(b'x' * 1024)
    with pytest.raises(ValueError, match='--id'):
        create_image.create_image(output, 'a/b', layers, config)
    with pytest.raises(ValueError, match='--layer'):
        create_image.create_image(output, 'a', [{'name': '', 'layer': 'x'}], config)
    with pytest.raises(ValueError, match='--legacy_id'):
        create_image.create_image(output, 'a', layers, config, metadata_id='v1')
    with pytest.raises(ValueError, match='--repository'):
        create_image.create_image(output, 'a', layers, config, repository='r')
    with pytest.raises(FileNotFoundError, match='missing'):
        create_image.create_image(output, 'a', layers, 'missing')
    with pytest.raises(TarFileWriter.Error, match=r'bad\.tar'):
        create_image.create_image(output, 'a', layers, config, base=str(bad))
    assert not parts.output.exists()


def test_a_line_stays_one_line(parts):
    """Whatever stands in the arguments."""
    assert r"'two\nlines'" in fails(*parts.flags, '--base=two\nlines')
    assert 'two lines' in fails(*parts.flags, '--two\nlines')


def test_a_layer_of_the_base_is_not_replaced(parts):
    """By a legacy ID that names a folder of it."""
    (layer,) = [m.rpartition('/')[0] for m in manifest(BASE)['Layers'][-1:]]
    legacy = [f'--legacy_id={layer}', '--metadata=config.json']
    check(parts, [*parts.flags, f'--base={BASE}', f'--legacy_base={BASE}', *legacy], '--legacy_id')
