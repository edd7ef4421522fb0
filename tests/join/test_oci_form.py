# SPDX-License-Identifier: Apache-2.0
"""join_layers --oci: one image gives the same archive, whichever program saved it (section 11)."""

import bz2
import gzip
import itertools
import json

import pytest

from support.foreign import ForeignImage
from support.images import BEFORE_1_10, MODERN, Parts, configuration, on_fixture, write_base
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
from support.joins import PROGRAM, SAME_IMAGE, entries_of, flags_for, image_of, join, refuses
from support.layouts import Layout as WrittenLayout
from support.layouts import write_layout
from support.project import FIXTURES
from support.running import build, fails, problems, warns
from support.tars import content, member, members, names, sha256, tar_of, write_tar

BLOBS = 'blobs/sha256/'
# Archives of one image with plain layers, without an OCI manifest, with the same tag.
PLAIN = ['docker-20.10.tar', 'docker-20.10.tar.gz', 'skopeo-1.9.tar.bz2']


def join_oci(directory, *archives, flags=(), **options):
    return join(directory, *archives, flags=['--oci', *flags], **options)


def index_of(path):
    return json.loads(content(path, 'index.json'))['manifests']


# The same image gives the same bytes.


def test_archives_of_several_programs_give_the_same_bytes(tmp_path):
    found = set()
    for name in PLAIN:
        found.add(sha256(join_oci(tmp_path, FIXTURES / name, flags=['--verify']).read_bytes()))
    assert found == {'4d39f2d6574d940ca2e67ee08c4e826cc408dd26fe53b2b3816dc2f3b95754ec'}


def test_order_names_and_other_files_of_the_input_make_no_difference(tmp_path):
    expected = join_oci(tmp_path, FIXTURES / PLAIN[0]).read_bytes()
    parts = [(header, data) for header, data in members(FIXTURES / PLAIN[0]) if header.isfile()]
    again = []
    for header, data in reversed(parts):
        again.append(member(f'./{header.name}', data, mtime=5, uid=7, mode=0o600))
    again += [member('more', b'more'), member('VERSION', b'1.0')]
    path = write_tar(tmp_path / 'again.tar', *again)
    assert join_oci(tmp_path, path, flags=['--verify']).read_bytes() == expected


@pytest.mark.parametrize('base', [name for name in MODERN if not name.startswith('crane')])
def test_own_output_gives_the_same_bytes_again(tmp_path, base):
    """The zstd layers of one are read by newer Pythons only."""
    first = join_oci(tmp_path, FIXTURES / base, flags=['--verify'], warnings='zstd' in base)
    data = first.read_bytes()
    first.rename(tmp_path / 'first.tar')
    again = join_oci(tmp_path, tmp_path / 'first.tar', flags=['--verify'], warnings='zstd' in base)
    assert again.read_bytes() == data


@pytest.mark.parametrize('base', MODERN)
def test_archive_has_the_files_of_the_image_and_nothing_else(tmp_path, base):
    path = join_oci(tmp_path, FIXTURES / base, warnings=True)
    layout = WrittenLayout.read(path)
    (entry,) = entries_of(path)
    documents = ['index.json', 'oci-layout', 'manifest.json']
    assert [name for name in layout.files if not name.startswith('blobs/')] == documents
    for name, data in layout.blobs.items():
        assert name == BLOBS + sha256(data)
    assert entry.keys() == {'Config', 'Layers', 'RepoTags'}
    assert {entry['Config'], *entry['Layers']} <= set(layout.blobs)
    for header in layout.headers.values():
        assert (header.uid, header.gid, header.mtime) == (0, 0, 0)


@pytest.mark.parametrize('base', [name for name in MODERN if name.startswith('docker-29')])
def test_oci_manifest_of_the_input_is_kept(tmp_path, base):
    before = index_of(FIXTURES / base)
    path = join_oci(tmp_path, FIXTURES / base)
    (descriptor,) = index_of(path)
    assert descriptor['digest'] == before[0]['digest']
    assert descriptor['mediaType'] == before[0]['mediaType']
    name = descriptor['digest'].replace(':', '/').join(['blobs/', ''])
    assert content(path, name) == content(FIXTURES / base, name)


