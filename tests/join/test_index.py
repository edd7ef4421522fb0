# SPDX-License-Identifier: Apache-2.0
"""join_layers: index.json of archives that are also OCI image layouts (section 11)."""

import gzip
import hashlib
import json
import posixpath

import pytest

from support.images import write_base
from support.indexes import (
    INDEX_TYPE,
    MANIFEST_TYPE,
    NAME,
    TAG,
    Layout,
    attestation,
    blob,
    described,
    described_index,
    platforms_layout,
)
from support.joins import PROGRAM, SAME_IMAGE, entries_of, flags_for, image_of, join
from support.project import FIXTURES
from support.running import problems, warns
from support.tars import LINK, content, manifest, member, members, names, sha256, write_tar


def left_out(reason):
    return f'index.json is left out, as {reason}, or give --oci'


def descriptors_of(path):
    return json.loads(content(path, 'index.json'))['manifests']


def test_two_indexes_are_merged(tmp_path):
    app, db = Layout('shared', 'a', tag='app:1'), Layout('shared', 'b', tag='db:1')
    archives = [app.write(tmp_path / 'app.tar'), db.write(tmp_path / 'db.tar')]
    joined = join(tmp_path, *archives, flags=['--verify'])
    index = {
        'manifests': [app.descriptor, db.descriptor],
        'mediaType': INDEX_TYPE,
        'schemaVersion': 2,
    }
    assert content(joined, 'index.json').decode() == json.dumps(index, sort_keys=True)
    assert content(joined, 'oci-layout') == b'{"imageLayoutVersion":"1.0.0"}'
    assert names(joined)[-3:] == ['index.json', 'oci-layout', 'manifest.json']
    assert {**app.blobs, **db.blobs}.keys() < set(names(joined))


@pytest.mark.parametrize('other', ['docker-20.10.tar', 'podman-4.3.tar', 'docker-1.9.tar'])
def test_no_index_if_one_archive_has_none(tmp_path, other):
    layout = Layout('a', tag='app:1').write(tmp_path / 'one.tar')
    joined = join(tmp_path, layout, FIXTURES / other, warnings=True)
    assert not {'index.json', 'oci-layout'} & set(names(joined))


def test_first_descriptor_of_a_name_is_kept(tmp_path):
    """Another archive can have another manifest of the same image."""
    one, other = (FIXTURES / name for name in SAME_IMAGE[1:3])
    for order in ([one, other], [other, one]):
        dropped = descriptors_of(order[1])[0]['digest']
        text = f'{str(order[1])!r}: nothing leads to the manifest {dropped} any more'
        text += ", as its name 'docker.io/example/base:1.0' is taken"
        found = warns(*flags_for(tmp_path, order, '--verify'), **PROGRAM)
        assert found == [f'{text}: load this archive by itself']
        assert descriptors_of(tmp_path / 'out.tar') == descriptors_of(order[0])


def test_descriptors_are_compared_by_all_their_names(tmp_path):
    """By the tag alone only if there is no other name."""
    app, db = Layout('a', tag='app:1'), Layout('b', tag='db:1')
    archives = [app.write(tmp_path / 'app.tar'), db.write(tmp_path / 'db.tar')]
    assert descriptors_of(join(tmp_path, *archives)) == [app.descriptor, db.descriptor]
    for layout in (app, db):
        del layout.descriptor['annotations'][NAME]
    archives = [app.write(tmp_path / 'app.tar'), db.write(tmp_path / 'db.tar')]
    digests = [layout.descriptor['digest'] for layout in (app, db)]
    text = (
        f"'1' is {digests[0]} in it, and {digests[1]} of '{archives[1]}': save one with another tag"
    )
    assert warns(*flags_for(tmp_path, archives), **PROGRAM) == [left_out(text)]
    check_no_index(tmp_path, *archives)


