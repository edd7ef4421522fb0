# SPDX-License-Identifier: Apache-2.0
"""Hostile and damaged OCI image layouts: the output is a valid archive, or the error one line.

LAYOUT_MUTANTS=20000 in the environment sets how many mutants are tried; the default is 120, or
2000 with ALL_TESTS=1. The number of a mutant is its seed; a failure names it.
"""

import gzip
import json
import os
import random
import resource
import shutil

import pytest

import archive
import create_image
import join_layers
from image_archive.image import layout
from support.amounts import amount, some_every_day
from support.hostile import MEMORY, SECONDS, check_archive, mutated, with_another_value
from support.images import Parts
from support.made_layouts import (
    FORMS,
    INDEX,
    MANIFEST,
    REF_NAME,
    Made,
    compact,
    one_image,
    two_platforms,
    write_form,
)
from support.measuring import measure
from support.running import messages
from support.tars import member, sha256, tar_of

MUTANTS = amount('LAYOUT_MUTANTS', every_day=120, all_tests=2000)
DAMAGED_ARCHIVES = 0.15  # of the mutants
CREATE, JOIN = 'create_image', 'join_layers'


def bounded(parts, base, program=CREATE, flags=()):
    """Runs a program on a layout within the limits; returns its errors."""
    own = [f'--output={parts.output}', f'--layer={base}']
    if program == CREATE:
        own = [*parts.flags, f'--base={base}', f'--legacy_base={base}']
    done, peak, _ = measure(*own, *flags, program=program, timeout=SECONDS)
    assert peak < MEMORY
    _, errors = messages(done.stderr, program)
    assert bool(errors) == bool(done.returncode)
    return errors


@pytest.mark.parametrize('form', some_every_day(FORMS, ['directory']))
def test_a_million_descriptors(parts, form):
    made = one_image()
    descriptor = compact({'digest': made.roots[0]['digest']})
    index = b'{"manifests": [' + b','.join([descriptor] * 1_000_000) + b']}'
    if form == 'directory':
        base = write_form(made, form, parts.directory)
        (base / 'index.json').write_bytes(index)
    else:
        base = parts.directory / 'base.tar'
        made.write_archive(base, without=['index.json'], more=[member('index.json', index)])
        if form == 'compressed':
            base.write_bytes(gzip.compress(base.read_bytes(), 1))
    text = f"{str(base)!r}: 'index.json' has over 4194304 bytes"
    for program in (CREATE, JOIN):
        (line,) = bounded(parts, base, program)
        assert line.startswith(text)


@pytest.mark.slow
@pytest.mark.parametrize('program', [CREATE, JOIN])
def test_descriptors_of_over_16_mib_in_indexes(parts, program):
    made = one_image()
    for number in range(6):
        images = [{**made.roots[0], 'annotations': {'x': f'{number}.'}}] * 13_000
        made.roots.append(made.index(*images))
    base = write_form(made, 'archive', parts.directory)
    (line,) = bounded(parts, base, program)
    assert line == f'{str(base)!r}: index.json leads to manifests of over 16 MiB: leave some out'


@pytest.mark.parametrize('program', some_every_day([CREATE, JOIN], [CREATE]))
def test_too_many_ways_to_the_images(parts, program):
    """Each of many descriptors leads to an index of many."""
    made = one_image()
    below = made.index(*[made.roots[0]] * 10_000)
    made.roots = [below] * 20_000
    base = write_form(made, 'archive', parts.directory)
    (line,) = bounded(parts, base, program)
    text = 'index.json leads to its images in over 1,000,000 steps: leave some out'
    assert line == f'{str(base)!r}: {text}'


@pytest.mark.parametrize('program', some_every_day([CREATE, JOIN], [JOIN]))
def test_many_names_of_one_image(parts, program):
    made = one_image()
    image = made.roots[0]
    made.roots = [{**image, 'annotations': {REF_NAME: f'a:{number}'}} for number in range(13_000)]
    base = write_form(made, 'archive', parts.directory)
    bounded(parts, base, program)
    if program == CREATE:
        (line,) = bounded(parts, base, program, ['--base_tag=x'])
        assert len(line) < 2000
        assert line.endswith('and 12,980 more: give one')


@pytest.mark.parametrize('program', some_every_day([CREATE, JOIN], [CREATE]))
def test_layer_that_is_listed_very_often(parts, program):
    made = one_image()
    name = 'blobs/' + made.roots[0]['digest'].replace(':', '/')
    value = json.loads(made.blobs[name])
    value['layers'] = [value['layers'][0]] * 20_000
    made.roots = [made.add(compact(value), MANIFEST)]
    base = write_form(made, 'archive', parts.directory)
    bounded(parts, base, program)


@pytest.mark.parametrize('form', FORMS)
def test_index_that_names_itself(parts, form):
    """No index can have its own digest, so it is not what its name says."""
    made = Made()
    name = 'blobs/sha256/' + 'a' * 64
    value = {'mediaType': INDEX, 'digest': 'sha256:' + 'a' * 64, 'size': 1}
    made.blobs[name] = compact({'schemaVersion': 2, 'mediaType': INDEX, 'manifests': [value]})
    made.roots.append(value)
    base = write_form(made, form, parts.directory)
    for program in (CREATE, JOIN):
        (line,) = bounded(parts, base, program)
        assert f'{name!r} is no JSON object that has the digest in its name' in line