def test_new_manifest_is_that_of_create_image(tmp_path):
    image = on_fixture(tmp_path, 'docker-20.10.tar')
    _, digest = write_layout(image, tags=['x:1'])
    build(*image.flags, '--tag=x:1')
    path = join_oci(tmp_path, image.output, flags=['--verify'])
    assert index_of(path)[0]['digest'] == digest.strip()
    (entry,) = entries_of(path)
    assert 'Parent' not in entry
    assert entry['RepoTags'] == ['docker.io/library/x:1']


def test_archive_of_create_image_keeps_its_digest_and_annotations(tmp_path):
    image = on_fixture(tmp_path, 'docker-20.10.tar')
    layout, digest = write_layout(image, '--annotations=a=b')
    path = join_oci(tmp_path, image.output, flags=[f'--digest_file={tmp_path}/d', '--verify'])
    assert (tmp_path / 'd').read_text() == digest
    tags = sorted(one['annotations'][NAME] for one in layout.index['manifests'])
    assert [one['annotations'][NAME] for one in index_of(path)] == tags
    assert {one['annotations']['a'] for one in index_of(path)} == {'b'}


def test_tags_are_written_in_full(tmp_path):
    one = write_base(tmp_path / 'one.tar', image_of('a', tag='app:1'))
    path = join_oci(tmp_path, one, flags=['--verify'])
    assert entries_of(path)[0]['RepoTags'] == ['docker.io/library/app:1']
    assert index_of(path)[0]['annotations'] == {NAME: 'docker.io/library/app:1', TAG: '1'}


def test_order_of_the_tags_of_an_image_makes_no_difference(tmp_path):
    found = []
    for tags in (['b:2', 'a:1'], ['a:1', 'docker.io/library/b:2', 'a:1']):
        image = image_of('a')
        image.tags = tags
        one = write_base(tmp_path / 'one.tar', image)
        found.append(join_oci(tmp_path, one).read_bytes())
    assert found[0] == found[1]
    expected = ['docker.io/library/a:1', 'docker.io/library/b:2']
    assert [one['annotations'][NAME] for one in index_of(tmp_path / 'out.tar')] == expected


def test_image_without_a_tag_has_a_descriptor_without_a_name(tmp_path):
    path = join_oci(tmp_path, write_base(tmp_path / 'one.tar', image_of('a')))
    (descriptor,) = index_of(path)
    assert 'annotations' not in descriptor
    assert entries_of(path)[0]['RepoTags'] == []


def test_plain_layers_behind_links_are_stored_under_their_digests(tmp_path):
    image = image_of('one')
    more = [member('link', kind=b'2', link='one'), member('again', kind=b'1', link='one')]
    data = json.dumps(configuration(image.diff_ids * 3)).encode()
    entry = {'Config': 'c', 'RepoTags': ['a:1'], 'Layers': ['one', 'link', 'again']}
    more.append(member('c', data))
    path = write_base(tmp_path / 'one.tar', image, entries=[entry], more=more)
    joined = join_oci(tmp_path, path, flags=['--verify'])
    layer = BLOBS + image.diff_ids[0].partition(':')[2]
    assert entries_of(joined)[0]['Layers'] == [layer] * 3
    assert names(joined).count(layer) == 1


def test_compressed_layer_is_stored_under_the_digest_of_its_file(tmp_path):
    image = image_of('one.tar.gz', tag='a:1')
    packed = gzip.compress(image.layers['one.tar.gz'], mtime=0)
    path = write_base(
        tmp_path / 'one.tar', image, without=['one.tar.gz'], more=[member('one.tar.gz', packed)]
    )
    layout = WrittenLayout.read(join_oci(tmp_path, path, flags=['--verify']))
    (layer,) = layout.manifest['layers']
    assert layer == {
        'mediaType': 'application/vnd.oci.image.layer.v1.tar+gzip',
        'digest': f'sha256:{sha256(packed)}',
        'size': len(packed),
    }


def test_foreign_layers_keep_their_descriptors(tmp_path):
    foreign = ForeignImage()
    path = join_oci(tmp_path, foreign.write_layout(tmp_path / 'f.tar'), flags=['--verify'])
    layout = WrittenLayout.read(path)
    assert layout.manifest['layers'][0] == foreign.foreign
    assert entries_of(path)[0]['LayerSources'] == {foreign.diff_ids[0]: foreign.foreign}
    path.rename(tmp_path / 'first.tar')
    assert (
        join_oci(tmp_path, tmp_path / 'first.tar').read_bytes()
        == (tmp_path / 'first.tar').read_bytes()
    )