def test_same_image_may_have_two_manifests_with_one_tag(tmp_path):
    """The first one stays. Their names are only a tag."""
    one, other = Layout('a', tag='app:1'), Layout('a', tag='app:1')
    other.manifest += b' '
    other.blobs[blob(other.manifest)] = other.manifest
    other.descriptor |= described(other.manifest, MANIFEST_TYPE)
    for layout in (one, other):
        del layout.descriptor['annotations'][NAME]
    archives = [one.write(tmp_path / 'one.tar'), other.write(tmp_path / 'other.tar')]
    text = f'nothing leads to the manifest {other.descriptor["digest"]} any more'
    assert warns(*flags_for(tmp_path, archives, '--verify'), **PROGRAM) == [
        f"'{archives[1]}': {text}, as its name '1' is taken: load this archive by itself"
    ]
    assert descriptors_of(tmp_path / 'out.tar') == [one.descriptor]


@pytest.mark.parametrize('spelling', ['docker.io/library/app:1', 'app:1'])
def test_names_in_both_annotations_are_compared(tmp_path, spelling):
    """Podman and Skopeo have the whole name in the second annotation."""
    one, other = Layout('a', tag='app:1'), Layout('a', tag='app:1')
    other.descriptor['annotations'] = {TAG: spelling}
    archives = [one.write(tmp_path / 'one.tar'), other.write(tmp_path / 'other.tar')]
    assert descriptors_of(join(tmp_path, *archives)) == [one.descriptor]


def test_descriptors_without_a_name_are_compared_by_manifest(tmp_path):
    """One for each manifest is kept."""
    app, db = Layout('a'), Layout('b')
    again = Layout('a')
    archives = [
        layout.write(tmp_path / f'{number}.tar') for number, layout in enumerate([app, db, again])
    ]
    assert descriptors_of(join(tmp_path, *archives)) == [app.descriptor, db.descriptor]


def test_other_fields_of_a_descriptor_are_kept(tmp_path):
    layout = Layout('a', tag='app:1')
    layout.descriptor['platform'] = {'architecture': 'amd64', 'os': 'linux'}
    layout.descriptor['annotations']['x'] = 'y'
    joined = join(tmp_path, layout.write(tmp_path / 'one.tar'))
    assert descriptors_of(joined) == [layout.descriptor]


# What nothing leads to any more: each is a warning.


def lost(path, what, digest, reason=''):
    advice = 'give --oci, which keeps it'
    return f"'{path}': nothing leads to {what} {digest} any more{reason}: {advice}"


def test_losses_without_an_index_are_named(tmp_path):
    """But not the image that manifest.json has."""
    amd64, arm64 = Layout('a'), Layout('b')
    one, descriptor = platforms_layout(tmp_path / '1.tar', amd64, arm64, more=[attestation()])
    other = write_base(tmp_path / '2.tar', image_of('c', tag='c:1'))
    found = warns(*flags_for(tmp_path, [one, other], '--verify'), **PROGRAM)
    assert found == [
        left_out(f"'{other}' has none: join only archives that have one"),
        lost(one, 'the index', descriptor['digest']),
        lost(one, 'the image for linux/arm64', arm64.descriptor['digest']),
        lost(one, 'the attestation', attestation()[1]['digest']),
    ]


def test_losses_to_an_archive_with_the_name_are_named(tmp_path):
    """In the other order nothing is lost."""
    amd64, arm64 = Layout('a'), Layout('b')
    all_of_them, descriptor = platforms_layout(tmp_path / 'all.tar', amd64, arm64)
    one = Layout('a', tag='m:1')
    one_path = one.write(tmp_path / 'one.tar')
    found = warns(*flags_for(tmp_path, [one_path, all_of_them], '--verify'), **PROGRAM)
    reason = ", as its name 'docker.io/library/m:1' is taken"
    assert found == [
        lost(all_of_them, 'the index', descriptor['digest'], reason),
        lost(all_of_them, 'the image for linux/arm64', arm64.descriptor['digest']),
    ]
    joined = join(tmp_path, all_of_them, one_path, flags=['--verify'])
    assert descriptors_of(joined) == [descriptor]


