# SPDX-License-Identifier: Apache-2.0
"""join_layers --oci: images of one tag for several platforms become one index (section 11)."""

import itertools
import json

import pytest

from support.indexes import NAME, Layout, attestation, described, described_index, platforms_layout
from support.joins import PROGRAM, entries_of, flags_for, join, refuses
from support.layouts import Layout as WrittenLayout
from support.layouts import blob
from support.platforms import TAG, PlatformImage, several
from support.project import FIXTURES
from support.running import build, warns
from support.tars import content, member, sha256, write_tar

FULL_TAG = f'docker.io/{TAG}'
INDEX_TYPE = 'application/vnd.oci.image.index.v1+json'


def join_oci(directory, *archives, flags=(), **options):
    return join(directory, *archives, flags=['--oci', *flags], **options)


def index_of(path):
    return json.loads(content(path, 'index.json'))['manifests']


def blob_of(path, descriptor):
    return json.loads(content(path, blob(descriptor['digest'])))


def platform_ids(path, descriptor):
    """Returns [(platform, SHA-256 of the configuration)] of an image of several platforms."""
    found = []
    for one in blob_of(path, descriptor)['manifests']:
        config = blob_of(path, one)['config']['digest'].partition(':')[2]
        found.append((one['platform'], config))
    return found


def joined_platforms(directory, images, **options):
    """Joins images or archives of one tag; returns the path, and the descriptor of the index."""
    paths = [getattr(image, 'path', image) for image in images]
    path = join_oci(directory, *paths, **options)
    (descriptor,) = index_of(path)
    return path, descriptor


# One tag for several platforms.


@pytest.mark.parametrize('flags', [[], ['--oci']])
def test_platforms_of_one_tag_become_an_index(tmp_path, flags):
    images = several(tmp_path, flags=flags)
    path, descriptor = joined_platforms(tmp_path, images, flags=['--verify'])
    assert descriptor['mediaType'] == INDEX_TYPE
    assert descriptor['annotations'][NAME] == FULL_TAG
    assert platform_ids(path, descriptor) == [(image.platform, image.id) for image in images]


def test_index_is_compact_and_sorted(tmp_path):
    images = several(tmp_path)
    path, descriptor = joined_platforms(tmp_path, images)
    data = content(path, blob(descriptor['digest']))
    value = json.loads(data)
    assert data.decode() == json.dumps(value, sort_keys=True, separators=(',', ':'))
    assert value.keys() == {'schemaVersion', 'mediaType', 'manifests'}
    for one in value['manifests']:
        assert one.keys() == {'mediaType', 'digest', 'size', 'platform'}
    assert descriptor['size'] == len(data)
    fixed = '571093ddbc97141351b1594b3c7345336cfc70fc96539c9ebb90cc03c869191f'
    assert sha256(path.read_bytes()) == fixed


def test_manifest_json_has_the_first_platform_only(tmp_path):
    images = several(tmp_path)
    for order in (images, images[::-1]):
        path, _ = joined_platforms(tmp_path, order)
        (entry,) = entries_of(path)
        assert entry['Config'] == f'blobs/sha256/{order[0].id}'
        assert entry['RepoTags'] == [FULL_TAG]


def test_digest_file_has_the_digest_of_the_index(tmp_path):
    images = several(tmp_path)
    flags = [f'--digest_file={tmp_path}/digest']
    _, descriptor = joined_platforms(tmp_path, images, flags=flags)
    assert (tmp_path / 'digest').read_text() == f'{descriptor["digest"]}\n'


def test_own_output_gives_the_same_bytes_again(tmp_path):
    images = several(tmp_path)
    more = PlatformImage(tmp_path, 'linux/s390x', tag='example/other:1')
    archives = [more.path, *(image.path for image in images)]
    first = join_oci(tmp_path, *archives, flags=['--verify']).rename(tmp_path / 'first.tar')
    again = join_oci(tmp_path, first, flags=['--verify'])
    assert again.read_bytes() == first.read_bytes()


@pytest.mark.parametrize('count', [1, 2])
def test_platform_added_later_gives_the_same_bytes(tmp_path, count):
    images = several(tmp_path)
    paths = [image.path for image in images]
    expected = join_oci(tmp_path, *paths).read_bytes()
    first = join_oci(tmp_path, *paths[:count]).rename(tmp_path / 'first.tar')
    assert join_oci(tmp_path, first, *paths[count:]).read_bytes() == expected


def test_image_of_an_index_may_have_a_tag_of_its_own(tmp_path):
    images = several(tmp_path)
    first = join_oci(tmp_path, images[0].path, images[1].path).rename(tmp_path / 'first.tar')
    parts = first.parent / 'own'
    parts.mkdir()
    own = PlatformImage(parts, 'linux/amd64', tag='example/own:1')
    assert own.id == images[0].id
    path = join_oci(tmp_path, first, own.path, flags=['--verify'])
    index, manifest = index_of(path)
    assert index['annotations'][NAME] == FULL_TAG
    assert manifest['annotations'][NAME] == 'docker.io/example/own:1'
    (entry,) = entries_of(path)
    assert entry['RepoTags'] == [FULL_TAG, 'docker.io/example/own:1']
    again = path.rename(tmp_path / 'again.tar')
    assert join_oci(tmp_path, again).read_bytes() == again.read_bytes()


