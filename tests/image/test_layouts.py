# SPDX-License-Identifier: Apache-2.0
"""OCI image layouts as bases (section 5)."""

import gzip
import hashlib
import json

import pytest

from support.images import Parts, configuration
from support.layouts import Layout
from support.made_layouts import (
    CONFIG,
    FORMS,
    MANIFEST,
    PLAIN,
    PLATFORMS,
    REF_NAME,
    Derived,
    Made,
    compact,
    layer_of,
    one_image,
    platform_of,
    two_platforms,
    write_form,
)
from support.running import build, fails, warns
from support.tars import content, manifest, member, names, sha256, uncompressed

DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json'
DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json'
DOCKER_CONFIG = 'application/vnd.docker.container.image.v1+json'
DOCKER_LAYER = 'application/vnd.docker.image.rootfs.diff.tar.gzip'


@pytest.fixture(params=FORMS)
def form(request):
    return request.param


def layers_of(path):
    """Returns the diff IDs of the layers in an archive."""
    entry = manifest(path)
    return ['sha256:' + sha256(uncompressed(content(path, name))) for name in entry['Layers']]


# The image.


@pytest.mark.parametrize('compressed', [True, False])
def test_image_on_a_layout_is_whole(tmp_path, form, compressed):
    made = one_image(compressed)
    derived = Derived(tmp_path, write_form(made, form, tmp_path), delete='above/file')
    path = derived.write('--tag=a/b:1', '--verify')
    entry = manifest(path)
    assert layers_of(path) == derived.diff_ids
    (root,) = made.roots
    described = json.loads(made.blobs['blobs/' + root['digest'].replace(':', '/')])
    assert entry['Parent'] == described['config']['digest']
    expected = ['blobs/' + layer['digest'].replace(':', '/') for layer in described['layers']]
    assert entry['Layers'][:-1] == expected


def test_only_the_layers_are_merged(tmp_path, form):
    made = one_image()
    derived = Derived(tmp_path, write_form(made, form, tmp_path))
    path = derived.write()
    layers = manifest(path)['Layers'][:-1]
    directories = ['blobs', 'blobs/sha256']
    assert [name for name in names(path) if name.startswith('blobs')] == directories + layers
    assert not {'index.json', 'oci-layout'} & set(names(path))


def test_bytes_do_not_change(tmp_path, form):
    """Nor do they depend on the form of the layout."""
    derived = Derived(tmp_path, write_form(one_image(compressed=False), form, tmp_path))
    found = sha256(derived.write('--tag=a/b:1').read_bytes())
    assert found == '21fa8f769fdd7b7fa565b033bfe7c02b094cb34660e33e21961de911a5a8fe5f'
    found = sha256(derived.write('--tag=a/b:1', '--oci').read_bytes())
    assert found == '94794aaea83974a011fcfa14937385c00b5572a38cd93f21f8a04557abe6a9f0'


def test_partial_layout_has_the_digest_of_the_whole_one(tmp_path, form):
    derived = Derived(tmp_path, write_form(one_image(), form, tmp_path))
    whole = Layout.read(derived.write('--oci', '--tag=a/b:1', '--verify'))
    partial = Layout.read(derived.write('--oci', '--tag=a/b:1', '--verify', partial=True))
    assert whole.files['index.json'] == partial.files['index.json']
    assert len(whole.blobs) == len(partial.blobs) + 2
    for name, data in whole.blobs.items():
        assert name == f'blobs/sha256/{sha256(data)}'


def test_image_of_a_platform(tmp_path, form):
    base = write_form(two_platforms(), form, tmp_path)
    for platform, layers in PLATFORMS.items():
        flags = [f'--platform={platform}']
        derived = Derived(tmp_path, base, *flags, delete=f'{layers[-1]}/file')
        path = derived.write('--verify')
        expected = [f'sha256:{sha256(layer_of(layer))}' for layer in layers]
        assert layers_of(path)[:-1] == expected
        assert len([name for name in names(path) if name.startswith('blobs/')]) == len(layers) + 1
        config = json.loads(content(path, manifest(path)['Config']))
        assert f'{config["os"]}/{config["architecture"]}' == platform