def test_artifact_that_nothing_leads_to_is_named(tmp_path):
    """Each once, even if two archives have it."""
    data = b'anything'
    one = Layout('a', tag='a:1')
    artifact = described(data, 'application/x', annotations={NAME: 'docker.io/library/a:1'})
    path = one.write(tmp_path / '1.tar', more={blob(data): data})
    index = {'manifests': [one.descriptor, artifact]}
    paths = [one.write(tmp_path / f'{n}.tar', {}, {blob(data): data}, index) for n in (2, 3)]
    found = warns(*flags_for(tmp_path, [path, *paths], '--verify'), **PROGRAM)
    reason = ", as its name 'docker.io/library/a:1' is taken"
    assert found == [lost(paths[0], 'the artifact', artifact['digest'], reason)]


def test_manifests_that_were_not_there_are_no_loss(tmp_path):
    layout = Layout('x', tag='app:1')
    absent = described(b'another manifest', MANIFEST_TYPE, platform={'os': 'linux'})
    data, descriptor = described_index(layout.descriptor, absent)
    path = layout.write(
        tmp_path / '1.tar', more={blob(data): data}, index={'manifests': [descriptor]}
    )
    other = write_base(tmp_path / '2.tar', image_of('c', tag='c:1'))
    found = warns(*flags_for(tmp_path, [path, other], '--verify'), **PROGRAM)
    assert [line.partition(' any more')[0].rpartition(' ')[2] for line in found[1:]] == [
        descriptor['digest']
    ]


def test_image_in_the_manifest_only_leaves_the_index_out(tmp_path):
    """containerd and Docker 29 would not load it."""
    one, other = Layout('a', tag='a:1'), Layout('b', tag='b:1')
    path = one.write(tmp_path / '1.tar', index={'schemaVersion': 2, 'manifests': []})
    other_path = other.write(tmp_path / '2.tar')
    for order in ([path, other_path], [other_path, path]):
        text = f"it does not lead to '{path}': '{one.entry['Config']}': save that image again"
        assert warns(*flags_for(tmp_path, order, '--verify'), **PROGRAM) == [left_out(text)]
        check_no_index(tmp_path, *order)


def test_archives_without_any_index_give_no_warning(tmp_path, two):
    assert 'index.json' not in names(join(tmp_path, *two, flags=['--verify']))


# A partial layout, and archives that complete it.


def test_base_completes_a_partial_layout(tmp_path):
    base, image = Layout('x', tag='base:1'), Layout('x', 'y', tag='app:1')
    archives = [
        base.write(tmp_path / 'base.tar'),
        image.write(tmp_path / 'image.tar', without=[image.layers[0]]),
    ]
    joined = join(tmp_path, *archives, flags=['--verify'])
    assert len(descriptors_of(joined)) == 2
    assert entries_of(joined)[1]['Layers'] == image.layers


def test_index_is_kept_if_layers_are_in_no_archive(tmp_path):
    """Clients may already have these layers."""
    image = Layout('x', 'y', tag='app:1')
    path = image.write(tmp_path / 'image.tar', without=[image.layers[0]])
    (warning,) = warns(*flags_for(tmp_path, [path]), **PROGRAM)
    assert f"no archive has its layer '{image.layers[0]}'" in warning
    assert descriptors_of(tmp_path / 'out.tar') == [image.descriptor]


def test_index_is_kept_if_a_manifest_of_another_platform_is_missing(tmp_path):
    """docker save leaves out the manifests of other platforms."""
    layout = Layout('x', tag='app:1')
    other = described(b'another manifest', MANIFEST_TYPE)
    data = json.dumps({'manifests': [layout.descriptor, other]}).encode()
    descriptor = described(data, INDEX_TYPE, annotations=layout.descriptor['annotations'])
    index = {'manifests': [descriptor]}
    path = layout.write(tmp_path / 'one.tar', more={blob(data): data}, index=index)
    assert descriptors_of(join(tmp_path, path, flags=['--verify'])) == [descriptor]


def test_index_without_any_manifest_is_dropped(tmp_path):
    """Clients that read index.json first could not load the archive; manifest.json is enough."""
    layout = Layout('x', tag='app:1')
    path = layout.write(tmp_path / 'one.tar', without=[blob(layout.manifest)])
    text = f'no archive has the blob {layout.descriptor["digest"]}: save its image again'
    assert warns(*flags_for(tmp_path, [path], '--verify'), **PROGRAM) == [left_out(text)]
    joined = tmp_path / 'out.tar'
    assert not {'index.json', 'oci-layout'} & set(names(joined))
    assert entries_of(joined) == [{**layout.entry, 'RepoTags': ['app:1']}]


