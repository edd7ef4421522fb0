# SPDX-License-Identifier: Apache-2.0
"""build_tar: bad input gives one line, exit status 1, and nothing at the output."""

import os
import socket

import pytest

from support.layers import COMMON, base_of, layer_fails, make_layer
from support.running import fails, run_program
from support.tars import names, write_tar

LONG = 'a/' * 128 + 'b'
TIME = 'is not a time from 1970 on: give whole seconds since 1970, or 1970-01-01T00:00:00Z'
BAD_FLAGS = {
    'no destination': ('--file=x', "--file: 'x' is not SOURCE=DESTINATION: give both"),
    'an empty source': ('--file==x', "--file: '=x' is not SOURCE=DESTINATION: give both"),
    'an empty destination': ('--file=x=', "--file: 'x=' is not SOURCE=DESTINATION: give both"),
    'a destination above': (
        '--file=file=a/../b',
        "--file: 'a/../b' has '..' or NUL or is too long: give another path",
    ),
    'a deep destination': (
        f'--file=file={LONG}',
        f"--file: '{LONG[:200]}' has '..' or NUL or is too long: give another path",
    ),
    'a long component': (
        f'--link={"x" * 256}:y',
        f"--link: '{'x' * 200}' has over 255 bytes between slashes: shorten it",
    ),
    'a directory above': (
        '--directory=..',
        "--directory: '..' has '..' or NUL or is too long: give another path",
    ),
    'no target': ('--link=x', "--link: 'x' is not PATH:TARGET: give both"),
    'an empty path': ('--link=:x', "--link: ':x' is not PATH:TARGET: give both"),
    'an empty target': ('--link=x:', "--link: 'x:' is not PATH:TARGET: give both"),
    'a link at the top': ('--link=/:x', "--link: '/' to 'x' is no link: give path and target"),
    'a link above': (
        '--link=../x:y',
        "--link: '../x' has '..' or NUL or is too long: give another path",
    ),
    'a mode with 8': ('--mode=0888', "--mode: '0888' is not a mode: give octal digits like 0644"),
    'a mode over 07777': (
        '--mode=10000',
        "--mode: '10000' is not a mode: give octal digits like 0644",
    ),
    'a negative mode': ('--mode=-1', "--mode: '-1' is not a mode: give octal digits like 0644"),
    'letters as a mode': ('--mode=u+x', "--mode: 'u+x' is not a mode: give octal digits like 0644"),
    'modes without a path': (
        '--modes=0644',
        "--modes: '0644' is not a path, = and a value: give both",
    ),
    'modes without a mode': ('--modes=x=', "--modes: 'x=' is not a path, = and a value: give both"),
    'a bad mode of a path': (
        '--modes=x=9',
        "--modes: '9' is not a mode: give octal digits like 0644",
    ),
    'modes of nothing': (
        '--modes=x=0644',
        "--modes: 'x' is no file or directory of --file, --empty_dir or --empty_file: "
        'correct the path',
    ),
    'one number as an owner': (
        '--owner=1',
        "--owner: '1' is not UID.GID: give numbers up to 2147483647",
    ),
    'names as an owner': (
        '--owner=a.b',
        "--owner: 'a.b' is not UID.GID: give numbers up to 2147483647",
    ),
    'a large owner': (
        '--owner=1.2147483648',
        "--owner: '1.2147483648' is not UID.GID: give numbers up to 2147483647",
    ),
    'owners of nothing': (
        '--owners=x=1.1',
        "--owners: 'x' is no file or directory of --file, --empty_dir or --empty_file: "
        'correct the path',
    ),
    'a compression': ('--compression=zst', "--compression: 'zst' is unknown: give gz, bz2, xz"),
    'a time before': ('--mtime=-1', f"--mtime: '-1' {TIME}"),
    'a date before': ('--mtime=1969-12-31T23:59:59Z', f"--mtime: '1969-12-31T23:59:59Z' {TIME}"),
    'year 0': ('--mtime=0000-01-01T00:00:00Z', f"--mtime: '0000-01-01T00:00:00Z' {TIME}"),
    'a fraction': ('--mtime=2000-01-01T00:00:00.5Z', f"--mtime: '2000-01-01T00:00:00.5Z' {TIME}"),
    'seconds with a fraction': ('--mtime=1.5', f"--mtime: '1.5' {TIME}"),
    'a day that is none': (
        '--mtime=2023-02-29T00:00:00Z',
        f"--mtime: '2023-02-29T00:00:00Z' {TIME}",
    ),
    'a time after 9999': ('--mtime=253402300800', f"--mtime: '253402300800' {TIME}"),
    'delete without base': (
        '--delete=x',
        '--delete: only a file of a base can be deleted: give --base',
    ),
    'lower without base': ('--lower=x', '--lower: only a layer of a base is below: give --base'),
    'the top as an empty directory': (
        '--empty_dir=/',
        "--empty_dir: '/' is the top, which is there: leave it out",
    ),
    'the top as an empty file': (
        '--empty_file=/',
        "--empty_file: '/' is no name of a file: give one",
    ),
    'a directory as an empty file': (
        '--empty_file=x/',
        "--empty_file: 'x/' is no name of a file: give one",
    ),
    'a missing source': (
        '--file=missing=x',
        "'missing': No such file or directory: check the path, its permissions and limits",
    ),
    'a missing tarball': (
        '--tar=missing',
        "'missing': No such file or directory: check the path, its permissions and limits",
    ),
    'a missing package': (
        '--deb=missing',
        "'missing': No such file or directory: check the path, its permissions and limits",
    ),
    'a missing base': (
        '--base=missing',
        "'missing': No such file or directory: check the path, its permissions and limits",
    ),
    'a device': (
        '--file=/dev/null=x',
        "--file: '/dev/null' is a device, FIFO or socket: leave it out",
    ),
    'a directory as a tarball': (
        '--tar=.',
        "'.': Is a directory: check the path, its permissions and limits",
    ),
    'a file as a tarball': ('--tar=file', "'file' is cut off or not a tar archive: replace it"),
    'a directory that is missing': (
        '--id_file=missing/id',
        "'missing/id': No such file or directory: check the path, its permissions and limits",
    ),
    'a positional argument': ('file', "'file' is not a flag: begin every argument with --"),
}