def test_image_that_an_index_has_changes_nothing(tmp_path):
    images = several(tmp_path)
    expected = join_oci(tmp_path, *(image.path for image in images)).read_bytes()
    first = (tmp_path / 'out.tar').rename(tmp_path / 'first.tar')
    for image in images:
        assert join_oci(tmp_path, first, image.path, flags=['--verify']).read_bytes() == expected


def test_index_takes_the_place_of_an_image_that_it_has(tmp_path):
    images = several(tmp_path)
    first = join_oci(tmp_path, *(image.path for image in images)).rename(tmp_path / 'first.tar')
    path, descriptor = joined_platforms(tmp_path, [images[1], first])
    assert [one for _, one in platform_ids(path, descriptor)] == [image.id for image in images]


def test_saves_of_one_index_with_single_platforms_complete_each_other(tmp_path):
    """Docker saves the index that it pulled, with the manifests of the platforms that it has."""
    one, other = Layout('a'), Layout('b')
    for number, layout in enumerate((one, other)):
        platform = {'os': 'linux', 'architecture': ['amd64', 'arm64'][number]}
        layout.descriptor['platform'] = platform
    data, descriptor = described_index(one.descriptor, other.descriptor)
    index = {'manifests': [descriptor]}
    paths = []
    for number, layout in enumerate((one, other)):
        layout.entry['RepoTags'] = ['m:1']
        more = {blob(descriptor['digest']): data}
        paths.append(layout.write(tmp_path / f'{number}.tar', more=more, index=index))
    for order in (paths, paths[::-1]):
        path, found = joined_platforms(tmp_path, order)
        assert found['digest'] == descriptor['digest']
        assert {*one.blobs, *other.blobs} < set(WrittenLayout.read(path).blobs)


def test_platform_added_to_an_index_keeps_its_attestations(tmp_path):
    amd64, arm64 = Layout('a'), Layout('b')
    path, old = platforms_layout(tmp_path / '1.tar', amd64, arm64, more=[attestation()])
    new = PlatformImage(tmp_path, 'linux/s390x', tag='m:1')
    joined, descriptor = joined_platforms(tmp_path, [path, new])
    members = blob_of(joined, descriptor)['manifests']
    assert members[:3] == blob_of(path, old)['manifests']
    assert members[3]['platform'] == new.platform
    assert blob(attestation()[1]['digest']) in WrittenLayout.read(joined).blobs


def test_platform_that_an_index_lacks_is_replaced(tmp_path):
    image = Layout('a')
    platform = {'os': 'linux', 'architecture': 'amd64'}
    absent = described(b'not there', image.descriptor['mediaType'])
    absent['platform'] = {'os': 'linux', 'architecture': 'arm64'}
    data, descriptor = described_index({**image.descriptor, 'platform': platform}, absent)
    image.entry['RepoTags'] = ['m:1']
    more = {blob(descriptor['digest']): data}
    path = image.write(tmp_path / '1.tar', more=more, index={'manifests': [descriptor]})
    new = PlatformImage(tmp_path, 'linux/arm64/v8', tag='m:1')
    joined, found = joined_platforms(tmp_path, [path, new], flags=['--verify'])
    assert [one for _, one in platform_ids(joined, found)] == [sha256(image.config), new.id]


def test_real_index_of_docker_gets_another_platform(tmp_path):
    base = FIXTURES / 'docker-29-multiplatform.tar'
    old = blob_of(base, index_of(base)[0])['manifests']
    new = PlatformImage(tmp_path, 'linux/s390x', tag='example/base:1.0')
    path, descriptor = joined_platforms(tmp_path, [base, new], flags=['--verify'])
    members = blob_of(path, descriptor)['manifests']
    assert members[: len(old)] == old
    assert len(members) == len(old) + 1


# One platform, or none.


