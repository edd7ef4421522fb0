# SPDX-License-Identifier: Apache-2.0
"""join_layers: small archives take little memory, and nothing is read over and over (section 9)."""

import gzip
import json

import pytest

from support.hostile import MEMORY, SECONDS
from support.images import configuration
from support.joins import PROGRAM, entries_of, flags_for
from support.measuring import measure
from support.running import messages
from support.tars import HARD, LINK, member, sha256, tar_of, write_tar

MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'
INDEX_TYPE = 'application/vnd.oci.image.index.v1+json'
MIB = 1 << 20


def run(directory, archives, *flags, memory=MEMORY):
    """Joins archives within limits; returns the warnings, the errors and the bytes it read."""
    done, peak, bytes_read = measure(
        *flags_for(directory, archives, *flags), **PROGRAM, timeout=SECONDS
    )
    assert peak < memory
    return *messages(done.stderr, **PROGRAM), bytes_read


def image(number, **more):
    """Returns the name of a configuration without layers, and its content."""
    config = {**configuration([], {'Labels': {'n': str(number)}}), **more}
    data = json.dumps(config).encode()
    return f'{sha256(data)}.json', data


def manifest_of(*entries):
    return member('manifest.json', json.dumps(entries).encode())


@pytest.mark.slow
def test_configurations_are_not_kept(tmp_path):
    images = [image(number, author='a' * (4 * MIB - 1000)) for number in range(15)]
    entries = [{'Config': name, 'RepoTags': [], 'Layers': []} for name, _ in images]
    members = [member(name, data) for name, data in images]
    archive = tmp_path / 'many.tar.gz'
    archive.write_bytes(gzip.compress(tar_of(*members, manifest_of(*entries)), 1))
    assert archive.stat().st_size < MIB
    warnings, errors, _ = run(tmp_path, [archive], '--verify', memory=80 * MIB)
    assert (warnings, errors) == ([], [])


@pytest.mark.slow
def test_history_of_a_parent_is_read_once(tmp_path):
    """However many images are built on it."""
    entry = {'created': '1970-01-01T00:00:00Z', 'empty_layer': True}
    below = [{**entry, 'comment': 'c' * MIB}]
    name, data = image('parent', history=below)
    children = [image(number, history=[*below, entry]) for number in range(20)]
    entries = [{'Config': name, 'Layers': []}]
    for child, _ in children:
        parent = f'sha256:{name.removesuffix(".json")}'
        entries.append({'Config': child, 'Layers': [], 'Parent': parent})
    members = [member(*one) for one in [(name, data), *children]]
    archive = write_tar(tmp_path / 'images.tar', *members, manifest_of(*entries))
    warnings, errors, bytes_read = run(tmp_path, [archive])
    assert (warnings, errors) == ([], [])
    # Each is read for its digest, its types, its diff IDs and its history, and to be copied.
    assert bytes_read < (5 * 21 + 10) * MIB
    assert all('Parent' in entry for entry in entries_of(tmp_path / 'out.tar')[1:])


def test_file_that_many_links_lead_to_is_compared_once(tmp_path):
    name, data = image('one')
    archives = []
    for number in range(2):
        file = member('file', bytes(4 * MIB))
        links = [member(f'link{n}', kind=HARD, link='file') for n in range(200)]
        documents = [member(name, data), manifest_of({'Config': name, 'Layers': []})]
        archive = tmp_path / f'{number}.tar'
        archives.append(write_tar(archive, file, *links, *documents))
    warnings, errors, bytes_read = run(tmp_path, archives)
    assert (warnings, errors) == ([], [])
    assert bytes_read < 40 * MIB


def layout(path, descriptors, *more):
    """Writes an OCI image layout with one image, and descriptors of other blobs."""
    _, config = image('one')
    config_descriptor = described('application/vnd.oci.image.config.v1+json', config)
    manifest = json.dumps({'schemaVersion': 2, 'config': config_descriptor, 'layers': []}).encode()
    own = described(MANIFEST_TYPE, manifest)
    documents = {
        'index.json': {'schemaVersion': 2, 'manifests': [own, *descriptors]},
        'oci-layout': {'imageLayoutVersion': '1.0.0'},
        'manifest.json': [{'Config': f'blobs/sha256/{sha256(config)}', 'Layers': []}],
    }
    members = [member(f'blobs/sha256/{sha256(blob)}', blob) for blob in (config, manifest)]
    members += [member(key, json.dumps(value).encode()) for key, value in documents.items()]
    return write_tar(path, *members, *more)


def described(media_type, blob):
    return {'mediaType': media_type, 'digest': f'sha256:{sha256(blob)}', 'size': len(blob)}