def test_several_platforms_are_listed(parts, form):
    base = write_form(two_platforms(), form, parts.directory)
    line = fails(*parts.flags, f'--base={base}')
    assert line == f'--platform: {str(base)!r} has linux/amd64, linux/arm64: give one'
    line = fails(*parts.flags, f'--base={base}', '--base_tag=example/two:2.0')
    assert line == f'--base_tag: {str(base)!r} has docker.io/example/two:1.0, 1.0: give one'
    line = fails(*parts.flags, f'--legacy_base={base}')
    assert line == f'--platform: {str(base)!r} has linux/amd64, linux/arm64: give one'


@pytest.mark.parametrize(
    'tag', ['example/two:1.0', 'docker.io/example/two:1.0', 'example/one:1', 'plain']
)
def test_image_of_a_tag(tmp_path, form, tag):
    """io.containerd.image.name, or the whole of the other annotation."""
    made = Made()
    for layer, names_of in {
        'one': {REF_NAME: 'docker.io/example/one:1'},
        'two': {'io.containerd.image.name': 'docker.io/example/two:1.0', REF_NAME: '1.0'},
        'three': {REF_NAME: 'plain'},
    }.items():
        made.roots.append({**made.image(layer), 'annotations': names_of})
    base = write_form(made, form, tmp_path)
    layer = {'example/one:1': 'one', 'plain': 'three'}.get(tag, 'two')
    Derived(tmp_path, base, f'--base_tag={tag}', delete=f'{layer}/file').write('--verify')
    parts = Parts(tmp_path)
    line = fails(*parts.flags, f'--base={base}')
    listed = 'docker.io/example/one:1, docker.io/example/two:1.0, 1.0, plain'
    assert line == f'--base_tag: {str(base)!r} has {listed}: give one'


def test_one_image_with_several_names_is_one(tmp_path, form):
    made = Made()
    image = made.image('one')
    made.roots = [{**image, 'annotations': {REF_NAME: name}} for name in ('a', 'b', 'x:1')]
    made.roots.append(made.index(image))
    base = write_form(made, form, tmp_path)
    for flags in ([], ['--base_tag=a'], ['--base_tag=b'], ['--base_tag=library/x:1']):
        Derived(tmp_path, base, *flags, delete='one/file')


def test_platform_of_the_configuration_counts_without_one_in_the_index(tmp_path, form):
    made = Made()
    for platform, layers in PLATFORMS.items():
        made.roots.append(made.image(*layers, platform=platform))
    base = write_form(made, form, tmp_path)
    Derived(tmp_path, base, '--platform=linux/arm64/v8', delete='arm/file').write('--verify')


def test_artifacts_are_no_images(tmp_path, form):
    made = one_image()
    image = made.roots[0]
    empty = made.add(b'{}', 'application/vnd.oci.empty.v1+json')
    chart = {'schemaVersion': 2, 'mediaType': MANIFEST, 'layers': [empty]}
    helm = made.add(b'{"name": "x"}', 'application/vnd.cncf.helm.config.v1+json')
    typed = {**chart, 'config': empty, 'artifactType': 'application/x'}
    made.roots += [
        made.attestation(image),
        made.add(compact({**chart, 'config': helm}), MANIFEST),
        made.add(compact(typed), MANIFEST),
        {**made.image('x'), 'artifactType': 'application/x'},
        made.add(b'{}', 'application/x'),
        made.add(
            b'{"signatures": []}', 'application/vnd.docker.distribution.manifest.v1+prettyjws'
        ),
        made.index(made.image('y'), platform={'os': 'unknown', 'architecture': 'unknown'}),
    ]
    base = write_form(made, form, tmp_path)
    Derived(tmp_path, base, delete='above/file').write('--verify')


