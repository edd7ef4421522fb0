# SPDX-License-Identifier: Apache-2.0
"""build_tar: files, modes, owners, times, links, hard links and outputs."""

import bz2
import contextlib
import gzip
import lzma
import os
import tarfile
import tempfile

import pytest

import build_tar
from support.layers import layer_fails, layer_warns, make_layer, shown
from support.needs import as_another_user
from support.running import build, run_program
from support.tars import DIR, FILE, HARD, LINK, content, member, members, names, sha256, write_tar


@pytest.fixture
def app(tree):
    """A program."""
    path = tree / 'app'
    path.write_bytes(b'#!/bin/sh\n')
    path.chmod(0o700)
    return path


@pytest.fixture
def text(tree):
    """A file that is not executable."""
    path = tree / 'text'
    path.write_bytes(b'text\n')
    path.chmod(0o600)
    return path


# Where files go.


@pytest.mark.parametrize(
    ('destination', 'wanted'),
    [
        ('srv/app', ['srv', 'srv/app']),
        ('/srv//./other', ['srv', 'srv/other']),
        ('srv/', ['srv', 'srv/app']),
        ('/', ['app']),
        ('.', ['app']),
        ('a=b:c', ['a=b:c']),
    ],
)
def test_destination_of_a_file(app, output, destination, wanted):
    make_layer(output, f'--file={app}={destination}')
    assert names(output) == wanted


@pytest.mark.parametrize(
    ('destination', 'wanted'),
    [('srv', ['srv', 'srv/app']), ('srv/', ['srv', 'srv/app']), ('/', ['app']), ('.', ['app'])],
)
def test_destination_of_a_directory(app, tree, output, destination, wanted):
    make_layer(output, f'--file={tree}={destination}')
    assert names(output) == wanted


def test_directory_is_before_files_tarballs_and_packages_and_not_before_links(
    app, tmp_path, output
):
    tar = write_tar(
        tmp_path / 'a.tar',
        member('./', kind=DIR, mode=0o700),
        member('./t', b'1'),
        member('hard', kind=HARD, link='./t'),
        member('symbolic', kind=LINK, link='t'),
    )
    flags = [f'--file={app}=/f', '--empty_dir=d', '--empty_file=e', f'--tar={tar}', '--link=l:x']
    make_layer(output, '--directory=/opt/x/', *flags)
    found = {name: member[4] for name, member in shown(output).items()}
    assert found == {
        'opt': '',
        'opt/x': '',
        'opt/x/f': '',
        'opt/x/d': '',
        'opt/x/e': '',
        'opt/x/t': '',
        'opt/x/hard': 'opt/x/t',
        'opt/x/symbolic': 't',
        'l': 'x',
    }
    assert shown(output)['opt/x'][1] == 0o700  # from the tarball


def test_order_is_files_then_tarballs_then_packages_then_links(app, tmp_path, output):
    tars = [write_tar(tmp_path / f'{name}.tar', member(name)) for name in ('t2', 't1')]
    flags = ['--link=l2:x', f'--tar={tars[0]}', '--empty_file=e', '--empty_dir=d', '--link=l1:x']
    make_layer(output, *flags, f'--tar={tars[1]}', f'--file={app}=f2', f'--file={app}=f1')
    assert names(output) == ['f2', 'f1', 'd', 'e', 't2', 't1', 'l2', 'l1']


def test_optional_flags_with_empty_values_count_as_not_given(app, output):
    wanted = make_layer(output, f'--file={app}=app')
    empty = ['tar', 'deb', 'link', 'directory', 'mode', 'modes', 'compression', 'owner', 'owners']
    empty += ['mtime', 'empty_dir', 'empty_file', 'follow_links', 'base', 'lower', 'delete']
    flags = [f'--{flag}=' for flag in [*empty, 'id_file', 'file']]
    assert make_layer(output, f'--file={app}=app', *flags) == wanted


def test_nothing_makes_an_empty_layer(output):
    assert make_layer(output) == bytes(10240)


# Modes, owners, times.


