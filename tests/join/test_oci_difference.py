# SPDX-License-Identifier: Apache-2.0
"""join_layers --oci --base: what images have in common is left out, and completed (section 11)."""

import gzip
import json

import pytest

from support.amounts import some_every_day
from support.images import Parts, configuration, on_fixture, write_base
from support.joins import PROGRAM, entries_of, flags_for, image_of, join, refuses
from support.layouts import write_layout
from support.platforms import several
from support.project import FIXTURES
from support.running import build, fails, warns
from support.tars import content, make_tar, member, names, sha256

KEPT_BASES = ['docker-20.10.tar', 'docker-29-pulled.tar', 'docker-29-multiplatform.tar']
KEPT_BASES += ['podman-4.3.tar', 'bazel-2016.tar', 'docker-29-graphdriver.tar']


def join_oci(directory, *archives, flags=(), **options):
    return join(directory, *archives, flags=['--oci', *flags], **options)


def image(directory, name, *layers, tag='app:1', flags=(), pack=bytes):
    """Builds an image whose layers have one file each; returns its archive."""
    directory /= name
    directory.mkdir()
    parts = Parts(directory, [{layer: layer.encode() * 1000} for layer in layers])
    for _, path in parts.layers:
        path.write_bytes(pack(path.read_bytes()))
    parts.configure({**configuration(parts.diff_ids), 'author': name})
    build(*parts.flags, f'--tag={tag}', *flags)
    return parts.output


def difference(directory, old, new, *, warnings=False):
    """Returns the difference between archives, and its layers that are there, top layer last."""
    flags = [f'--base={path}' for path in old]
    path = join_oci(directory, *new, flags=[*flags, '--verify'], warnings=warnings)
    path = path.rename(directory / 'difference.tar')
    there = [[name in names(path) for name in entry['Layers']] for entry in entries_of(path)]
    return path, there


def check_completion(directory, old, new, path):
    """Checks that OLD and the difference are what OLD and NEW are."""
    together = join_oci(directory, *old, *new, warnings=True).read_bytes()
    completed = join_oci(directory, *old, path, warnings=True).read_bytes()
    assert completed == together


@pytest.mark.parametrize('flags', [[], ['--oci']])
def test_layers_at_the_bottom_are_left_out(tmp_path, flags):
    old = image(tmp_path, 'old', 'a', 'b', 'c', flags=flags)
    new = image(tmp_path, 'new', 'a', 'b', 'd', tag='app:2', flags=flags)
    path, there = difference(tmp_path, [old], [new])
    assert there == [[False, False, True]]
    check_completion(tmp_path, [old], [new], path)


def test_everything_else_is_the_same_as_without_a_base(tmp_path):
    old = image(tmp_path, 'old', 'a', 'b')
    new = image(tmp_path, 'new', 'a', 'c', tag='app:2')
    path, _ = difference(tmp_path, [old], [new])
    whole = join_oci(tmp_path, new)
    for name in ('index.json', 'manifest.json', 'oci-layout'):
        assert content(path, name) == content(whole, name)
    lower = entries_of(whole)[0]['Layers'][0]
    assert [name for name in names(whole) if name != lower] == names(path)


def test_layers_in_common_above_a_different_one_stay(tmp_path):
    """Docker's older store completes images only from the bottom."""
    old = image(tmp_path, 'old', 'a', 'b', 'c')
    new = image(tmp_path, 'new', 'a', 'x', 'c', tag='app:2')
    path, there = difference(tmp_path, [old], [new])
    assert there == [[False, True, True]]
    check_completion(tmp_path, [old], [new], path)


def test_layer_that_another_image_needs_stays(tmp_path):
    old = image(tmp_path, 'old', 'a', 'b')
    new = [image(tmp_path, 'one', 'a', 'c'), image(tmp_path, 'two', 'x', 'a', tag='app:2')]
    _, there = difference(tmp_path, [old], new, warnings=True)
    assert there == [[True, True], [True, True]]


def test_layers_are_compared_with_each_image_of_each_base(tmp_path):
    olds = [image(tmp_path, 'one', 'a', 'b'), image(tmp_path, 'two', 'x', 'y', tag='app:2')]
    new = [image(tmp_path, '3', 'a', 'c', tag='c:3'), image(tmp_path, '4', 'x', 'y', 'z')]
    path, there = difference(tmp_path, olds, new, warnings=True)
    assert there == [[False, True], [False, False, True]]
    check_completion(tmp_path, olds, new, path)
    both = join_oci(tmp_path, *olds).rename(tmp_path / 'both.tar')
    again, _ = difference(tmp_path, [both], new, warnings=True)
    assert again.read_bytes() == path.read_bytes()


def test_same_image_has_no_layer_left(tmp_path):
    old = image(tmp_path, 'old', 'a', 'b')
    path, there = difference(tmp_path, [old], [old])
    assert there == [[False, False]]
    check_completion(tmp_path, [old], [old], path)


def test_new_version_of_the_same_tag(tmp_path):
    """The later one keeps the tag, in the completed archive, too."""
    old = image(tmp_path, 'old', 'a', 'b')
    new = image(tmp_path, 'new', 'a', 'c')
    path, _ = difference(tmp_path, [old], [new])
    check_completion(tmp_path, [old], [new], path)
    tags = [entry['RepoTags'] for entry in entries_of(tmp_path / 'out.tar')]
    assert tags == [[], ['docker.io/library/app:1']]