@pytest.mark.parametrize('depth', [1, 8])
def test_indexes_in_the_index_are_followed(tmp_path, form, depth):
    made = Made()
    descriptor = made.image('deep')
    for _ in range(depth):
        descriptor = made.index(descriptor)
    made.roots.append(descriptor)
    base = write_form(made, form, tmp_path)
    Derived(tmp_path, base, delete='deep/file').write('--verify')


def test_manifest_that_the_layout_lacks_is_not_there(tmp_path, form):
    """Docker 28 writes so after the pull of one platform."""
    made = two_platforms()
    arm = made.image(*PLATFORMS['linux/arm64'], platform='linux/arm64')
    absent = 'blobs/' + arm['digest'].replace(':', '/')
    base = write_form(made, form, tmp_path, without=[absent])
    Derived(tmp_path, base, delete='intel/file').write('--verify')


@pytest.mark.parametrize('has_types', [True, False])
def test_docker_schema_2(tmp_path, form, has_types):
    """And older layouts, without media types."""
    made = Made()
    layer = layer_of('old')
    config = {**configuration([f'sha256:{sha256(layer)}']), **platform_of('linux/amd64')}
    value = {
        'schemaVersion': 2,
        'mediaType': DOCKER_MANIFEST,
        'config': made.add(compact(config), DOCKER_CONFIG),
        'layers': [made.add(gzip.compress(layer, mtime=0), DOCKER_LAYER)],
    }
    if not has_types:
        del value['mediaType']
        del value['config']['mediaType']
    image = made.add(compact(value), DOCKER_MANIFEST)
    index = {'schemaVersion': 2, 'mediaType': DOCKER_LIST, 'manifests': [image]}
    made.roots.append(made.add(compact(index), DOCKER_LIST))
    if not has_types:
        made.roots = [dict(image)]
        del made.roots[0]['mediaType']
    base = write_form(made, form, tmp_path)
    Derived(tmp_path, base, delete='old/file').write('--verify', '--oci')


def test_blobs_with_sha512(tmp_path, form):
    made = Made()
    layer = layer_of('long')
    config = {**configuration([f'sha256:{sha256(layer)}']), **platform_of('linux/amd64')}

    def add(data, media_type):
        digest = hashlib.sha512(data).hexdigest()
        made.blobs[f'blobs/sha512/{digest}'] = data
        return {'mediaType': media_type, 'digest': f'sha512:{digest}', 'size': len(data)}

    value = {
        'schemaVersion': 2,
        'mediaType': MANIFEST,
        'config': add(compact(config), CONFIG),
        'layers': [add(layer, PLAIN)],
    }
    made.roots.append(add(compact(value), MANIFEST))
    base = write_form(made, form, tmp_path)
    derived = Derived(tmp_path, base, delete='long/file')
    expected = f'blobs/sha512/{hashlib.sha512(layer).hexdigest()}'
    for flags in ([], ['--oci']):
        path = derived.write('--verify', *flags)
        assert manifest(path)['Layers'][0] == expected
        assert content(path, expected) == layer
    whole = Layout.read(path)
    partial = Layout.read(derived.write('--verify', '--oci', partial=True))
    assert whole.files['index.json'] == partial.files['index.json']
    assert whole.manifest['layers'][0]['digest'] == value['layers'][0]['digest']


def test_foreign_layers_stay_foreign(tmp_path, form):
    made = Made()
    layer = layer_of('foreign')
    diff_id = f'sha256:{sha256(layer)}'
    config = {**configuration([diff_id]), **platform_of('windows/amd64')}
    media_type = 'application/vnd.docker.image.rootfs.foreign.diff.tar'
    foreign = {**made.add(layer, media_type), 'urls': ['https://example.com/layer']}
    value = {'schemaVersion': 2, 'config': made.add(compact(config), CONFIG), 'layers': [foreign]}
    made.roots.append(made.add(compact(value), MANIFEST))
    base = write_form(made, form, tmp_path)
    derived = Derived(tmp_path, base, delete='foreign/file')
    path = derived.write('--verify')
    assert manifest(path)['LayerSources'] == {diff_id: foreign}
    path = derived.write('--verify', '--oci')
    assert manifest(path)['LayerSources'] == {diff_id: foreign}
    assert Layout.read(path).manifest['layers'][0] == foreign


