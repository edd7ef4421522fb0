# SPDX-License-Identifier: Apache-2.0
"""Hostile and damaged archives in joins: the output is a whole archive, or the error one line.

JOIN_MUTANTS=20000 in the environment sets how many mutants are tried; the default is 280, or 2000
with ALL_TESTS=1. The number of a mutant is its seed; a failure names it, and the mutant's file
stays in the directory of the test.
"""

import itertools
import json
import os
import posixpath
import random
import resource
import tarfile

import pytest

import archive
import join_layers
from support.amounts import ALL_TESTS, amount
from support.hostile import MEMORY, SECONDS, mutant, with_another_value
from support.images import BASES, write_base
from support.joins import PROGRAM, flags_for, image_of
from support.measuring import measure
from support.project import FIXTURES
from support.running import build, messages
from support.tars import BLOCK, LINK, headers, member, tar_of, uncompressed

MUTANTS = amount('JOIN_MUTANTS', every_day=280, all_tests=2000)
JSON_FILES = ('manifest.json', 'repositories', 'index.json')


def with_another_json(base, chance):
    """Returns a fixture with one change in one of its JSON files."""
    data = uncompressed((FIXTURES / base).read_bytes())
    places = [*headers(data), None]
    parts = []
    changed = None
    for start, end in itertools.pairwise(places):
        part = data[start:end]
        name = part[:100].rstrip(b'\0').decode().removeprefix('./')
        parts.append((name, part))
    candidates = [name for name, _ in parts if name in JSON_FILES or name.endswith('.json')]
    candidates += [name for name, part in parts if part[BLOCK : BLOCK + 1] in (b'{', b'[')]
    changed = chance.choice(candidates)
    result = []
    for name, part in parts:
        if name == changed:
            size = int(part[124:135], 8)
            value = json.loads(part[BLOCK : BLOCK + size])
            text = json.dumps(with_another_value(value, chance)).encode()
            part = member(name, text)
        elif part is parts[-1][1]:
            part = part[: BLOCK + -(-int(part[124:135], 8) // BLOCK) * BLOCK]
        result.append(part)
    return tar_of(*result)


def check_archive(path):
    """Checks that an output is a valid archive whose JSON files have the right types."""
    found = {}
    texts = {}
    with tarfile.open(path) as tar:
        for info in tar:
            assert info.name not in found
            assert not {'', '..'} & set(info.name.split('/'))
            assert not info.islnk() or info.linkname in found
            parent = posixpath.dirname(info.name)
            assert not parent or found[parent].isdir()
            found[info.name] = info
            if info.isreg():
                data = tar.extractfile(info).read()
                assert len(data) == info.size
                texts[info.name] = data
        end = path.read_bytes()[info.offset_data + -(-info.size // BLOCK) * BLOCK :]
    assert end.count(0) == len(end) >= 2 * BLOCK
    for entry in json.loads(texts.get('manifest.json', b'[]')):
        assert isinstance(entry['Config'], str)
        assert all(isinstance(text, str) for text in [*entry['Layers'], *entry['RepoTags']])
    assert ('index.json' in texts) == ('oci-layout' in texts)
    for descriptor in json.loads(texts.get('index.json', b'{"manifests": []}'))['manifests']:
        assert isinstance(descriptor['digest'], str)
    for tags in json.loads(texts.get('repositories', b'{}')).values():
        assert all(isinstance(identifier, str) for identifier in tags.values())


class Target:
    """Three archives to join; the second one is hostile."""

    def __init__(self, directory, base, time_limit):
        self.directory = directory
        self.hostile = directory / 'hostile.tar'
        self.hostile.touch()
        more = [member('x', kind=LINK, link='z')]
        image = write_base(directory / 'image.tar', image_of('z', tag='own:1'), more=more)
        self.archives = [image, self.hostile, FIXTURES / base]
        self.output = directory / 'out.tar'
        self.time_limit = time_limit
        self.files = sorted(os.listdir(directory))

    def attempt(self, data, chance):
        """Joins in this process; returns whether it wrote an output."""
        self.output.unlink(missing_ok=True)
        self.hostile.write_bytes(data)
        archives = [str(path) for path in self.archives]
        chance.shuffle(archives)
        self.time_limit(SECONDS)
        try:
            join_layers.create_image(str(self.output), archives)
        except (OSError, ValueError, archive.TarFileWriter.Error) as error:
            assert any(path in str(error) for path in archives)
            assert sorted(os.listdir(self.directory)) == self.files
            return False
        finally:
            self.time_limit(0)
        check_archive(self.output)
        return True

    def run(self, data, *flags):
        """Runs the program; returns its errors, an empty list if it wrote a valid archive."""
        self.output.unlink(missing_ok=True)
        self.hostile.write_bytes(data)
        command = flags_for(self.directory, self.archives, *flags)
        done, peak, _ = measure(*command, timeout=SECONDS, **PROGRAM)
        assert peak < MEMORY
        _, errors = messages(done.stderr, 'join_layers')
        if done.returncode == 0:
            assert errors == []
            check_archive(self.output)
            return []
        assert done.returncode == 1
        assert errors
        assert sorted(os.listdir(self.directory)) == self.files
        return errors

    def check_form(self, errors):
        """Checks that an output of --oci gives the same bytes again."""
        if errors:
            return
        first = self.directory / 'first.tar'
        self.output.rename(first)
        build(*flags_for(self.directory, [first], '--oci'), warnings=True, **PROGRAM)
        assert self.output.read_bytes() == first.read_bytes()
        first.unlink()


@pytest.fixture
def target(tmp_path, request, time_limit):
    return Target(tmp_path, request.getfixturevalue('base'), time_limit)


def mutants(base):
    """Yields the mutants of a fixture; every other one is a valid archive with changed JSON."""
    for number in range(MUTANTS // len(BASES)):
        chance = random.Random(f'join {base} {number}')
        if number % 2:
            yield number, mutant(base, number)[0], chance
        else:
            yield number, with_another_json(base, chance), chance


@pytest.mark.parametrize('base', BASES)
def test_mutants_from_python(target, base):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ends = set()
    for number, data, chance in mutants(base):
        try:
            ends.add(target.attempt(data, chance))
        except BaseException as error:
            raise AssertionError(f'mutant {number} of {base}') from error
    assert ends == {True, False}
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 < MEMORY


@pytest.mark.parametrize('base', BASES)
def test_mutants_on_the_command_line(target, base):
    for number, data, _ in mutants(base):
        if number == (4 if ALL_TESTS else 1):
            break
        errors = target.run(data)
        assert len(errors) <= 1
        target.run(data, '--verify')
        target.check_form(target.run(data, '--oci'))