@pytest.mark.parametrize('write', [ForeignImage.write_layout, ForeignImage.write_docker_archive])
def test_foreign_layer_that_is_missing_is_described(tmp_path, write):
    foreign = ForeignImage()
    archive = write(foreign, tmp_path / 'f.tar', lacks_layer=True)
    (warning,) = warns(*flags_for(tmp_path, [archive], '--oci', '--verify'), **PROGRAM)
    assert f'no archive has its foreign layer {foreign.names[0]!r}' in warning
    layout = WrittenLayout.read(tmp_path / 'out.tar')
    assert layout.manifest['layers'][0]['urls'] == foreign.foreign['urls']
    assert foreign.names[0] not in layout.blobs


def test_names_for_old_docker_are_those_of_the_flags(tmp_path):
    """Nothing of the inputs is copied."""
    image = Parts(tmp_path)
    build(*image.flags, '--tag=x:1', '--repository=r', '--name=n')
    path = join_oci(tmp_path, image.output)
    assert not {'repositories', 'top'} & set(names(path))
    flags = [f'--id={"a" * 64}', '--repository=q', '--name=m', '--verify']
    path = join_oci(tmp_path, image.output, flags=flags)
    assert content(path, 'top').decode() == 'a' * 64
    assert json.loads(content(path, 'repositories')) == {'q': {'m': 'a' * 64}}


# Several images.


def test_several_images_keep_their_order(tmp_path, two):
    path = join_oci(tmp_path, *two, flags=['--verify'])
    names_of = [one['annotations'][NAME] for one in index_of(path)]
    assert names_of == ['docker.io/library/app:1', 'docker.io/library/db:1']
    assert [entry['RepoTags'] for entry in entries_of(path)] == [[name] for name in names_of]
    shared = [entry['Layers'][0] for entry in entries_of(path)]
    assert shared[0] == shared[1]
    assert names(path).count(shared[0]) == 1


def test_archives_of_one_image_become_one_image(tmp_path):
    """Its manifest is the first that an archive has, wherever that is."""
    used = index_of(FIXTURES / SAME_IMAGE[1])[0]['digest']
    other = index_of(FIXTURES / SAME_IMAGE[2])[0]['digest']
    archives = [FIXTURES / name for name in SAME_IMAGE]
    found = warns(*flags_for(tmp_path, archives, '--oci', '--verify'), **PROGRAM)
    text = f'nothing leads to the manifest {other} any more, as the same image has {used}'
    assert found == [f'{str(archives[2])!r}: {text}: join this archive by itself']
    path = tmp_path / 'out.tar'
    assert {one['digest'] for one in index_of(path)} == {used}
    (entry,) = entries_of(path)
    assert entry['RepoTags'] == ['docker.io/example/base:1.0', 'localhost/example/base:1.0']
    assert len(WrittenLayout.read(path).blobs) == 4


def test_partial_image_is_completed_by_its_base(tmp_path):
    """Also if the base was saved by a program that names its layers otherwise."""
    image = on_fixture(tmp_path, 'docker-29-graphdriver.tar')
    _, digest = write_layout(image, partial=True)
    found = []
    for base in ('docker-29-graphdriver.tar', 'docker-20.10.tar'):
        flags = flags_for(tmp_path, [FIXTURES / base, image.output], '--oci', '--verify')
        assert warns(*flags, **PROGRAM) == []
        path = tmp_path / 'out.tar'
        assert index_of(path)[1]['digest'] == digest.strip()
        found.append(WrittenLayout.read(path).blobs)
        assert set(entries_of(path)[1]['Layers']) <= set(found[-1])
    write_layout(image)
    whole = WrittenLayout.read(join_oci(tmp_path, image.output)).blobs
    assert all(whole.items() <= blobs.items() for blobs in found)


def test_partial_image_without_its_base_gives_a_warning(tmp_path):
    image = on_fixture(tmp_path, 'docker-29-graphdriver.tar')
    write_layout(image, partial=True)
    found = warns(*flags_for(tmp_path, [image.output], '--oci', '--verify'), **PROGRAM)
    assert len(found) == 2
    assert all('no archive has its layer' in line for line in found)
    path = tmp_path / 'out.tar'
    data = path.read_bytes()
    path.rename(tmp_path / 'first.tar')
    assert join_oci(tmp_path, tmp_path / 'first.tar', warnings=True).read_bytes() == data