def test_manifest_json_counts_where_both_are_there(tmp_path):
    made = one_image()
    other = Made()
    other.roots.append(other.image('other'))
    build_on = write_form(other, 'archive', tmp_path, 'other')
    build(f'--layer={build_on}', f'--output={tmp_path / "joined.tar"}', program='join_layers')
    entry = content(tmp_path / 'joined.tar', 'manifest.json')
    made.blobs.update(other.blobs)
    base = made.write_archive(tmp_path / 'base.tar', more=[member('manifest.json', entry)])
    Derived(tmp_path, base, delete='other/file')


def test_links_in_an_archive_are_followed(tmp_path):
    made = one_image()
    files = dict(made.files)
    target = next(name for name in files if name.startswith('blobs/'))
    links = [member(target, kind=b'2', link='../../data/layer')]
    more = [member('data/layer', files[target]), *links]
    base = made.write_archive(tmp_path / 'base.tar', without=[target], more=more)
    derived = Derived(tmp_path, base, delete='above/file')
    for flags in ([], ['--oci']):
        assert layers_of(derived.write('--verify', *flags)) == derived.diff_ids


def test_two_blobs_of_one_name_are_an_error(parts):
    """Clients read different ones."""
    made = one_image()
    for name in made.blobs:
        more = [member(name, b'other')]
        base = made.write_archive(parts.directory / 'base.tar', more=more)
        text = f'{str(base)!r}: {name!r} occurs twice with different content: replace it'
        assert fails(*parts.flags, f'--base={base}') == text
        flags = [f'--layer={base}', f'--output={parts.output}']
        assert fails(*flags, program='join_layers') == text


# --legacy_base of another layout.


def test_another_layout_of_the_same_image_completes_it(tmp_path, form):
    """With --oci a layer is known by its content."""
    base = write_form(one_image(), form, tmp_path)
    plain = write_form(one_image(compressed=False), form, tmp_path, 'plain')
    derived = Derived(tmp_path, base)
    path = derived.write('--oci', f'--legacy_base={plain}', partial=True)
    assert layers_of(path) == derived.diff_ids
    assert content(path, manifest(path)['Layers'][0]) == layer_of('below')


def test_layout_can_be_merged_without_being_the_base(parts, form):
    made = one_image()
    base = write_form(made, form, parts.directory)
    build(*parts.flags, f'--legacy_base={base}', warnings=True)
    assert len([name for name in names(parts.output) if name.startswith('blobs/sha256/')]) == 2


# What is no base.


def damaged(change):
    """Returns the layout of one image with another manifest."""
    made = one_image()
    name = 'blobs/' + made.roots[0]['digest'].replace(':', '/')
    value = json.loads(made.blobs.pop(name))
    change(value)
    described = made.add(compact(value), MANIFEST)
    made.roots = [{**made.roots[0], **described}]
    return made, 'blobs/' + described['digest'].replace(':', '/')


WRONG_MANIFESTS = {
    'no list': (
        lambda value: value.update(layers='x'),
        'is not a valid base image: {!r} has layers that are no list: save the image again',
    ),
    'no descriptor': (
        lambda value: value['layers'].append(1),
        'is not a valid base image: {!r} has what is not a descriptor: save the image again',
    ),
    'another algorithm': (
        lambda value: value['layers'][0].update(digest='blake3:' + 'a' * 64),
        "is not a valid base image: {!r} has the digest 'blake3:" + 'a' * 64 + "', "
        'which is neither of sha256 nor of sha512: save the image again',
    ),
    'nothing': (
        lambda value: [value.pop('config'), value.pop('layers')],
        'is not a valid base image: {!r} is neither an index nor a manifest: save the image again',
    ),
}