def test_modes_by_default(app, text, tree, output):
    (tree / 'directory').mkdir(mode=0o700)
    make_layer(output, f'--file={tree}=x/y', '--empty_dir=d', '--empty_file=e', '--link=l:t')
    assert shown(output) == {
        'x': (DIR, 0o755, 0, 0, ''),
        'x/y': (DIR, 0o755, 0, 0, ''),
        'x/y/app': (FILE, 0o755, 0, 0, ''),
        'x/y/directory': (DIR, 0o755, 0, 0, ''),
        'x/y/text': (FILE, 0o644, 0, 0, ''),
        'd': (DIR, 0o755, 0, 0, ''),
        'e': (FILE, 0o644, 0, 0, ''),
        'l': (LINK, 0o777, 0, 0, 't'),
    }


@pytest.mark.parametrize(
    ('mode', 'file', 'directory'),
    [('0555', 0o555, 0o555), ('640', 0o640, 0o750), ('4700', 0o4700, 0o4700), ('0', 0, 0)],
)
def test_mode(app, text, tree, output, mode, file, directory):
    """Directories have x wherever files have r; parents and --empty_dir keep 0755."""
    make_layer(output, f'--file={tree}=x/y', f'--mode={mode}', '--empty_dir=d', '--empty_file=e')
    found = {name: member[1] for name, member in shown(output).items()}
    assert found == {
        'x': 0o755,
        'x/y': directory,
        'x/y/app': file,
        'x/y/text': file,
        'd': 0o755,
        'e': file,
    }


def test_modes_and_owners_of_single_paths(app, text, tree, output):
    flags = [f'--file={tree}=y', '--directory=/x', '--empty_dir=d', '--empty_file=e']
    flags += ['--modes=y/app=4711', '--modes=/x/y/text=0600', '--modes=x=0700', '--modes=d/=1777']
    flags += ['--owners=e=1.2', '--owners=/x/y=3:4', '--owner=9.9', '--link=l:e', '--owners=l=5.6']
    make_layer(output, *flags)
    assert shown(output) == {
        'x': (DIR, 0o700, 0, 0, ''),
        'x/y': (DIR, 0o755, 3, 4, ''),
        'x/y/app': (FILE, 0o4711, 9, 9, ''),
        'x/y/text': (FILE, 0o600, 9, 9, ''),
        'x/d': (DIR, 0o1777, 9, 9, ''),
        'x/e': (FILE, 0o644, 1, 2, ''),
        'l': (LINK, 0o777, 5, 6, 'e'),
    }


@pytest.mark.parametrize(
    ('value', 'seconds'),
    [
        ('0', 0),
        ('1700000000', 1700000000),
        ('1970-01-01T00:00:00Z', 0),
        ('2024-02-29T12:30:15Z', 1709209815),
        ('2024-02-29T12:30:15+02:30', 1709200815),
        ('1969-12-31T23:00:00-01:00', 0),
        ('9999-12-31T23:59:59Z', 253402300799),
    ],
)
def test_time_of_all_members(app, tmp_path, output, value, seconds):
    tar = write_tar(tmp_path / 'a.tar', member('t', mtime=5))
    make_layer(output, f'--file={app}=x/f', f'--tar={tar}', '--link=l:x', f'--mtime={value}')
    assert {info.mtime for info, _ in members(output)} == {seconds}


# Symbolic links.


def test_source_that_is_a_link_is_followed(app, tree, output):
    (tree / 'directory').mkdir()
    (tree / 'directory' / 'file').write_bytes(b'1')
    (tree / 'to_file').symlink_to('app')
    (tree / 'to_directory').symlink_to('directory')
    make_layer(output, f'--file={tree}/to_file=f', f'--file={tree}/to_directory=d')
    assert {name: found[0] for name, found in shown(output).items()} == {
        'f': FILE,
        'd': DIR,
        'd/file': FILE,
    }


def test_links_inside_are_kept_or_followed(app, tree, output):
    (tree / 'directory').mkdir()
    (tree / 'directory' / 'up').symlink_to('../app')
    (tree / 'other').symlink_to('directory')
    make_layer(output, f'--file={tree}=x')
    assert [shown(output)[name][4] for name in ('x/directory/up', 'x/other')] == [
        '../app',
        'directory',
    ]
    make_layer(output, f'--file={tree}=x', '--follow_links')
    assert {name: found[0] for name, found in shown(output).items()} == {
        'x': DIR,
        'x/app': FILE,
        'x/directory': DIR,
        'x/directory/up': FILE,
        'x/other': DIR,
        'x/other/up': FILE,
    }