def check_no_index(directory, *archives):
    """Checks that a joined archive has no index, and every file that manifest.json lists."""
    joined = join(directory, *archives, warnings=True)
    found = set(names(joined))
    assert not {'index.json', 'oci-layout'} & found
    for entry in entries_of(joined):
        assert {entry['Config'], *entry['Layers']} <= found


def base_with_other_names(directory, name, layer_name, config_name=None, pack=bytes):
    """Writes a base with an empty index, whose only layer has another name."""
    image = image_of(name)
    layer = image.layers[name]
    config_name = config_name or f'{image.id}.json'
    entry = {'Config': config_name, 'Layers': [layer_name]}
    files = {
        config_name: image.config,
        layer_name: pack(layer),
        'index.json': b'{"schemaVersion": 2, "manifests": []}',
        'oci-layout': b'{"imageLayoutVersion": "1.0.0"}',
        'manifest.json': json.dumps([entry]).encode(),
    }
    return write_tar(directory / 'base.tar', *(member(n, data) for n, data in files.items()))


def test_no_index_if_a_layer_has_another_name(tmp_path):
    image = Layout('x', 'y', tag='app:1')
    path = image.write(tmp_path / 'image.tar', without=[image.layers[0]])
    check_no_index(tmp_path, base_with_other_names(tmp_path, 'x', 'directory/layer.tar'), path)


def test_no_index_if_a_layer_has_another_compression(tmp_path):
    """The digest differs, the diff ID does not."""
    image = Layout('x', 'y', tag='app:1', pack=gzip.compress)
    path = image.write(tmp_path / 'image.tar', without=[image.layers[0]])
    check_no_index(tmp_path, base_with_other_names(tmp_path, 'x', 'directory/layer.tar'), path)


def test_no_index_if_a_layer_has_its_digest_in_another_name(tmp_path):
    image = Layout('x', 'y', tag='app:1')
    (lower, _) = image.layers
    path = image.write(tmp_path / 'image.tar', without=[lower])
    more = {
        'c.json': b'{}',
        f'directory/{posixpath.basename(lower)}.tar': image.blobs[lower],
        'index.json': b'{"manifests": []}',
        'manifest.json': json.dumps(
            [{'Config': 'c.json', 'Layers': [f'directory/{posixpath.basename(lower)}.tar']}]
        ).encode(),
    }
    base = write_tar(tmp_path / 'base.tar', *(member(name, data) for name, data in more.items()))
    check_no_index(tmp_path, base, path)


def test_no_index_if_a_configuration_has_another_name(tmp_path):
    image = Layout('x', tag='app:1')
    image.entry['Config'] = 'c.json'
    without = [blob(image.config)]
    path = image.write(tmp_path / 'image.tar', without=without, more={'c.json': image.config})
    check_no_index(tmp_path, path)


def test_no_index_if_a_blob_of_a_nested_index_has_another_name(tmp_path):
    image = Layout('x', 'y', tag='app:1')
    data = json.dumps({'manifests': [image.descriptor]}).encode()
    index = {'manifests': [described(data, INDEX_TYPE)]}
    without = [image.layers[0]]
    path = image.write(
        tmp_path / 'image.tar', without=without, more={blob(data): data}, index=index
    )
    check_no_index(tmp_path, base_with_other_names(tmp_path, 'x', 'directory/layer.tar'), path)


# --verify.


@pytest.mark.parametrize('which', ['manifest', 'index', 'layer'])
def test_wrong_digest_of_a_blob_is_reported(tmp_path, which):
    image = Layout('x', tag='app:1', pack=gzip.compress)
    data = json.dumps({'manifests': [image.descriptor]}).encode()
    image.blobs[blob(data)] = data
    (layer,) = image.layers
    name = {'manifest': blob(image.manifest), 'index': blob(data), 'layer': layer}[which]
    if which == 'layer':
        packed = image.blobs[name]
        image.blobs[name] = packed[:4] + b'\1' + packed[5:]  # the time in the gzip header
    else:
        image.blobs[name] = image.blobs[name].replace(b' ', b'\t', 1)
    index = {'manifests': [described(data, INDEX_TYPE)]}
    path = image.write(tmp_path / 'one.tar', index=index)
    kind = 'layer' if which == 'layer' else 'blob'
    assert problems(*flags_for(tmp_path, [path]), **PROGRAM) == [
        f"{kind} '{name}' of '{path}' has the digest {sha256(image.blobs[name])}: "
        'replace the archive'
    ]