def test_indexes_in_indexes_by_the_thousand(parts):
    made = Made()
    descriptor = made.image('deep')
    for _ in range(2000):
        descriptor = made.index(descriptor)
    made.roots.append(descriptor)
    base = write_form(made, 'directory', parts.directory)
    (line,) = bounded(parts, base)
    assert 'its index.json leads to no image' in line


def test_directory_of_too_many_blobs(parts, monkeypatch):
    base = write_form(one_image(), 'directory', parts.directory)
    monkeypatch.setattr(layout, '_FILES_LIMIT', 3)
    with pytest.raises(archive.TarFileWriter.Error, match='has over 3 blobs: give a smaller one'):
        create_image.create_image(**parts.arguments, base=base)


# Random damage.


def with_another_json(files, chance):
    """Changes a value in a JSON file; mostly everything that leads to the file is changed, too."""
    names = [name for name, data in files.items() if data.startswith((b'{', b'['))]
    name = chance.choice(sorted(names))
    changed = compact(with_another_value(json.loads(files[name]), chance))
    if not name.startswith('blobs/') or chance.random() < 0.2:
        files[name] = changed
        return
    del files[name]
    pending = [(name, changed)]
    while pending:
        old, data = pending.pop()
        new = f'blobs/sha256/{sha256(data)}'
        files[new] = data
        old_digest, new_digest = (text[-64:].encode() for text in (old, new))
        for parent, content in list(files.items()):
            if old_digest in content and content.startswith(b'{'):
                replaced = content.replace(old_digest, new_digest)
                if parent.startswith('blobs/'):
                    del files[parent]
                    pending.append((parent, replaced))
                else:
                    files[parent] = replaced


def mutant(number):
    """Returns the files of a mutant, its form, and the random numbers for what is done with it."""
    chance = random.Random(f'layout {number}')
    made = chance.choice([one_image, two_platforms])()
    files = dict(made.files)
    kind = chance.choice(['json', 'json', 'json', 'damage', 'drop'])
    if kind == 'json':
        for _ in range(chance.choice([1, 1, 2])):
            with_another_json(files, chance)
    elif kind == 'drop':
        del files[chance.choice(sorted(files))]
    else:
        name = chance.choice(sorted(files))
        files[name] = mutated(files[name], chance)
    return files, chance.choice(FORMS), chance


def write_mutant(directory, number):
    """Writes a mutant; returns its path, and the random numbers for what is done with it."""
    files, form, chance = mutant(number)
    path = directory / 'hostile'
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    if form == 'directory':
        for name, data in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
        return path, chance
    data = tar_of(*(member(name, data) for name, data in sorted(files.items())))
    if chance.random() < DAMAGED_ARCHIVES:
        data = mutated(data, chance)
    path.write_bytes(gzip.compress(data, 1, mtime=0) if form == 'compressed' else data)
    return path, chance


class Target:
    """An image to build on mutants, and an archive to join them with."""

    def __init__(self, directory, time_limit):
        directory = directory / 'target'
        directory.mkdir()
        self.parts = Parts(directory)
        self.time_limit = time_limit
        self.files = sorted(os.listdir(directory))

    def attempt(self, program, path, platform):
        """Runs a program in this process; returns whether it wrote an output."""
        output = self.parts.output
        output.unlink(missing_ok=True)
        self.time_limit(SECONDS)
        try:
            if program == CREATE:
                both = {'base': path, 'legacy_base': path, 'platform': platform}
                create_image.create_image(**self.parts.arguments, **both)
            else:
                join_layers.create_image(output, [path])
        except (OSError, ValueError, archive.TarFileWriter.Error) as error:
            assert str(path) in str(error)
            assert sorted(os.listdir(output.parent)) == self.files
            return False
        finally:
            self.time_limit(0)
        if program == CREATE:
            check_archive(output)
        return True


@pytest.mark.parametrize('program', [CREATE, JOIN])
def test_mutants_from_python(tmp_path, time_limit, program):
    target = Target(tmp_path, time_limit)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ends = set()
    for number in range(MUTANTS):
        path, chance = write_mutant(tmp_path, number)
        platform = chance.choice([None, 'linux/amd64', 'linux/arm64'])
        try:
            ends.add(target.attempt(program, path, platform))
        except BaseException as error:
            raise AssertionError(f'mutant {number}') from error
    assert ends == {True, False}
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 < MEMORY


@pytest.mark.parametrize('flags', [[], ['--oci'], ['--verify'], ['--oci', '--verify']])
def test_mutants_on_the_command_line(tmp_path, parts, flags):
    """Every reader of layouts; with --verify there may be several errors."""
    ends = set()
    for number in range(MUTANTS // 40):
        path, _ = write_mutant(tmp_path, number)
        platform = ['--platform=linux/amd64']
        for program, own in {
            CREATE: [*parts.flags, f'--base={path}', f'--legacy_base={path}', *platform, *flags],
            JOIN: [f'--layer={path}', *[flag for flag in flags if flag == '--verify']],
            'create_image_config': [f'--base={path}', *platform],
            'build_tar': [f'--base={path}', *platform, '--empty_dir=x'],
        }.items():
            command = [*own, f'--output={parts.directory / "out"}']
            done, peak, _ = measure(*command, program=program, timeout=SECONDS)
            assert peak < MEMORY, number
            _, errors = messages(done.stderr, program)
            assert done.returncode == bool(errors), number
            assert len(errors) <= 1 or '--verify' in flags, number
            ends.add(done.returncode)
    assert ends == {0, 1}