@pytest.mark.parametrize(
    ('one', 'other'),
    [
        ('linux/amd64', 'linux/amd64'),
        ('linux/arm64', 'linux/arm64/v8'),
        ('linux/arm', 'linux/arm/v7'),
        ('linux/amd64/v1', 'linux/amd64'),
        ('', ''),
        ('linux/amd64', ''),
        ('', 'linux/amd64'),
    ],
)
def test_later_image_of_one_platform_keeps_the_tag(tmp_path, one, other):
    images = [
        PlatformImage(tmp_path, platform, name=name)
        for platform, name in ((one, 'one'), (other, 'other'))
    ]
    flags = flags_for(tmp_path, [image.path for image in images], '--oci')
    (warning, *more) = warns(*flags, **PROGRAM)
    text = f"'{images[1].path}' has another image with the tag '{FULL_TAG}'"
    assert warning.startswith(text)
    assert warning.endswith(': it keeps the tag')
    assert all('is missing or empty' in line for line in more)
    path = tmp_path / 'out.tar'
    assert [entry['RepoTags'] for entry in entries_of(path)] == [[], [FULL_TAG]]
    assert [entry['Config'][-64:] for entry in entries_of(path)] == [one.id for one in images]
    assert ['annotations' in one for one in index_of(path)] == [False, True]
    data = path.read_bytes()
    path.rename(tmp_path / 'first.tar')
    assert join_oci(tmp_path, tmp_path / 'first.tar', warnings=True).read_bytes() == data


def test_later_platform_takes_the_place_of_that_in_an_index(tmp_path):
    images = several(tmp_path)
    new = PlatformImage(tmp_path, 'linux/arm64', name='new')
    flags = flags_for(tmp_path, [image.path for image in [*images, new]], '--oci', '--verify')
    (warning,) = warns(*flags, **PROGRAM)
    text = f"'{new.path}' has another image with the tag '{FULL_TAG}' for linux/arm64"
    assert warning == f'{text}: it keeps the tag'
    path = tmp_path / 'out.tar'
    index, untagged = index_of(path)
    ids = [one for _, one in platform_ids(path, index)]
    assert ids == [images[0].id, new.id, images[2].id]
    assert blob_of(path, untagged)['config']['digest'] == f'sha256:{images[1].id}'


@pytest.mark.parametrize('reference', ['the image', 'another', ['no text']])
def test_attestation_of_an_image_goes_with_it(tmp_path, reference):
    amd64 = Layout('a')
    if reference == 'the image':
        reference = amd64.descriptor['digest']
    data, descriptor = attestation()
    descriptor['annotations']['vnd.docker.reference.digest'] = reference
    path, _ = platforms_layout(tmp_path / '1.tar', amd64, more=[(data, descriptor)])
    new = PlatformImage(tmp_path, 'linux/amd64', tag='m:1')
    warns(*flags_for(tmp_path, [path, new.path], '--oci'), **PROGRAM)
    found, untagged = index_of(tmp_path / 'out.tar')
    if found['digest'] == amd64.descriptor['digest']:
        found = untagged
    is_there = blob(descriptor['digest']) in WrittenLayout.read(tmp_path / 'out.tar').blobs
    assert is_there == (reference != amd64.descriptor['digest'])
    config = blob_of(tmp_path / 'out.tar', found)
    if not is_there:
        assert config['config']['digest'] == f'sha256:{new.id}'


def test_variants_are_different_platforms(tmp_path):
    images = several(tmp_path, ['linux/arm/v6', 'linux/arm/v7', 'linux/arm64', 'windows/amd64'])
    path, descriptor = joined_platforms(tmp_path, images, flags=['--verify'])
    assert [one for _, one in platform_ids(path, descriptor)] == [image.id for image in images]


@pytest.mark.slow
def test_too_many_platforms_are_an_error(tmp_path):
    """They would take a time that grows with the square of their number."""
    path = tmp_path / 'many.tar'
    layouts = []
    blobs, entries = {}, []
    for number in range(1100):
        layout = Layout('a')
        config = {**json.loads(layout.config), 'architecture': f'a{number}'}
        layout.config = json.dumps(config).encode()
        name = f'blobs/sha256/{sha256(layout.config)}'
        blobs[name] = layout.config
        entries.append({'Config': name, 'Layers': layout.layers, 'RepoTags': ['m:1']})
        layouts.append(layout)
    blobs |= {name: data for name, data in layouts[0].blobs.items() if name in layouts[0].layers}
    members = [member(name, data) for name, data in blobs.items()]
    write_tar(path, *members, member('manifest.json', json.dumps(entries).encode()))
    line = refuses(tmp_path, path, flags=['--oci'])
    assert "the tag 'docker.io/library/m:1' has over 1,000 platforms: leave some out" in line


# Without --oci.


def test_error_without_oci_names_it_for_different_platforms(tmp_path):
    images = several(tmp_path)
    for one, other in itertools.permutations(images[:2]):
        line = refuses(tmp_path, one.path, other.path)
        assert line.endswith('give one another tag, or --oci to have both platforms')
    same = PlatformImage(tmp_path, 'linux/amd64', name='same')
    assert refuses(tmp_path, images[0].path, same.path).endswith(': give one another tag')


def test_image_can_be_built_on_the_first_platform(tmp_path):
    images = several(tmp_path)
    path, _ = joined_platforms(tmp_path, images)
    build(f'--output={tmp_path}/c.json', f'--base={path}', program='create_image_config')
    assert json.loads((tmp_path / 'c.json').read_text())['architecture'] == 'amd64'
