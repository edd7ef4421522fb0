# SPDX-License-Identifier: Apache-2.0
"""With --verify an image is checked and written at the same time (section 17)."""

import os
import threading

import pytest

from image_archive.create import assemble
from image_archive.create.parts import ImageParts, Layer
from image_archive.errors import ProblemsError
from image_archive.image import layer_file
from image_archive.system import beside
from image_archive.system.command_line import silent_run
from image_archive.tar.content import Source
from support.images import Parts, configuration
from support.running import run_program
from support.tars import member, sha256, tar_of


def write(image, output=None):
    """Writes an image with --verify, by the function behind the program."""
    parts = ImageParts(
        identifier=image.id,
        config=str(image.config),
        layers=tuple(Layer(identifier, str(path)) for identifier, path in image.layers),
    )
    assemble.write_image(str(output or image.output), parts, silent_run('create_image'), True)


@pytest.fixture
def steps(monkeypatch):
    """What happens, in its order: the checks, and the output that is opened."""
    found = []
    find_problems, writer = assemble.find_problems, assemble.TarFileWriter

    def noted_problems(*arguments):
        found.append('checked')
        return find_problems(*arguments)

    def noted_writer(*arguments):
        found.append('opened')
        return writer(*arguments)

    monkeypatch.setattr(assemble, 'find_problems', noted_problems)
    monkeypatch.setattr(assemble, 'TarFileWriter', noted_writer)
    return found


def test_output_that_is_replaced_is_written_meanwhile(parts, steps):
    write(parts)
    assert steps == ['opened', 'checked']


def test_output_that_is_written_directly_waits_for_the_checks(parts, steps):
    write(parts, os.devnull)
    assert steps == ['checked', 'opened']


def test_layer_that_changes_after_it_was_checked_is_an_error(parts, monkeypatch):
    parts.output.write_bytes(b'previous')
    before = sorted(os.listdir(parts.directory))
    path = parts.layers[0][1]
    find_problems = assemble.find_problems

    def then_changed(*arguments):
        found = find_problems(*arguments)
        path.write_bytes(path.read_bytes() + bytes(512))
        return found

    monkeypatch.setattr(assemble, 'find_problems', then_changed)
    with pytest.raises(OSError, match='it changed while it was read') as caught:
        write(parts)
    assert caught.value.filename == str(path)
    assert parts.output.read_bytes() == b'previous'
    assert sorted(os.listdir(parts.directory)) == before


@pytest.mark.parametrize('cores', [1, 2, 8])
def test_problems_of_many_layers_come_in_their_order(tmp_path, monkeypatch, cores):
    for module in (beside, layer_file):
        monkeypatch.setattr(module, 'core_count', lambda: cores)
    image = Parts(tmp_path, [{f'file {number}': bytes(number)} for number in range(9)])
    for _, path in image.layers[::2]:
        path.write_bytes(tar_of())
    with pytest.raises(ProblemsError) as caught:
        write(image)
    lines = [line for line in caught.value.problems if 'the diff ID of' in line]
    paths = [str(path) for _, path in image.layers[::2]]
    assert [line.split("'")[1] for line in lines] == paths
    assert not image.output.exists()


def test_two_layers_are_hashed_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(layer_file, 'core_count', lambda: 2)
    image = Parts(tmp_path, [{'one': b'1'}, {'other': b'2'}])
    both = threading.Barrier(2)
    hash_with = Source.hash_with

    def when_both_are_there(*arguments):
        both.wait(10)
        return hash_with(*arguments)

    monkeypatch.setattr(Source, 'hash_with', when_both_are_there)
    write(image)
    assert image.output.exists()


@pytest.mark.parametrize('flag', ['--digest_file', '--id_file'])
def test_file_that_is_written_directly_waits_for_the_checks(tmp_path, flag):
    """A reader of the pipe must not take the digest for that of an image."""
    layer = tmp_path / 'layer.tar'
    layer.write_bytes(tar_of(member('a'), member('a')))
    image = Parts(tmp_path)
    image.layers = [(sha256(layer.read_bytes()), layer)]
    image.configure(configuration(image.diff_ids))
    program, flags = 'create_image', [*image.flags, '--oci']
    if flag == '--id_file':
        program, flags = 'build_image', [f'--output={image.output}', f'--layer={layer}']
    done = run_program(program, *flags, f'{flag}=/dev/stdout', '--verify')
    assert b'comes twice' in done.stderr
    assert done.stdout == b''
    assert not image.output.exists()