def test_partial_image_without_a_manifest_is_completed_or_an_error(tmp_path):
    image = on_fixture(tmp_path, 'docker-20.10.tar')
    build(*image.without('legacy_base'), '--tag=x:1')
    error = refuses(tmp_path, image.output, flags=['--oci'])
    assert 'no archive has its layer' in error
    assert 'and no OCI manifest describes it: also give the archive of its base' in error
    archives = [FIXTURES / 'podman-4.3.tar', image.output]
    completed = join_oci(tmp_path, *archives, flags=['--verify']).read_bytes()
    build(*image.flags, '--tag=x:1')
    assert join_oci(tmp_path, *archives).read_bytes() == completed


# What index.json has beside images.


def test_attestations_and_indexes_are_kept_as_they_are(tmp_path):
    amd64, arm64 = Layout('a'), Layout('b')
    path, descriptor = platforms_layout(tmp_path / '1.tar', amd64, arm64, more=[attestation()])
    joined = join_oci(tmp_path, path)
    (found,) = index_of(joined)
    assert {key: found[key] for key in ('mediaType', 'digest', 'size')} == {
        key: descriptor[key] for key in ('mediaType', 'digest', 'size')
    }
    blobs = WrittenLayout.read(joined).blobs
    assert set(blobs) == {
        *amd64.blobs,
        *arm64.blobs,
        blob(attestation()[0]),
        descriptor['digest'].replace(':', '/').join(['blobs/', '']),
    }


def test_artifacts_are_kept_as_they_are(tmp_path):
    one = Layout('a', tag='a:1')
    data = b'anything'
    artifact = described(data, 'application/x', annotations={'x': 'y'}, artifactType='z')
    index = {'manifests': [artifact, one.descriptor]}
    path = one.write(tmp_path / '1.tar', more={blob(data): data}, index=index)
    joined = join_oci(tmp_path, path, flags=['--verify'])
    assert index_of(joined)[1] == artifact
    assert content(joined, blob(data)) == data
    joined.rename(tmp_path / 'first.tar')
    again = join_oci(tmp_path, tmp_path / 'first.tar')
    assert again.read_bytes() == (tmp_path / 'first.tar').read_bytes()


def test_manifest_that_an_index_lacks_is_not_there(tmp_path):
    layout = Layout('x', tag='app:1')
    absent = described(b'another manifest', MANIFEST_TYPE, platform={'os': 'linux'})
    data, descriptor = described_index(layout.descriptor, absent, name='app:1')
    index = {'manifests': [descriptor, {**absent, 'annotations': {NAME: 'b:1'}}]}
    path = layout.write(tmp_path / '1.tar', more={blob(data): data}, index=index)
    joined = join_oci(tmp_path, path, flags=['--verify'])
    (found,) = index_of(joined)
    assert found['digest'] == descriptor['digest']
    assert found['mediaType'] == INDEX_TYPE


def test_name_without_a_repository_is_left_out_with_a_warning(tmp_path):
    layout = Layout('x')
    layout.descriptor['annotations'] = {TAG: 'latest'}
    path = layout.write(tmp_path / '1.tar')
    found = warns(*flags_for(tmp_path, [path], '--oci', '--verify'), **PROGRAM)
    assert found == [f"'{path}': the name 'latest' has no repository: it is left out"]
    assert 'annotations' not in index_of(tmp_path / 'out.tar')[0]


# --digest_file.


def test_digest_file_needs_one_image(tmp_path, two):
    flags = ['--oci', f'--digest_file={tmp_path}/digest']
    line = refuses(tmp_path, *two, flags=flags)
    assert line == '--digest_file: the output has 2 images: leave it out'


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (['--digest_file=d'], '--digest_file: only an OCI layout has that digest: give --oci'),
        (['--oci', '--digest_file=out.tar'], 'is also the file of --output'),
        (['--oci', '--digest_file=one.tar'], 'is also the file of --layer'),
    ],
)
def test_digest_file_that_is_wrong_is_an_error(tmp_path, flags, message):
    write_base(tmp_path / 'one.tar', image_of('a', tag='a:1'))
    before = (tmp_path / 'one.tar').read_bytes()
    line = fails('--output=out.tar', '--layer=one.tar', *flags, **PROGRAM, cwd=tmp_path)
    assert message in line
    assert [path.name for path in tmp_path.iterdir()] == ['one.tar']
    assert (tmp_path / 'one.tar').read_bytes() == before