@pytest.mark.parametrize('base', some_every_day(KEPT_BASES, KEPT_BASES[:2]))
@pytest.mark.parametrize('has_layout', [False, True])
def test_difference_to_an_archive_of_another_program(tmp_path, base, has_layout):
    parts = on_fixture(tmp_path, base)
    if has_layout:
        write_layout(parts, tags=['new:1'])
    else:
        build(*parts.flags, '--tag=new:1')
    old = [FIXTURES / base]
    path, there = difference(tmp_path, old, [parts.output])
    assert there == [[False, False, True]]
    check_completion(tmp_path, old, [parts.output], path)


def test_difference_of_a_difference(tmp_path):
    """OLD may be partial itself: the images are where it was loaded."""
    versions = [
        image(tmp_path, str(number), 'a', *'bcd'[:number], tag=f'app:{number}')
        for number in range(1, 4)
    ]
    first, _ = difference(tmp_path, versions[:1], versions[1:2])
    first = first.rename(tmp_path / 'first.tar')
    second, there = difference(tmp_path, [first], versions[2:])
    assert there == [[False, False, False, True]]
    together = join_oci(tmp_path, *versions).read_bytes()
    assert join_oci(tmp_path, versions[0], first, second).read_bytes() == together


def test_difference_of_images_of_several_platforms(tmp_path):
    olds = several(tmp_path, tag='app:1')
    (tmp_path / 'new').mkdir()
    old = join_oci(tmp_path, *(one.path for one in olds)).rename(tmp_path / 'old.tar')
    news = several(tmp_path / 'new', tag='app:2')
    new = join_oci(tmp_path, *(one.path for one in news)).rename(tmp_path / 'new.tar')
    path, there = difference(tmp_path, [old], [new])
    assert there == [[False, False]]
    check_completion(tmp_path, [old], [new], path)


# What cannot be left out.


def test_layer_compressed_otherwise_stays_with_a_warning(tmp_path):
    old = image(tmp_path, 'old', 'a', 'b')
    new = image(tmp_path, 'new', 'a', 'c', tag='app:2', pack=gzip.compress)
    found = warns(*flags_for(tmp_path, [new], '--oci', f'--base={old}', '--verify'), **PROGRAM)
    path = tmp_path / 'out.tar'
    (entry,) = entries_of(path)
    assert len(found) == 2
    assert f'layer {entry["Layers"][0]!r} stays, as --base has the same content' in found[0]
    assert found[0].endswith('under another digest: save both with one program')
    assert found[1].startswith('--base: no image has its lowest layer: nothing is left out')
    assert all(name in names(path) for name in entry['Layers'])


def test_nothing_in_common_is_a_warning(tmp_path):
    old, new = image(tmp_path, 'old', 'a'), image(tmp_path, 'new', 'b', 'a', tag='app:2')
    whole = join_oci(tmp_path, new).read_bytes()
    (warning,) = warns(*flags_for(tmp_path, [new], '--oci', f'--base={old}'), **PROGRAM)
    text = '--base: no image has its lowest layer: nothing is left out'
    assert warning == f'{text}: give an older version of an image'
    assert (tmp_path / 'out.tar').read_bytes() == whole


def test_several_images_or_tags_give_a_warning_about_podman(tmp_path):
    old = image(tmp_path, 'old', 'a', 'b')
    new = image(tmp_path, 'new', 'a', 'c', tag='app:2', flags=['--tag=app:3'])
    (warning,) = warns(*flags_for(tmp_path, [new], '--oci', f'--base={old}'), **PROGRAM)
    assert warning.startswith('--base: Podman does not load what has several images or tags')
    assert warning.endswith(f'pull each by `podman pull oci-archive:{tmp_path}/out.tar:TAG`')


# Errors.


def test_base_requires_oci(tmp_path):
    old = image(tmp_path, 'old', 'a')
    line = refuses(tmp_path, old, flags=[f'--base={old}'])
    assert line == '--base: only an OCI layout can be partial: give --oci'


@pytest.mark.parametrize(
    ('base', 'message'),
    [
        ('missing.tar', "'missing.tar': No such file"),
        ('layer.tar', 'is not a valid image archive'),
        ('out.tar', 'is also the file of --base'),
    ],
)
def test_bad_base_is_an_error(tmp_path, base, message):
    new = write_base(tmp_path / 'new.tar', image_of('a', tag='app:1'))
    make_tar(tmp_path / 'layer.tar', {'file': b'x'})
    (tmp_path / 'out.tar').write_bytes(new.read_bytes())
    before = sorted(tmp_path.iterdir())
    flags = ['--output=out.tar', '--layer=new.tar', '--oci', f'--base={base}']
    for verify in ([], ['--verify']):
        assert message in fails(*flags, *verify, **PROGRAM, cwd=tmp_path)
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / 'out.tar').read_bytes() == new.read_bytes()


def test_layers_that_are_left_out_are_not_read(tmp_path):
    """With --verify what is written is checked."""
    old = image(tmp_path, 'old', 'a', 'b')
    wrong = image_of('a', 'b', tag='x:1')
    more = [member('a', b'no layer' * 100)]
    new = write_base(tmp_path / 'new.tar', wrong, without=['a'], more=more)
    base = write_base(tmp_path / 'base.tar', wrong)
    join_oci(tmp_path, new, flags=[f'--base={base}', '--verify'])
    found = fails(*flags_for(tmp_path, [new], '--oci', f'--base={old}', '--verify'), **PROGRAM)
    assert "layer 'a' of" in found
    digest = sha256(json.dumps(configuration(wrong.diff_ids)).encode())
    assert f'blobs/sha256/{digest}' in names(tmp_path / 'out.tar')