@pytest.mark.parametrize('target', ['.', '..', '../../tree', '../a'])
def test_link_to_a_directory_around_it_is_an_error_if_it_is_followed(tree, output, target):
    (tree / 'a').mkdir()
    (tree / 'a' / 'loop').symlink_to(target)
    make_layer(output, f'--file={tree}=x')
    output.unlink()
    error = layer_fails(output, f'--file={tree}=x', '--follow_links')
    assert error.startswith("--file: '")
    assert 'leads to a directory that it is in: leave that link out' in error


@pytest.mark.parametrize('target', ['missing', 'loop'])
def test_link_that_leads_nowhere_is_an_error_if_it_is_followed(tree, output, target):
    (tree / 'loop').symlink_to(target)
    make_layer(output, f'--file={tree}=x')
    output.unlink()
    assert repr(f'{tree}/loop') in layer_fails(output, f'--file={tree}=x', '--follow_links')


# Hard links.


def test_hard_links_are_links_to_the_first(text, tree, output):
    os.link(text, tree / 'zz')
    os.link(text, tree / 'aa')
    make_layer(output, f'--file={tree}=x')
    found = {name: member[0::4] for name, member in shown(output).items()}
    assert found['x/aa'] == (FILE, '')
    assert found['x/text'] == found['x/zz'] == (HARD, 'x/aa')


def test_hard_link_with_a_mode_or_owner_of_its_own_is_a_copy(text, tree, output):
    for name in ('a', 'b', 'c', 'd'):
        os.link(text, tree / name)
    text.unlink()
    make_layer(output, f'--file={tree}=/', '--modes=a=0600', '--owners=d=1.1')
    found = {name: (member[0], member[4]) for name, member in shown(output).items()}
    assert found == {'a': (FILE, ''), 'b': (FILE, ''), 'c': (HARD, 'b'), 'd': (FILE, '')}
    assert all(content(output, name) == b'text\n' for name in found)


def test_hard_link_is_a_copy_where_another_member_came_first(text, tree, tmp_path, output):
    for name in ('a', 'b', 'c'):
        os.link(text, tree / name)
    text.unlink()
    other = tmp_path / 'other'
    other.write_bytes(b'other')
    flags = [f'--file={other}=a', f'--file={tree}=/']
    assert layer_warns(output, *flags) == ["'a' occurs twice: only the first is kept"]
    found = {name: (member[0], member[4]) for name, member in shown(output).items()}
    assert found == {'a': (FILE, ''), 'b': (FILE, ''), 'c': (HARD, 'b')}
    assert [content(output, name) for name in 'abc'] == [b'other', b'text\n', b'text\n']


def test_files_of_two_flags_and_behind_links_are_no_hard_links(text, tree, output):
    os.link(text, tree / 'other')
    make_layer(output, f'--file={text}=a', f'--file={tree}/other=b')
    assert {found[0] for found in shown(output).values()} == {FILE}
    for name in ('link1', 'link2'):
        (tree / name).symlink_to('other')
    make_layer(output, f'--file={tree}=/', '--follow_links')
    assert {name: found[0] for name, found in shown(output).items()} == {
        'link1': FILE,
        'link2': FILE,
        'other': FILE,
        'text': HARD,
    }


# Names that come twice.


def test_first_member_of_a_name_is_kept(text, app, tmp_path, output):
    tar = write_tar(tmp_path / 'a.tar', member('same', b'text\n'), member('other', b'x'))
    flags = [f'--file={text}=same', f'--file={text}=other', f'--tar={tar}', '--link=same:x']
    assert layer_warns(output, *flags) == [
        "'other' occurs twice: only the first is kept",
        "'same' occurs twice: only the first is kept",
    ]
    assert content(output, 'other') == b'text\n'


def test_parents_have_the_attributes_that_a_later_input_gives(text, tmp_path, output):
    tar = write_tar(
        tmp_path / 'a.tar',
        member('srv', kind=DIR, mode=0o700, uid=7, gid=8),
        member('srv', kind=DIR, mode=0o711),
    )
    make_layer(output, f'--file={text}=srv/a/text', f'--tar={tar}')
    assert shown(output) == {
        'srv': (DIR, 0o700, 7, 8, ''),
        'srv/a': (DIR, 0o755, 0, 0, ''),
        'srv/a/text': (FILE, 0o644, 0, 0, ''),
    }


def test_member_below_a_file_is_an_error(text, output):
    error = layer_fails(output, f'--file={text}=a', f'--file={text}=a/b')
    assert error == "--file: 'a/b' is in 'a', which is not a directory: leave it out"


