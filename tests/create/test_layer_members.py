# SPDX-License-Identifier: Apache-2.0
"""create_image --verify: members of layers that clients cannot unpack (section 7)."""

import gzip
import json

import pytest

from image_archive.checks import members
from image_archive.tar import reader
from support.amounts import amount
from support.images import Parts, configuration
from support.odd_layers import (
    FILE_BELOW,
    ODD,
    ODD_ABOVE,
    READ_LENIENTLY,
    SOUND,
    SOUND_ABOVE,
    content_of,
    odd_layer,
    sound_layer,
)
from support.random_members import random_members, respelled, respelled_back
from support.running import build, messages, problems
from support.tars import DIR, GLOBAL, LINK, make_tar, member, pax, sha256, tar_of, write_tar

TEN = tar_of(*(member(f'{number}') for number in range(10)))


def parts_of(directory, stored):
    """Returns the parts of an image with one layer, given by its bytes as they are stored."""
    image = Parts(directory)
    path = directory / 'layer.tar'
    path.write_bytes(stored)
    image.layers = [(sha256(content_of(stored)), path)]
    image.configure(configuration(image.diff_ids))
    return image


def base_of(path, layer):
    """Writes an image archive with one layer, given by its bytes; returns its diff IDs."""
    diff_ids = [f'sha256:{sha256(content_of(layer))}']
    entry = {'Config': 'c.json', 'Layers': ['l.tar'], 'RepoTags': ['base:1']}
    files = {
        'c.json': json.dumps(configuration(diff_ids)).encode(),
        'l.tar': layer,
        'manifest.json': json.dumps([entry]).encode(),
    }
    make_tar(path, files)
    return diff_ids


@pytest.mark.parametrize('case', ODD)
def test_odd_member_is_an_error(tmp_path, case):
    image = parts_of(tmp_path, odd_layer(case))
    (line,) = problems(*image.flags)
    assert line.startswith(f'{str(image.layers[0][1])!r}: member ')
    assert ODD[case][1] in line
    assert not image.output.exists()


def parts_above(directory, *layers):
    """Returns the parts of an image with layers, each given by its members."""
    image = Parts(directory)
    image.layers = []
    for number, members_of_layer in enumerate(layers):
        path = write_tar(directory / f'{number}.tar', *members_of_layer)
        image.layers.append((sha256(path.read_bytes()), path))
    image.configure(configuration(image.diff_ids))
    return image


@pytest.mark.parametrize('case', ODD_ABOVE)
def test_odd_member_above_a_file_is_an_error(tmp_path, case):
    above, text = ODD_ABOVE[case]
    (line,) = problems(*parts_above(tmp_path, FILE_BELOW, above).flags)
    assert line.startswith(f'{str(tmp_path / "1.tar")!r}: member ')
    assert text in line


@pytest.mark.parametrize('case', SOUND_ABOVE)
def test_sound_members_above_a_file_are_passed_in_silence(tmp_path, case):
    build(*parts_above(tmp_path, FILE_BELOW, SOUND_ABOVE[case]).flags, '--verify')


# What a layer between them may hide. Where hashes do not tell, nothing is said.
BETWEEN = {
    'a whiteout': [member('.wh.f')],
    'a whiteout of a directory': [member('.wh.d')],
    'an opaque directory': [member('d/', kind=DIR), member('d/.wh..wh..opq')],
    'a directory': [member('f/', kind=DIR)],
    'a link': [member('f', kind=LINK, link='d')],
}


@pytest.mark.parametrize('case', BETWEEN)
def test_files_that_a_layer_hides_do_not_count(tmp_path, case):
    layers = [FILE_BELOW, BETWEEN[case], [member('f/e/x'), member('d/f/e/x')]]
    image = parts_above(tmp_path, *layers)
    if case in ('a whiteout', 'a directory', 'a link'):
        (line,) = problems(*image.flags)
        assert "'d/f/e/x' is below 'd/f', which is a file in a layer below" in line
    else:
        build(*image.flags, '--verify')


def test_files_below_a_layer_that_cannot_be_read_do_not_count(tmp_path):
    """It may hide them. Its own error is the only one."""
    image = parts_above(tmp_path, FILE_BELOW, [member('f/', kind=DIR)], [member('f/e/x')])
    damaged = image.layers[1][1]
    damaged.write_bytes(damaged.read_bytes()[:300])
    lines = problems(*image.flags)
    assert lines
    assert all(line.startswith(repr(str(damaged))) for line in lines)


def test_files_beyond_the_limit_do_not_count(monkeypatch):
    """A path that was not remembered may hide them."""
    monkeypatch.setattr(members, '_PATHS_LIMIT', 2)
    lower = members.LowerFiles()
    for layer in (FILE_BELOW, [member('a'), member('b'), member('f/', kind=DIR)]):
        checks = members.MemberChecks(lower)
        for found in reader.TarReader(reader.BlockStream(iter([tar_of(*layer)])), 'x'):
            checks.add(found)
        list(checks.problems('x', is_error=True, has_label=False))
        assert ('f' in lower) == (layer is FILE_BELOW)


def test_files_of_the_base_count(tmp_path):
    diff_ids = base_of(tmp_path / 'base.tar', tar_of(*FILE_BELOW))
    image = Parts(tmp_path, [{'f/e/x': b'x'}], below=diff_ids, base=tmp_path / 'base.tar')
    (line,) = problems(*image.flags)
    assert "'f/e/x' is below 'f', which is a file in a layer below" in line


@pytest.mark.parametrize('case', READ_LENIENTLY)
def test_layer_that_clients_do_not_read_is_an_error(tmp_path, case):
    stored, text = READ_LENIENTLY[case]
    image = parts_of(tmp_path, stored)
    (line,) = problems(*image.flags)
    assert line.startswith(f'{str(image.layers[0][1])!r} {text}')
    assert not image.output.exists()


