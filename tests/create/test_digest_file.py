# SPDX-License-Identifier: Apache-2.0
"""--digest_file: written together with the archive, or not at all."""

import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest

from image_archive.system import outputs
from support.amounts import some_every_day
from support.faults import leaves_both_outputs
from support.images import Parts, base_diff_ids
from support.layouts import TAGS, Layout, blob, write_layout
from support.project import DATA, TOOL
from support.running import build, fails, reset_signals, run

INT, TERM, HUP, KILL = signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL


def test_digest_file_has_the_digest_of_the_manifest(parts):
    layout, digest = write_layout(parts)
    assert re.fullmatch('sha256:[0-9a-f]{64}\n', digest)
    assert blob(digest.strip()) in layout.files


def test_empty_digest_file_flag_is_ignored(parts):
    build(*parts.flags, '--digest_file=')
    build(*parts.flags, '--oci', '--digest_file=')


def test_digest_file_requires_oci(parts):
    error = fails(*parts.flags, f'--digest_file={parts.directory}/digest')
    assert error.startswith('--digest_file: ')
    assert not parts.output.exists()


@pytest.mark.parametrize('flag', ['output', 'config', 'layer', 'base', 'legacy_base'])
def test_digest_file_must_not_be_an_input_or_the_output(tmp_path, flag):
    base = shutil.copy(DATA / 'bases' / 'docker-20.10.tar', tmp_path)
    image = Parts(tmp_path, below=base_diff_ids(), base=base)
    path = {
        'output': image.output,
        'config': image.config,
        'layer': image.layers[0][1],
        'base': base,
        'legacy_base': base,
    }[flag]
    link = tmp_path / 'link'
    link.symlink_to(path)
    before = [path.read_bytes() for path in sorted(tmp_path.iterdir()) if path.exists()]
    other_base = {'base': 'legacy_base', 'legacy_base': 'base'}.get(flag, '')
    for spelling in (path, link):
        flags = image.without(other_base)
        error = fails(*flags, '--oci', f'--digest_file={spelling}')
        assert error.startswith(f'--digest_file: {str(spelling)!r} is also the file of --{flag}')
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir()) if path.exists()] == before


def test_digest_file_must_not_be_the_stdout_of_the_archive(parts):
    flags = [*parts.without('output'), '--output=-', '--oci']
    path = parts.directory / 'stream'
    for digest_file in ('-', path, '/dev/stdout'):
        with path.open('wb') as stream:
            options = {'capture_output': False, 'stdout': stream, 'stderr': subprocess.PIPE}
            done = run(*flags, f'--digest_file={digest_file}', **options)
        assert done.returncode == 1, digest_file
        assert b'--digest_file: ' in done.stderr
        assert path.read_bytes() == b''


def test_digest_file_with_the_archive_on_stdout(parts):
    _, digest = write_layout(parts)
    whole = parts.output.read_bytes()
    (parts.directory / 'digest').unlink()
    flags = [*parts.without('output'), '--output=-', *(f'--tag={tag}' for tag in TAGS)]
    done = build(*flags, '--oci', f'--digest_file={parts.directory}/digest')
    assert done.stdout == whole
    assert (parts.directory / 'digest').read_text() == digest


def test_digest_is_written_to_stdout(parts):
    done = build(*parts.flags, '--oci', '--digest_file=-')
    layout = Layout.read(parts.output)
    assert done.stdout.decode().strip() == layout.index['manifests'][0]['digest']


# Errors.


def test_digest_file_in_a_missing_directory_is_an_error(parts):
    error = leaves_both_outputs(parts, f'--digest_file={parts.directory}/none/digest')
    assert f"'{parts.directory}/none/digest': No such file" in error


def test_digest_file_that_is_a_directory_is_an_error(parts):
    (parts.directory / 'directory').mkdir()
    error = leaves_both_outputs(parts, f'--digest_file={parts.directory}/directory')
    assert f"'{parts.directory}/directory': Is a directory" in error


def test_no_digest_file_if_verify_finds_problems(parts):
    leaves_both_outputs(parts, '--verify', '--tag=no-tag')


def test_no_digest_file_if_the_archive_exceeds_the_file_size_limit(parts):
    limit = resource.RLIMIT_FSIZE, (20000, 20000)
    error = leaves_both_outputs(parts, preexec_fn=lambda: resource.setrlimit(*limit))
    assert f"'{parts.output}': File too large" in error