def test_blob_that_many_links_lead_to_is_read_once(tmp_path):
    file = member('file', bytes(4 * MIB))
    digests = [f'{number:064x}' for number in range(200)]
    links = [member(f'blobs/sha256/{hex}', kind=LINK, link='../../file') for hex in digests]
    descriptors = [
        {'mediaType': 'application/x', 'digest': f'sha256:{hex}', 'size': 4 * MIB}
        for hex in digests
    ]
    archive = layout(tmp_path / 'layout.tar', descriptors, file, *links)
    _, errors, bytes_read = run(tmp_path, [archive], '--verify')
    assert len(errors) == 200
    assert bytes_read < 40 * MIB


def test_file_that_is_several_blobs_is_an_error_with_oci(tmp_path):
    """Links would multiply it in the new archive."""
    file = member('file', bytes(4 * MIB))
    digests = [f'{number:064x}' for number in range(200)]
    links = [member(f'blobs/sha256/{hex}', kind=LINK, link='../../file') for hex in digests]
    descriptors = [
        {'mediaType': 'application/x', 'digest': f'sha256:{hex}', 'size': 4 * MIB}
        for hex in digests
    ]
    archive = layout(tmp_path / 'layout.tar', descriptors, file, *links)
    _, (error,), bytes_read = run(tmp_path, [archive], '--oci')
    assert f'has one file as the blobs sha256:{digests[0]} and sha256:{digests[1]}' in error
    assert bytes_read < MIB


def test_configuration_that_many_links_lead_to_is_read_once_with_oci(tmp_path):
    name, data = image('one', author='a' * (3 * MIB))
    links = [member(f'{number}.json', kind=LINK, link=name) for number in range(300)]
    entries = [{'Config': f'{number}.json', 'Layers': []} for number in range(300)]
    archive = write_tar(tmp_path / 'a.tar', member(name, data), *links, manifest_of(*entries))
    _, errors, bytes_read = run(tmp_path, [archive], '--oci', '--verify')
    assert errors == []
    assert bytes_read < 40 * MIB
    assert len(entries_of(tmp_path / 'out.tar')) == 1


def test_index_that_many_indexes_lead_to_is_read_once_with_oci(tmp_path):
    shared = json.dumps({'manifests': [], 'annotations': {'x': 'x' * 3 * MIB}}).encode()
    indexes = [
        json.dumps({'manifests': [described(INDEX_TYPE, shared)], 'x': number}).encode()
        for number in range(300)
    ]
    descriptors = [described(INDEX_TYPE, one) for one in indexes]
    blobs = [member(f'blobs/sha256/{sha256(one)}', one) for one in [shared, *indexes]]
    archive = layout(tmp_path / 'layout.tar', descriptors, *blobs)
    _, errors, bytes_read = run(tmp_path, [archive], '--oci', '--verify')
    assert errors == []
    assert bytes_read < 40 * MIB


def test_indexes_in_indexes_are_followed_within_a_limit_with_oci(tmp_path):
    level = [
        {'mediaType': 'application/x', 'digest': f'sha256:{number:064x}', 'size': 1}
        for number in range(2000)
    ]
    shared = json.dumps({'manifests': level}).encode()
    indexes = [
        json.dumps({'manifests': [described(INDEX_TYPE, shared)], 'x': number}).encode()
        for number in range(600)
    ]
    blobs = [member(f'blobs/sha256/{sha256(one)}', one) for one in [shared, *indexes]]
    descriptors = [described(INDEX_TYPE, one) for one in indexes]
    archive = layout(tmp_path / 'layout.tar', descriptors, *blobs)
    _, (error,), _ = run(tmp_path, [archive], '--oci')
    assert error.endswith('leads to its images in over 200,000 steps: leave some out')


def test_manifests_of_over_16_mib_are_an_error(tmp_path):
    """Also if links lead to one file."""
    file = member('file', b'{}'.ljust(MIB))
    digests = [f'{number:064x}' for number in range(200)]
    links = [member(f'blobs/sha256/{hex}', kind=LINK, link='../../file') for hex in digests]
    descriptors = [
        {'mediaType': MANIFEST_TYPE, 'digest': f'sha256:{hex}', 'size': MIB} for hex in digests
    ]
    archive = layout(tmp_path / 'layout.tar', descriptors, file, *links)
    _, errors, bytes_read = run(tmp_path, [archive])
    assert errors == ['--layer: index.json leads to manifests of over 16 MiB: leave some out']
    assert bytes_read < 40 * MIB


def test_many_problems_are_not_all_listed(tmp_path):
    wrong = [image(number, history=[0] * 100) for number in range(300)]
    entries = [{'Config': name, 'Layers': []} for name, _ in wrong]
    members = [member(name, data) for name, data in wrong]
    archive = write_tar(tmp_path / 'wrong.tar', *members, manifest_of(*entries))
    _, errors, _ = run(tmp_path, [archive], '--verify')
    assert errors[-1] == '--layer: over 10,000 problems were found: correct these first'
    assert len(errors) < 11_000