@pytest.mark.parametrize('case', WRONG_MANIFESTS)
def test_wrong_manifest_is_an_error(parts, form, case):
    change, text = WRONG_MANIFESTS[case]
    made, name = damaged(change)
    base = write_form(made, form, parts.directory)
    line = fails(*parts.flags, f'--base={base}')
    assert line == f'{str(base)!r} {text.format(name)}'


def root_of(made, **changes):
    made.roots = [{**made.roots[0], **changes}]
    return made


def with_other_bytes(made):
    name = 'blobs/' + made.roots[0]['digest'].replace(':', '/')
    made.blobs[name] = b'{}'
    return made


def too_deep():
    made = Made()
    descriptor = made.image('deep')
    for _ in range(9):
        descriptor = made.index(descriptor)
    made.roots.append(descriptor)
    return made


def attested_alone():
    made = one_image()
    made.roots = [made.attestation(made.roots[0])]
    return made


NO_IMAGES = {
    'no descriptors': (
        Made(),
        'is not a valid base image: its index.json leads to no image: save the image again',
    ),
    'too deep': (
        too_deep(),
        'is not a valid base image: its index.json leads to no image: save the image again',
    ),
    'an attestation': (
        attested_alone(),
        'is not a valid base image: its index.json leads to no image, but to attestations or '
        'other artifacts alone: save the image again',
    ),
    'a manifest that is missing': (
        root_of(one_image(), digest='sha256:' + 'a' * 64),
        "is not a valid base image: it lacks 'blobs/sha256/" + 'a' * 64 + "': save the image again",
    ),
    'another digest': (
        with_other_bytes(one_image()),
        'is not a valid base image: {!r} is no JSON object that has the digest in its name: '
        'save the image again',
    ),
}


@pytest.mark.parametrize('case', NO_IMAGES)
def test_layout_without_an_image_is_an_error(parts, form, case):
    made, text = NO_IMAGES[case]
    base = write_form(made, form, parts.directory)
    root = made.roots[0]['digest'].replace(':', '/') if made.roots else ''
    line = fails(*parts.flags, f'--base={base}')
    assert line == f'{str(base)!r} {text.format(f"blobs/{root}")}'


def test_unknown_version_is_an_error(parts):
    for version, shown in (('2.0.0', "'2.0.0'"), (1, "'1'")):
        files = {**one_image().files, 'oci-layout': compact({'imageLayoutVersion': version})}
        made = Made()
        made.blobs = files
        base = made.write_archive(
            parts.directory / 'base.tar',
            without=['index.json', 'oci-layout'],
            more=[member(name, files[name]) for name in ('index.json', 'oci-layout')],
        )
        line = fails(*parts.flags, f'--base={base}')
        text = f"oci-layout has the version {shown}, not '1.0.0': replace it"
        assert line == f'{str(base)!r}: {text}'


def test_missing_layer_is_a_warning_and_an_error_with_verify(tmp_path, form):
    made = one_image()
    base = write_form(made, form, tmp_path)
    derived = Derived(tmp_path, base)
    layer = next(name for name, data in made.blobs.items() if data.startswith(b'\x1f\x8b'))
    if form == 'directory':
        (base / layer).unlink()
    else:
        write_form(made, form, tmp_path, without=[layer])
    text = f'--base: {str(base)!r} lacks its layer {layer!r}: give a whole image'
    assert warns(*derived.flags(partial=True)) == [text]
    assert fails(*derived.flags()) == text.removeprefix('--base: ')
    flags = ['--base', str(base)]
    line = fails(*flags, f'--output={tmp_path}/x.tar', '--empty_dir=x', program='build_tar')
    assert line == text