def test_digest_file_on_a_full_device_is_an_error(parts):
    error = leaves_both_outputs(parts, '--digest_file=/dev/full')
    assert "'/dev/full': No space left on device" in error


def test_outputs_on_a_file_system_without_hard_links(tmp_path, monkeypatch):
    """The first output cannot be undone there, as the old file is lost."""
    files = [outputs.OutputFile(str(tmp_path / name)) for name in ('one', 'two')]
    (tmp_path / 'one').write_bytes(b'old')
    for file in files:
        file.write(b'new')

    def refuse(*_):
        raise PermissionError(1, 'Operation not permitted')

    monkeypatch.setattr(os, 'link', refuse)
    outputs.put_all_in_place(files)
    assert [(tmp_path / name).read_bytes() for name in ('one', 'two')] == [b'new', b'new']


# Signals.

# Runs the tool and raises a signal just before a call of os that creates or renames an output.
STRUCK = """
import builtins, os, runpy, signal, sys
del sys.argv[0]
number, name, count = int(sys.argv.pop(0)), sys.argv.pop(0), int(sys.argv.pop(0))
module = builtins if name == 'open' else os
real = getattr(module, name)
def struck(*arguments, **options):
    global count
    if name != 'open' or 'x+b' in arguments:
        count -= 1
        if count == 0:
            signal.raise_signal(number)
    return real(*arguments, **options)
setattr(module, name, struck)
sys.path[0] = os.path.dirname(sys.argv[0])
runpy.run_path(sys.argv[0], run_name='__main__')
"""


@pytest.mark.parametrize('number', some_every_day([INT, TERM, HUP], [TERM]))
@pytest.mark.parametrize(
    ('call', 'count', 'is_done'),
    [
        ('open', 1, False),
        ('open', 2, False),
        ('link', 1, True),
        ('replace', 1, True),
        ('replace', 2, True),
    ],
)
def test_signal_at_each_step_leaves_both_outputs_old_or_new(parts, number, call, count, is_done):
    _, digest = write_layout(parts)
    whole = parts.output.read_bytes()
    digest_file = parts.directory / 'digest'
    parts.output.write_bytes(b'old')
    digest_file.write_bytes(b'old digest')
    before = sorted(os.listdir(parts.directory))
    flags = [
        *parts.flags,
        *(f'--tag={tag}' for tag in TAGS),
        '--oci',
        f'--digest_file={digest_file}',
    ]
    command = [sys.executable, '-c', STRUCK, str(int(number)), call, str(count), TOOL, *flags]
    done = subprocess.run(command, capture_output=True, preexec_fn=reset_signals, check=False)
    assert (done.returncode, done.stderr) == (-number, b'')
    assert parts.output.read_bytes() == (whole if is_done else b'old')
    assert digest_file.read_text() == (digest if is_done else 'old digest')
    assert sorted(os.listdir(parts.directory)) == before


@pytest.mark.slow
@pytest.mark.parametrize('number', [INT, TERM, HUP, KILL])
def test_signal_at_any_time_leaves_both_outputs_old_or_new(tmp_path, number):
    image = Parts(tmp_path, layers=[{'large': os.urandom(16 << 20)}])
    began = time.monotonic()
    _, digest = write_layout(image, tags=[], real=True)
    duration = time.monotonic() - began
    size = image.output.stat().st_size
    digest_file = image.directory / 'digest'
    chance = random.Random(str(number))
    flags = [*image.flags, '--oci', f'--digest_file={digest_file}']
    for _ in range(6):
        image.output.write_bytes(b'old')
        digest_file.write_bytes(b'old digest')
        process = subprocess.Popen([sys.executable, TOOL, *flags], preexec_fn=reset_signals)
        time.sleep(chance.uniform(0, 1.2 * duration))
        process.send_signal(number)
        assert -process.wait() in (0, number)
        is_new = digest_file.read_text() == digest
        assert is_new or digest_file.read_bytes() == b'old digest'
        # SIGKILL can come between the two renames.
        assert (image.output.stat().st_size == size) == is_new or number == KILL
        left = [name for name in os.listdir(tmp_path) if name.endswith('.partial')]
        assert not left or number == KILL
        for name in left:
            (tmp_path / name).unlink()