def test_wrong_digest_of_a_linked_blob_is_reported(tmp_path):
    """The target is right under its own name, but not as this blob."""
    image = Layout('x', 'y', tag='app:1')
    first, second = image.layers
    del image.blobs[first]
    path = image.write(tmp_path / 'one.tar')
    kept = [member(m.name, data) for m, data in members(path)]
    write_tar(path, *kept, member(first, kind=LINK, link=posixpath.basename(second)))
    digest = posixpath.basename(second)
    found = problems(*flags_for(tmp_path, [path]), **PROGRAM)
    text = f"blob '{first}' of '{path}' has the digest {digest}: replace the archive"
    assert text in found


def test_wrong_size_of_a_blob_is_reported(tmp_path):
    image = Layout('x', tag='app:1')
    size = len(image.manifest)
    image.descriptor['size'] += 1
    path = image.write(tmp_path / 'one.tar')
    assert problems(*flags_for(tmp_path, [path]), **PROGRAM) == [
        f"blob '{blob(image.manifest)}' of '{path}' has {size} bytes, not {size + 1}: "
        'replace the archive'
    ]
    join(tmp_path, path)


def test_blobs_not_listed_in_an_index_are_not_checked(tmp_path):
    image = Layout('x', tag='app:1')
    wrong = {f'blobs/sha256/{"e" * 64}': b'anything'}
    path = image.write(tmp_path / 'one.tar', more=wrong)
    assert problems(*flags_for(tmp_path, [path]), **PROGRAM) == []


def test_index_of_a_multi_platform_image_is_kept(tmp_path):
    base = FIXTURES / 'docker-29-multiplatform.tar'
    other = Layout('a', tag='app:1')
    joined = join(tmp_path, base, other.write(tmp_path / 'one.tar'), flags=['--verify'])
    assert descriptors_of(joined) == [*descriptors_of(base), other.descriptor]
    assert entries_of(joined)[0] == manifest(base)


def test_joined_archive_can_be_joined_again(tmp_path):
    app, db = Layout('a', tag='app:1'), Layout('b', tag='db:1')
    both = join(tmp_path, app.write(tmp_path / 'app.tar'), db.write(tmp_path / 'db.tar'))
    first = both.read_bytes()
    both.rename(tmp_path / 'both.tar')
    assert join(tmp_path, tmp_path / 'both.tar').read_bytes() == first


def sha512_layout(path, damaged=False):
    """Writes an image whose manifest has a SHA-512 digest in the index."""
    layout = Layout('one.tar', tag='a:1')
    digest = hashlib.sha512(layout.manifest).hexdigest()
    layout.blobs[f'blobs/sha512/{digest}'] = layout.manifest
    if damaged:
        layout.blobs[f'blobs/sha512/{digest}'] = layout.manifest.replace(b': 2', b': 3')
    layout.descriptor['digest'] = f'sha512:{digest}'
    layout.write(path)
    return layout


def test_sha512_digests_are_accepted(tmp_path):
    layout = sha512_layout(tmp_path / 'a.tar')
    joined = join(tmp_path, tmp_path / 'a.tar', flags=['--verify'])
    index = json.loads(content(joined, 'index.json'))
    assert index['manifests'] == [layout.descriptor]
    name = layout.descriptor['digest'].replace(':', '/')
    assert content(joined, f'blobs/{name}') == layout.manifest


def test_wrong_sha512_digest_is_reported(tmp_path):
    sha512_layout(tmp_path / 'a.tar', damaged=True)
    found = problems(*flags_for(tmp_path, [tmp_path / 'a.tar']), **PROGRAM)
    assert len(found) == 1
    assert 'blobs/sha512/' in found[0]
    assert 'has the digest ' in found[0]