@pytest.mark.parametrize('case', BAD_FLAGS)
def test_bad_flag(tmp_path, output, case):
    flag, text = BAD_FLAGS[case]
    (tmp_path / 'file').write_bytes(b'1')
    assert layer_fails(output, flag, cwd=tmp_path) == text


def test_output_is_required():
    assert (
        fails(program='build_tar') == '--output is missing: give the tarball to write; - is stdout'
    )


def test_existing_output_is_left_untouched(tmp_path, output):
    output.write_bytes(b'old')
    layer_fails(output, '--file=missing=x')
    assert output.read_bytes() == b'old'


@pytest.mark.parametrize('kind', ['fifo', 'socket'])
def test_fifo_or_socket_inside_a_directory(tree, output, kind, monkeypatch):
    monkeypatch.chdir(tree)
    (tree / 'd').mkdir()
    if kind == 'fifo':
        os.mkfifo('d/x')
    else:
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind('d/x')
    error = layer_fails(output, '--file=.=/', cwd=tree)
    assert error == "--file: './d/x' is a device, FIFO or socket: leave it out"


def test_name_that_gets_too_long(tree, output):
    deep = tree
    for _ in range(15):
        deep = deep / ('d' * 200)
        deep.mkdir()
    destination = '/'.join(['x' * 255] * 5)
    error = layer_fails(output, f'--file={tree}={destination}')
    assert error.startswith("--file: 'xxx")
    assert error.endswith(' is too long: give a shorter destination')


@pytest.mark.parametrize('flag', ['--file={}=x', '--tar={}', '--deb={}'])
@pytest.mark.parametrize('way', ['same', 'hard link', 'symbolic link'])
def test_output_that_is_an_input_is_an_error(tmp_path, flag, way):
    path = write_tar(tmp_path / 'input')
    output = tmp_path / 'input'
    if way != 'same':
        output = tmp_path / 'output'
        if way == 'hard link':
            output.hardlink_to(path)
        else:
            output.symlink_to(path)
    before = path.read_bytes()
    if flag == '--deb={}':
        done = run_program('build_tar', f'--output={output}', flag.format(path))
        assert done.returncode == 1
    else:
        name = flag.partition('=')[0]
        error = layer_fails(output, flag.format(path))
        assert error == f'--output: {str(output)!r} is also the file of {name}: give another path'
    assert path.read_bytes() == before


def test_id_file_that_is_another_file_is_an_error(tmp_path, output):
    base = base_of(tmp_path / 'base.tar', COMMON)
    for other, flag in ((output, '--output'), (base, '--base')):
        error = layer_fails(output, f'--base={base}', f'--id_file={other}')
        assert error == f'--id_file: {str(other)!r} is also the file of {flag}: give another path'


def test_id_file_is_put_in_place_with_the_output(tree, output):
    (tree / 'id').mkdir()
    layer_fails(output, f'--id_file={tree}/id/')
    make_layer(output, '--empty_file=x')
    assert names(output) == ['x']


def test_full_disk(output):
    error = fails('--output=/dev/full', '--empty_file=x', program='build_tar')
    assert error == "'/dev/full': No space left on device: free some space"
