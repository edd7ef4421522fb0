# SPDX-License-Identifier: Apache-2.0
"""build_image: its flags are those of the programs, and what it reads and writes on the way."""

import os
import subprocess
import sys

import pytest

import build_image
import build_tar
import create_image
import create_image_config
from support.composed import build_image as build_by_flags
from support.composed import run
from support.layers import base_of, directory, shown
from support.measuring import LARGE, measure
from support.project import FIXTURES, ROOT
from support.running import build
from support.tars import content, make_tar, manifest, names, sha256, tar_of

OWN = {'output', 'base', 'base_tag', 'platform', 'layer', 'partial', 'id_file'}
PLAIN = FIXTURES / 'docker-20.10.tar'
COUNTED = """
import os, runpy, sys
base = sys.argv[1]
del sys.argv[:2]
opened = inflated = 0
def tell(event, details):
    global opened
    if event == 'open' and details[0] == base:
        opened += 1
sys.addaudithook(tell)
sys.path.insert(0, os.path.dirname(sys.argv[0]))
from image_archive.tar import archive
inflate = archive.inflate
def counted(*arguments):
    global inflated
    inflated += 1
    return inflate(*arguments)
archive.inflate = counted
try:
    runpy.run_path(sys.argv[0], run_name='__main__')
finally:
    print(opened, inflated)
"""


@pytest.fixture
def output(tmp_path):
    """The path of an image, in a directory of its own."""
    (tmp_path / 'output').mkdir()
    return tmp_path / 'output' / 'image.tar'


def layer_in(image, number=-1):
    """Returns the bytes of a layer in an image; by default of the top one."""
    return content(image, manifest(image)['Layers'][number])


# The flags.


def test_flags_are_those_of_the_three_programs():
    layer = set(build_tar._FLAGS) - {'output', 'base', 'compression', 'id_file'}
    config = set(create_image_config._FLAGS) - {'output', 'base', 'layer'}
    archive = {'tag', 'oci', 'annotations', 'digest_file', 'verify'}
    assert set(build_image._FLAGS) == OWN | layer | config | archive


def test_shared_flags_are_defined_once():
    own = {'output', 'base', 'layer', 'id_file', 'version'}  # defined here, with other meanings
    programs = [create_image_config, create_image, build_tar]
    for name in set(build_image._FLAGS) - own - {'partial'}:
        (first, *_) = [program for program in programs if name in program._FLAGS]
        assert build_image._FLAGS[name] is first._FLAGS[name]


def test_help_groups_the_flags():
    text = run('--help').stdout.decode()
    titles = [
        'Flags:',
        'Flags for the layer of files:',
        'Flags for the configuration:',
        'Flags for the archive:',
    ]
    assert [line for line in text.splitlines() if line.startswith('Flags')] == titles
    groups = [text.partition(f'\n{title}\n')[2].partition('\n\n')[0] for title in titles]
    for group, name in zip(groups, ['platform', 'file', 'entrypoint', 'tag'], strict=True):
        assert f'  --{name}:' in group or f'  --[no]{name}:' in group
    for name in build_image._FLAGS:
        found = text.count(f'\n  --{name}:') + text.count(f'\n  --[no]{name}:')
        assert found == (name != 'version'), name


def test_empty_values_count_as_not_given(output):
    wanted = build_by_flags(output, '--empty_dir=x')
    empty = [f'--{name}=' for name in build_image._FLAGS if name not in ('output', 'version')]
    assert build_by_flags(output, '--empty_dir=x', *empty) == wanted


def test_flagfile(tmp_path, output):
    wanted = build_by_flags(output, '--empty_dir=x', '--entrypoint=/x', '--oci')
    flags = tmp_path / 'flags'
    flags.write_text(f'--output={output}\n--empty_dir=x\n--entrypoint=/x\n--oci\n')
    build(f'--flagfile={flags}', program='build_image')
    assert output.read_bytes() == wanted


# Layers.


def test_directory_and_mode_alone_make_no_layer(output):
    build_by_flags(output, '--directory=/srv', '--mode=600', '--owner=1.1', '--follow_links')
    assert manifest(output)['Layers'] == []


@pytest.mark.parametrize(
    'flags', [['--empty_dir=x'], ['--empty_file=x'], ['--link=x:y'], ['--tar=a.tar']]
)
def test_each_file_flag_makes_a_layer(tmp_path, output, flags):
    make_tar(tmp_path / 'a.tar', {'x': b'1'})
    build_by_flags(output, *flags, cwd=tmp_path)
    (layer,) = manifest(output)['Layers']
    path = tmp_path / 'layer.tar'
    path.write_bytes(content(output, layer))
    assert names(path) == ['x']