@pytest.mark.parametrize('case', READ_LENIENTLY)
def test_layer_of_a_base_that_clients_do_not_read_is_a_warning(tmp_path, case):
    stored, text = READ_LENIENTLY[case]
    diff_ids = base_of(tmp_path / 'base.tar', stored)
    image = Parts(tmp_path, below=diff_ids, base=tmp_path / 'base.tar')
    done = build(*image.flags, '--verify', warnings=True)
    ((warning,), errors) = messages(done.stderr)
    assert errors == []
    assert text in warning


def test_global_header_that_clients_do_not_apply_is_an_error(tmp_path):
    """They load the layer, but GNU tar lists other names than the container has."""
    layer = tar_of(pax(b'path=b', kind=GLOBAL), member('a', b'x'))
    image = parts_of(tmp_path, layer)
    (line,) = problems(*image.flags)
    assert 'has a global PAX header with fields of members, which clients ignore' in line


@pytest.mark.parametrize('case', SOUND)
def test_sound_members_are_passed_in_silence(tmp_path, case):
    build(*parts_of(tmp_path, sound_layer(case)).flags, '--verify')


def test_odd_member_of_a_base_is_a_warning(tmp_path):
    """The base is what it is."""
    diff_ids = base_of(tmp_path / 'base.tar', odd_layer('a file twice'))
    image = Parts(tmp_path, below=diff_ids, base=tmp_path / 'base.tar')
    done = build(*image.flags, '--verify', warnings=True)
    ((warning,), errors) = messages(done.stderr)
    assert errors == []
    assert warning.startswith(f"layer 'l.tar' of {str(tmp_path / 'base.tar')!r}: member 'a' ")


def test_odd_member_in_a_join_is_a_warning(tmp_path):
    base_of(tmp_path / 'base.tar', odd_layer('a whiteout of nothing'))
    flags = [f'--output={tmp_path / "out.tar"}', f'--layer={tmp_path / "base.tar"}', '--verify']
    done = build(*flags, program='join_layers', warnings=True)
    ((warning,), errors) = messages(done.stderr, 'join_layers')
    assert errors == []
    assert "member '.wh.' is a whiteout of nothing: leave it out" in warning


def test_odd_member_of_a_compressed_layer_is_an_error(tmp_path):
    image = parts_of(tmp_path, gzip.compress(odd_layer('a file twice')))
    (line,) = problems(*image.flags)
    assert "member 'a' comes twice" in line


def test_each_kind_of_problem_is_reported_once_a_layer(tmp_path):
    layer = tar_of(*[member('a')] * 3, *[member('.wh.')] * 3, member('x/../../y'))
    found = problems(*parts_of(tmp_path, layer).flags)
    assert [line.partition(': member ')[2].split(':')[0] for line in found] == [
        "'a' comes twice",
        "'.wh.' is a whiteout of nothing",
        "'x/../../y' leads out of the root",
    ]


def test_volume_label_is_an_error(tmp_path):
    layer = tar_of(member('label', kind=b'V'), member('a', b'x'))
    (line,) = problems(*parts_of(tmp_path, layer).flags)
    text = 'has a volume label of GNU tar, which clients do not unpack'
    assert line.endswith(f' {text}: pack the layer without --label')


def test_whiteout_of_a_kind_that_is_unknown_is_a_warning(tmp_path):
    """Those of aufs are skipped by all."""
    layer = tar_of(member('.wh..wh.aufs'), member('.wh..wh.plnk/1'), member('.wh..wh.x'))
    image = parts_of(tmp_path, layer)
    done = build(*image.flags, '--verify', warnings=True)
    ((warning,), _) = messages(done.stderr)
    assert warning.endswith("member '.wh..wh.x' is an unknown kind of whiteout: leave it out")


def test_without_verify_no_layer_is_read(tmp_path):
    build(*parts_of(tmp_path, odd_layer('a file twice')).flags)


def test_paths_beyond_the_limit_are_a_warning(monkeypatch):
    monkeypatch.setattr(members, '_PATHS_LIMIT', 3)
    checks = members.MemberChecks(members.LowerFiles())
    reading = reader.TarReader(reader.BlockStream(iter([TEN])), 'x')
    for found in reading:
        checks.add(found)
    (problem,) = checks.problems("'x'", is_error=True, has_label=False)
    assert not problem.is_error
    text = 'only the first 3 paths were checked for paths that come twice'
    assert problem.text == f"'x': {text}: make smaller layers"


def test_spelling_of_names_changes_nothing_that_is_found(monkeypatch):
    """Files in the directory of the member before take a shorter way, if it is spelled so."""
    short_ways = []
    add_new_file = members.Paths.add_new_file

    def counted(paths, path):
        short_ways.append(add_new_file(paths, path))
        return short_ways[-1]

    monkeypatch.setattr(members.Paths, 'add_new_file', counted)
    count = amount('MEMBERS_SEEDS', 500, 10_000)
    for seed in range(count):
        found = []
        lower = [members.LowerFiles(), members.LowerFiles()]
        for layer in (random_members(2 * seed), random_members(2 * seed + 1)):
            for files, spelled in zip(lower, (layer, respelled(layer)), strict=True):
                checks = members.MemberChecks(files)
                for one in spelled:
                    checks.add(one)
                problems_found = checks.problems('x', is_error=True, has_label=False)
                found.append([respelled_back(problem.text) for problem in problems_found])
        assert found[0::2] == found[1::2], seed
    assert short_ways.count(True) > count / 2
    assert short_ways.count(False) > count / 10