def test_empty_flags_are_ignored(tmp_path):
    one = write_base(tmp_path / 'one.tar', image_of('a', tag='a:1'))
    plain = join(tmp_path, one).read_bytes()
    assert join(tmp_path, one, flags=['--digest_file=', '--base=']).read_bytes() == plain


# What cannot become an OCI layout.


def with_config(data):
    def write(path):
        image = image_of('a', tag='a:1')
        more = [member('c.json', data)]
        return write_base(path, image, entries=[{**image.entry, 'Config': 'c.json'}], more=more)

    return write


def with_entry(**changes):
    def write(path):
        image = image_of('a', tag='a:1')
        return write_base(path, image, entries=[{**image.entry, **changes}])

    return write


def with_contradiction(path):
    layout = Layout('a', tag='a:1')
    layout.entry['Layers'] = [BLOBS + 'a' * 64]
    return layout.write(path)


def with_two_diff_ids(path):
    image = image_of('a', 'b')
    config = json.dumps(configuration(image.diff_ids[::-1])).encode()
    more = [member('c.json', config)]
    entries = [image.entry, {**image.entry, 'Config': 'c.json'}]
    return write_base(path, image, entries=entries, more=more)


def bzip2_layer(path):
    image = image_of('a', tag='a:1')
    more = [member('a', bz2.compress(image.layers['a']))]
    return write_base(path, image, without=['a'], more=more)


BAD = {
    'no configuration': (with_entry(Config='missing'), "'missing' is missing: give a whole image"),
    'no JSON': (with_config(b'{'), 'is not JSON'),
    'no object': (with_config(b'[]'), 'is not a JSON object'),
    'no diff IDs': (with_config(b'{"rootfs": {"diff_ids": 1}}'), 'has no list of diff IDs'),
    'bad diff ID': (
        with_config(b'{"rootfs": {"diff_ids": ["x"]}}'),
        "has a diff ID that is no SHA-256, 'x'",
    ),
    'fewer layers': (
        with_entry(Layers=[]),
        'rootfs.diff_ids has 1 entries for 0 layers: replace the archive',
    ),
    'missing layer': (with_entry(Layers=['b']), "no archive has its layer 'b'"),
    'bad tag': (with_entry(RepoTags=['Upper:1']), "'Upper:1': give a lower-case"),
    'contradiction': (with_contradiction, 'has an OCI manifest with the layer sha256:'),
    'two diff IDs': (with_two_diff_ids, 'in another: leave one out'),
    'old Docker': (lambda path: FIXTURES / BEFORE_1_10, 'was written by Docker 1.9 or older'),
    'bzip2': (
        bzip2_layer,
        'is compressed by bzip2, which containerd and Docker 29 do not read: use gzip',
    ),
}


@pytest.mark.parametrize('verify', [[], ['--verify']])
@pytest.mark.parametrize('case', BAD)
def test_what_cannot_become_a_layout_is_an_error(tmp_path, case, verify):
    write, message = BAD[case]
    path = write(tmp_path / 'one.tar')
    assert message in refuses(tmp_path, path, flags=['--oci', *verify])


# --verify.


def damaged(layout, name, change):
    """Returns members of a layout with one changed blob."""
    layout.blobs[name] = change(layout.blobs[name])
    return layout


def test_verify_reads_every_layer(tmp_path):
    image = image_of('a', 'b', tag='a:1')
    wrong = tar_of(member('other', b'x'))
    path = write_base(tmp_path / 'one.tar', image, without=['a'], more=[member('a', wrong)])
    (error,) = problems(*flags_for(tmp_path, [path], '--oci'), **PROGRAM)
    assert f"layer 'a' of '{path}' has the diff ID sha256:{sha256(wrong)}" in error
    assert not (tmp_path / 'out.tar').exists()