def test_member_below_a_link_of_the_layer_stays_there(text, tmp_path, output):
    tar = write_tar(
        tmp_path / 'a.tar',
        member('usr/lib', kind=DIR),
        member('lib', kind=LINK, link='usr/lib'),
        member('lib/x', b'x'),
    )
    make_layer(output, f'--tar={tar}')
    assert names(output) == ['usr', 'usr/lib', 'lib', 'lib/x']


# Outputs.


@pytest.mark.parametrize(
    ('compression', 'inflate'),
    [('gz', gzip.decompress), ('bz2', bz2.decompress), ('xz', lzma.decompress)],
)
def test_compression(app, tmp_path, output, compression, inflate):
    large = tmp_path / 'large'
    large.write_bytes(os.urandom(1 << 20) + bytes(1 << 20))
    flags = [f'--file={large}=large', f'--file={app}=app']
    plain = make_layer(output, *flags)
    identifier = output.parent / 'id'
    packed = make_layer(output, *flags, f'--compression={compression}', f'--id_file={identifier}')
    assert inflate(packed) == plain
    assert identifier.read_text() == sha256(plain) + '\n'
    if compression == 'gz':
        assert packed[3:8] == bytes(5)  # neither a name nor a time


def test_id_file(app, output):
    plain = make_layer(output, f'--file={app}=app', f'--id_file={output.parent}/id')
    assert (output.parent / 'id').read_text() == sha256(plain) + '\n'


def test_standard_output(app, output):
    plain = make_layer(output, f'--file={app}=app')
    done = build('--output=-', f'--file={app}=app', program='build_tar')
    assert done.stdout == plain


def test_outputs_inside_a_directory_are_left_out(app, tree):
    inside = tree / 'out'
    inside.mkdir()
    flags = [f'--file={tree}=/', f'--output={inside}/layer.tar', f'--id_file={inside}/id']
    build(*flags, program='build_tar')
    first = (inside / 'layer.tar').read_bytes()
    assert names(inside / 'layer.tar') == ['app', 'out']
    build(*flags, program='build_tar')
    assert (inside / 'layer.tar').read_bytes() == first
    (tree / 'link').symlink_to(inside / 'layer.tar')
    flags[1] = f'--output={tree}/link'
    build(*flags, program='build_tar')
    assert (inside / 'layer.tar').read_bytes() == first


def test_file_behind_stdout_is_left_out(app, tree):
    with open(tree / 'layer.tar', 'wb') as file:
        done = run_program(
            'build_tar', f'--file={tree}=/', '--output=-', stdout=file, capture_output=False
        )
    assert done.returncode == 0
    assert names(tree / 'layer.tar') == ['app']


def test_file_that_changes_while_it_is_read_is_an_error(tree, output):
    (tree / 'file').write_bytes(b'1')
    with (
        pytest.raises(OSError, match='it changed while it was read'),
        build_tar.TarFile(output) as tar,
    ):
        tar.add_file(tree / 'file', 'file')
        (tree / 'file').write_bytes(b'22')
    assert os.listdir(output.parent) == []


def test_unreadable_file_is_an_error():
    with tempfile.TemporaryDirectory() as directory:  # another user reaches no tmp_path
        os.chmod(directory, 0o777)
        secret = os.path.join(directory, 'secret')
        with open(secret, 'w') as file:
            file.write('1')
        os.chmod(secret, 0)

        def fails_to_read():
            try:
                with build_tar.TarFile('layer.tar') as tar:
                    tar.add_file('.', '/')
            except PermissionError as error:
                return int(error.filename != './secret')
            return 2

        assert as_another_user(directory, fails_to_read) == 0
        assert os.listdir(directory) == ['secret']


def test_verbosity_lists_the_members(app, output):
    done = run_program('build_tar', f'--output={output}', f'--file={app}=a/b', '-v=0')
    assert done.stderr.decode().splitlines()[:2] == [
        "build_tar: 'a': 0 bytes",
        "build_tar: 'a/b': 10 bytes",
    ]


def test_extended_attributes_of_sources_are_not_stored(app, output):
    with contextlib.suppress(OSError):  # where the file system has none
        os.setxattr(app, 'user.x', b'1')
    make_layer(output, f'--file={app}=app')
    with tarfile.open(output) as tar:
        assert tar.getmembers()[0].pax_headers == {}