@pytest.mark.parametrize('has_base', [False, True])
def test_layer_of_files_respects_the_layers_below(tmp_path, output, has_base):
    below = tmp_path / 'below.tar'
    below.write_bytes(tar_of(directory('srv', 0o1777)))
    flags = [f'--layer={below}', '--empty_file=srv/x']
    if has_base:
        base = base_of(tmp_path / 'base.tar', tar_of(directory('srv', 0o700)))
        flags.append(f'--base={base}')
    build_by_flags(output, *flags)
    assert layer_in(output, -2) == below.read_bytes()
    (tmp_path / 'layer.tar').write_bytes(layer_in(output))
    assert shown(tmp_path / 'layer.tar')['srv'][1] == 0o1777


def test_lower_layers_are_respected_and_not_in_the_image(tmp_path, output):
    base = base_of(tmp_path / 'base.tar', tar_of(directory('srv', 0o700)))
    lower = tmp_path / 'lower.tar'
    lower.write_bytes(tar_of(directory('srv', 0o1777)))
    build_by_flags(output, f'--base={base}', f'--lower={lower}', '--empty_file=srv/x')
    assert len(manifest(output)['Layers']) == 2
    (tmp_path / 'layer.tar').write_bytes(layer_in(output))
    assert shown(tmp_path / 'layer.tar')['srv'][1] == 0o1777


def test_one_layer_given_twice_is_stored_once(tmp_path, output):
    layer = make_tar(tmp_path / 'a.tar', {'a': b'1'})
    build_by_flags(output, f'--layer={layer}', f'--layer={layer}')
    one, other = manifest(output)['Layers']
    assert one == other
    assert names(output).count(one) == 1


# Outputs.


def test_outputs_in_a_directory_of_files_are_left_out(tmp_path):
    tree = tmp_path / 'tree'
    tree.mkdir()
    (tree / 'x').write_bytes(b'1')
    flags = [f'--file={tree}=/', '--oci', f'--id_file={tree}/id', f'--digest_file={tree}/digest']
    first = build_by_flags(tree / 'image.tar', *flags)
    assert sorted(os.listdir(tree)) == ['digest', 'id', 'image.tar', 'x']
    assert build_by_flags(tree / 'image.tar', *flags) == first


def test_stdout(tmp_path, output):
    wanted = build_by_flags(output, '--empty_dir=x', f'--base={PLAIN}')
    done = build('--output=-', '--empty_dir=x', f'--base={PLAIN}', program='build_image')
    assert done.stdout == wanted


def test_id_file_has_the_identifier(tmp_path, output):
    for more in [], ['--oci']:
        build_by_flags(output, f'--id_file={tmp_path}/id', '--tag=a:1', *more)
        config = content(output, manifest(output)['Config'])
        assert (tmp_path / 'id').read_text() == f'{sha256(config)}\n'


# What is read, and how often.


@pytest.mark.parametrize('more', [[], ['--empty_dir=x'], ['--oci', '--empty_dir=x', '--verify']])
def test_compressed_base_is_opened_and_inflated_once(tmp_path, output, more):
    base = FIXTURES / 'docker-20.10.tar.gz'
    tool = ROOT / 'build_image.py'
    command = [sys.executable, '-c', COUNTED, base, tool, f'--output={output}', f'--base={base}']
    done = subprocess.run([*command, *more], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b'1 1\n', b'')


def test_files_are_read_once_and_the_layer_never(tmp_path, output):
    """The layer is hashed while it is written, at its place in the archive."""
    (tmp_path / 'large').write_bytes(bytes(LARGE))
    flags = [f'--output={output}', f'--file={tmp_path}/large=x']
    done, _, read = measure(*flags, program='build_image')
    assert done.returncode == 0, done.stderr.decode()
    _, _, others = measure('--output=/dev/null', '--empty_dir=x', program='build_image')
    assert 0.9 * LARGE < read - others < 1.2 * LARGE


def test_memory_does_not_grow_with_the_files(tmp_path, output):
    with (tmp_path / 'large').open('wb') as file:
        file.truncate(256 << 20)
    flags = [f'--output={output}', f'--file={tmp_path}/large=x']
    done, memory, _ = measure(*flags, program='build_image')
    assert done.returncode == 0, done.stderr.decode()
    assert memory < 64 << 20
