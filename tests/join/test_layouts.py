# SPDX-License-Identifier: Apache-2.0
"""OCI image layouts in joins (sections 5 and 11)."""

import json

import pytest

from support.images import write_base
from support.joins import PROGRAM, entries_of, flags_for, image_of, join, refuses
from support.layouts import Layout
from support.made_layouts import (
    FORMS,
    PLATFORMS,
    REF_NAME,
    Derived,
    Made,
    one_image,
    two_platforms,
    write_form,
)
from support.running import problems, warns
from support.tars import names, sha256


@pytest.fixture(params=FORMS)
def form(request):
    return request.param


def test_layout_becomes_an_archive_of_both_forms(tmp_path, form):
    made = one_image()
    base = write_form(made, form, tmp_path)
    output = join(tmp_path, base, flags=['--verify'])
    (entry,) = entries_of(output)
    assert entry['RepoTags'] == ['docker.io/example/one:1.0']
    layout = Layout.read(output)
    assert layout.blobs == made.blobs
    assert layout.index['manifests'] == made.roots
    assert {entry['Config'], *entry['Layers']} < set(layout.blobs)


def test_partial_archive_is_completed_by_a_layout(tmp_path, form):
    base = write_form(one_image(), form, tmp_path)
    derived = Derived(tmp_path, base)
    partial = derived.write('--oci', '--tag=app:1', partial=True)
    output = join(tmp_path, base, partial, flags=['--verify'])
    assert [entry['RepoTags'] for entry in entries_of(output)] == [
        ['docker.io/example/one:1.0'],
        ['app:1'],
    ]
    files = set(names(output))
    assert all(layer in files for entry in entries_of(output) for layer in entry['Layers'])
    assert len(Layout.read(output).index['manifests']) == 2


def test_layout_and_docker_archive_have_no_index(tmp_path, form):
    base = write_form(one_image(), form, tmp_path)
    other = write_base(tmp_path / 'other.tar', image_of('a', tag='a:1'))
    flags = flags_for(tmp_path, [base, other])
    reason = f'as {str(other)!r} has none: join only archives that have one, or give --oci'
    text = f'index.json is left out, {reason}'
    assert warns(*flags, **PROGRAM) == [text]
    assert len(entries_of(tmp_path / 'out.tar')) == 2


def test_attestations_are_left_out_and_counted(tmp_path, form):
    made = one_image()
    image = made.roots[0]
    index = made.index(image, made.attestation(image), annotations=image['annotations'])
    made.roots = [index]
    base = write_form(made, form, tmp_path)
    text = f'--layer: {str(base)!r} has 1 attestations or other artifacts, which are left out'
    text = f'{text}: give --oci to keep them'
    assert problems(*flags_for(tmp_path, [base]), warnings=[text], **PROGRAM) == []
    layout = Layout.read(tmp_path / 'out.tar')
    assert layout.index['manifests'] == [image]
    assert set(layout.blobs) == set(one_image().blobs)


def test_index_of_images_alone_stays(tmp_path, form):
    made = Made()
    images = [made.image(*layers, platform=platform) for platform, layers in PLATFORMS.items()]
    made.roots.append(made.index(*images, annotations={REF_NAME: '1.0'}))
    base = write_form(made, form, tmp_path)
    output = join(tmp_path, base, flags=['--verify'])
    layout = Layout.read(output)
    assert layout.index['manifests'] == made.roots
    assert layout.blobs == made.blobs
    # Docker takes no tag without a repository.
    assert [entry['RepoTags'] for entry in entries_of(output)] == [[], []]


def test_two_platforms_under_one_tag_are_an_error(tmp_path, form):
    base = write_form(two_platforms(), form, tmp_path)
    line = refuses(tmp_path, base)
    text = "has two images with the tag 'docker.io/example/two:1.0'"
    advice = 'give one another tag, or --oci to have both platforms'
    assert line == f'{str(base)!r} {text}: {advice}'


def test_manifest_that_the_layout_lacks_is_not_there(tmp_path, form):
    made = two_platforms()
    arm = made.image(*PLATFORMS['linux/arm64'], platform='linux/arm64')
    absent = 'blobs/' + arm['digest'].replace(':', '/')
    base = write_form(made, form, tmp_path, without=[absent])
    warns(*flags_for(tmp_path, [base]), **PROGRAM)
    assert len(entries_of(tmp_path / 'out.tar')) == 1


def test_bytes_do_not_depend_on_the_form(tmp_path, form):
    base = write_form(one_image(compressed=False), form, tmp_path)
    found = sha256(join(tmp_path, base).read_bytes())
    assert found == '19fd56791edb568ad5af414176cadd80cdec4e16193a211a991848d0e601c646'


def test_layout_without_an_image_is_refused(tmp_path, form):
    base = write_form(Made(), form, tmp_path)
    text = 'is not a valid image archive: its index.json leads to no image: save the image again'
    assert refuses(tmp_path, base) == f'{str(base)!r} {text}'


def test_layer_of_a_layout_is_verified(tmp_path, form):
    made = one_image()
    name = next(name for name, data in made.blobs.items() if data.startswith(b'\x1f\x8b'))
    other = made.image('other')
    value = json.loads(made.blobs['blobs/' + other['digest'].replace(':', '/')])
    made.blobs[name] = made.blobs['blobs/' + value['layers'][0]['digest'].replace(':', '/')]
    base = write_form(made, form, tmp_path)
    errors = problems(*flags_for(tmp_path, [base]), **PROGRAM)
    assert any(name in error and str(base) in error for error in errors)