def test_verify_compares_blobs_with_their_digests(tmp_path):
    layout = Layout('a', tag='a:1')
    config = blob(layout.config)
    data = b'anything'
    artifact = described(data, 'application/x')
    other = {'x': 'y', **json.loads(layout.config)}
    layout.blobs[config] = json.dumps(other).encode()
    index = {'manifests': [layout.descriptor, artifact]}
    path = layout.write(tmp_path / '1.tar', more={blob(data): b'other'}, index=index)
    found = problems(*flags_for(tmp_path, [path], '--oci'), **PROGRAM)
    assert [line.partition(' has the digest')[0] for line in found] == [
        f"blob '{config}' of '{path}'",
        f"blob '{blob(data)}' of '{path}'",
    ]


def with_manifest(layout, **keys):
    """Replaces keys in the manifest of a layout."""
    del layout.blobs[blob(layout.manifest)]
    layout.manifest = json.dumps({**json.loads(layout.manifest), **keys}).encode()
    layout.blobs[blob(layout.manifest)] = layout.manifest
    layout.descriptor |= described(layout.manifest, MANIFEST_TYPE)
    return layout


def test_annotations_of_a_manifest_give_no_name(tmp_path):
    """Its descriptor has the others."""
    annotations = {NAME: 'a:1', TAG: '1', 'vnd.docker.reference.type': 'x', 'y': 'z'}
    layout = with_manifest(Layout('a'), annotations=annotations)
    path = join_oci(tmp_path, layout.write(tmp_path / '1.tar'), flags=['--verify'])
    assert index_of(path)[0]['annotations'] == {'y': 'z'}
    path = path.rename(tmp_path / 'first.tar')
    assert join_oci(tmp_path, path).read_bytes() == path.read_bytes()


@pytest.mark.parametrize('media_type', [None, 5, {'a': 1}, 'other'])
def test_manifest_with_a_wrong_media_type_is_led_to(tmp_path, media_type):
    layout = with_manifest(Layout('a', tag='a:1'), mediaType=media_type)
    path = join_oci(tmp_path, layout.write(tmp_path / '1.tar'), flags=['--verify'])
    assert index_of(path)[0]['mediaType'] == MANIFEST_TYPE
    path = path.rename(tmp_path / 'first.tar')
    assert join_oci(tmp_path, path).read_bytes() == path.read_bytes()


def test_size_in_a_descriptor_is_compared(tmp_path):
    layout = Layout('a', tag='a:1')
    (layer,) = json.loads(layout.manifest)['layers']
    with_manifest(layout, layers=[{**layer, 'size': 5}])
    path = layout.write(tmp_path / '1.tar')
    message = f"layer '{layout.layers[0]}' of '{path}' has 10240 bytes, not 5: replace the archive"
    assert warns(*flags_for(tmp_path, [path], '--oci'), **PROGRAM) == [message]
    (tmp_path / 'out.tar').unlink()
    assert problems(*flags_for(tmp_path, [path], '--oci'), **PROGRAM) == [message]


def test_damaged_manifest_is_not_used(tmp_path):
    layout = damaged(Layout('a', tag='a:1'), blob(Layout('a').manifest), lambda data: data + b' ')
    path = layout.write(tmp_path / '1.tar')
    (warning,) = warns(*flags_for(tmp_path, [path], '--oci'), **PROGRAM)
    assert 'is no JSON object with the digest in its name: replace the archive' in warning
    (tmp_path / 'out.tar').unlink()
    assert problems(*flags_for(tmp_path, [path], '--oci'), **PROGRAM) == [warning]


def test_checks_of_configurations_are_made(tmp_path):
    image = image_of(tag='a:1')
    data = json.dumps({**configuration([]), 'os': ''}).encode()
    entries = [{**image.entry, 'Config': 'c.json', 'Layers': []}]
    path = write_base(tmp_path / '2.tar', image, entries=entries, more=[member('c.json', data)])
    (error,) = problems(*flags_for(tmp_path, [path], '--oci'), **PROGRAM)
    assert error.endswith('os is missing or empty: correct it')


def test_order_of_archives_of_one_image_without_manifests_makes_no_difference(tmp_path):
    found = set()
    for order in itertools.permutations(PLAIN):
        archives = [FIXTURES / name for name in order]
        found.add(join_oci(tmp_path, *archives).read_bytes())
    assert len(found) == 1
