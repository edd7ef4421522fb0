# SPDX-License-Identifier: Apache-2.0
"""stdin, stdout and stderr, pipes and FIFOs (section 9)."""

import os
import stat
import subprocess

import pytest

from support.faults import fails_cleanly, with_large_part
from support.images import BEFORE_1_10, on_fixture
from support.running import build, command, fails, messages, run, start, warns

# Pipes.


def test_small_files_can_be_pipes(parts):
    legacy = [f'--legacy_id={"c" * 64}']
    build(*parts.flags, *legacy, '--metadata=config.json', cwd=parts.directory)
    expected = parts.output.read_bytes()
    flags = [*parts.without('config', 'id'), *legacy]
    script = '"$@" --config=<(cat config.json) --metadata=<(cat config.json) --id=@<(cat id)'
    (parts.directory / 'id').write_text(parts.id)
    line = ['bash', '-c', script, 'bash', *command('create_image', *flags)]
    subprocess.run(line, cwd=parts.directory, check=True)
    assert parts.output.read_bytes() == expected


def test_configuration_can_be_stdin(parts):
    build(*parts.flags)
    expected = parts.output.read_bytes()
    flags = [*parts.without('config'), '--config=/dev/stdin', '--verify']
    build(*flags, input=parts.config.read_bytes())
    assert parts.output.read_bytes() == expected


@pytest.mark.parametrize('flag', [f'--layer={"1" * 64}=', '--base=', '--legacy_base='])
def test_layer_or_base_from_a_pipe_is_an_error(parts, flag):
    line = fails(*parts.flags, f'{flag}/dev/stdin', input=b'')
    assert line == "'/dev/stdin': Not a regular file: write it to a file first"
    assert not parts.output.exists()


# stdout, pipes and devices.


def test_closed_pipe_is_an_error(parts):
    _, flags = with_large_part(parts, 'layer')
    process = start([*flags, '--output=-'], stdout=subprocess.PIPE)
    process.stdout.read(1000)
    process.stdout.close()
    (line,) = messages(process.stderr.read())[1]
    assert process.wait() == 1
    assert line.startswith("'standard output': Broken pipe: ")


@pytest.mark.parametrize('output', ['-', '/dev/stdout'])
def test_stdout_has_the_same_bytes(parts, output):
    _, flags = with_large_part(parts, 'layer')
    build(*flags)
    assert build(*flags, f'--output={output}').stdout == parts.output.read_bytes()


def test_warnings_are_printed_to_stderr(tmp_path):
    image = on_fixture(tmp_path, BEFORE_1_10)
    warned = warns(*image.flags)
    done = build(*image.flags, '--output=-', warnings=True)
    assert done.stdout == image.output.read_bytes()
    assert messages(done.stderr) == (warned, [])
    assert BEFORE_1_10 in warned[0]


@pytest.mark.parametrize('closed', [(0,), (1,), (2,), (0, 1, 2)])
def test_messages_are_not_written_to_the_archive_if_streams_are_closed(tmp_path, closed):
    """The archive then gets the file descriptor of a standard stream."""
    image = on_fixture(tmp_path, BEFORE_1_10)
    warns(*image.flags)
    expected = image.output.read_bytes()
    image.output.unlink()

    def close():
        for descriptor in closed:
            os.close(descriptor)

    assert run(*image.flags, '-v', '0', preexec_fn=close).returncode == 0
    assert image.output.read_bytes() == expected


def test_closed_stdout_is_an_error(parts):
    line = fails_cleanly(parts, '--output=-', preexec_fn=lambda: os.close(1))
    assert "'standard output': Bad file descriptor" in line


@pytest.mark.parametrize(
    'path', ['/dev/stdout', '/dev/fd/1', '/proc/self/fd/1', 'link', '/dev/fd/7']
)
def test_output_to_a_closed_descriptor_is_an_error(parts, path):
    """A layer may have been opened under its number; it must not be overwritten."""
    (_, layer) = parts.layers[0]
    before = layer.read_bytes()
    (parts.directory / 'link').symlink_to('/dev/stdout')
    output = parts.directory / path
    options = {'cwd': parts.directory, 'preexec_fn': lambda: os.close(1)}
    line = fails_cleanly(parts, f'--output={output}', **options)
    assert line.startswith(f"'{output}': Bad file descriptor")
    assert layer.read_bytes() == before


@pytest.mark.parametrize('output', ['-', '/dev/stdout'])
def test_stdout_is_written_from_its_current_position(parts, output):
    """Like cat does, if a shell redirects stdout to a file."""
    build(*parts.flags)
    expected = parts.output.read_bytes()
    path = parts.directory / 'all'
    with path.open('wb') as f:
        f.write(b'before')
        f.flush()
        build(*parts.flags, f'--output={output}', preexec_fn=lambda: os.dup2(f.fileno(), 1))
        f.seek(0, os.SEEK_END)
        f.write(b'behind')
    assert path.read_bytes() == b'before' + expected + b'behind'


@pytest.mark.parametrize('output', ['-', '/dev/stdout'])
def test_stdout_must_not_be_an_input(parts, output):
    (_, layer) = parts.layers[0]
    before = layer.read_bytes()
    with layer.open('ab') as f:
        options = {'preexec_fn': lambda: os.dup2(f.fileno(), 1)}
        line = fails_cleanly(parts, f'--output={output}', **options)
    assert line == f"--output: '{output}' is also the file of --layer: give another path"
    assert layer.read_bytes() == before


def test_output_can_be_a_fifo(parts):
    _, flags = with_large_part(parts, 'layer')
    expected = build(*flags, '--output=-').stdout
    os.mkfifo(parts.output)
    process = start(flags)
    assert parts.output.read_bytes() == expected
    assert process.wait() == 0
    assert stat.S_ISFIFO(parts.output.stat().st_mode)
