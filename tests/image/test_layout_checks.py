# SPDX-License-Identifier: Apache-2.0
"""What is checked of OCI image layouts (sections 5 and 7)."""

import gzip
import json

import pytest

from support.joins import PROGRAM, flags_for
from support.made_layouts import (
    FORMS,
    GZIP,
    MANIFEST,
    PLAIN,
    Derived,
    Made,
    compact,
    one_image,
    platform_of,
    tagged,
    write_form,
)
from support.running import build, problems, warns
from support.tars import member, tar_of

ADVICE = 'save the image again'
DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json'


class Changed:
    """The layout of one image, with a changed manifest.

    Attributes:
        made: the layout.
        value: the manifest.
        manifest, config, layer: the names of blobs; the layer is the lowest one.
        text: what is wrong.
    """

    def __init__(self, change):
        self.made = one_image()
        self.value = self._pop()
        self.root = {'annotations': tagged('docker.io/example/one:1.0')}
        self.config = blob(self.value['config'])
        self.layer = blob(self.value['layers'][0])
        self.text = change(self)
        described = self.made.add(compact(self.value), MANIFEST)
        self.manifest = blob(described)
        self.made.roots = [{**described, **self.root}]

    def _pop(self):
        return json.loads(self.made.blobs.pop(blob(self.made.roots[0])))

    @property
    def line(self):
        return self.text.format(manifest=self.manifest, config=self.config, layer=self.layer)


def blob(descriptor):
    return 'blobs/' + descriptor['digest'].replace(':', '/')


def size_of_layer(changed):
    size = changed.value['layers'][0]['size']
    changed.value['layers'][0]['size'] += 1
    return f"'{{layer}}' has {size} bytes, and its descriptor says {size + 1}"


def size_of_config(changed):
    size = changed.value['config']['size']
    changed.value['config']['size'] = 1 << 40
    return f"'{{config}}' has {size} bytes, and its descriptor says {1 << 40}"


def size_of_manifest(changed):
    changed.root['size'] = 7
    return f"'{{manifest}}' has {len(compact(changed.value))} bytes, and its descriptor says 7"


def no_size(changed):
    del changed.value['layers'][0]['size']
    return "'{layer}' has a descriptor without a valid size"


def size_of_another_type(changed):
    changed.value['layers'][0]['size'] = True
    return "'{layer}' has a descriptor without a valid size"


def negative_size(changed):
    changed.value['layers'][0]['size'] = -1
    return "'{layer}' has a descriptor without a valid size"


def unknown_layer_type(changed):
    changed.value['layers'][0]['mediaType'] = 'application/x'
    return "'{layer}' has the media type 'application/x', which is of no layer"


def no_layer_type(changed):
    del changed.value['layers'][0]['mediaType']
    return "'{layer}' has the media type 'None', which is of no layer"


def compressed_as_plain(changed):
    changed.value['layers'][0]['mediaType'] = PLAIN
    return "'{layer}' is gzip, and its media type says plain"


def gzip_as_zstd(changed):
    changed.value['layers'][0]['mediaType'] = f'{PLAIN}+zstd'
    return "'{layer}' is gzip, and its media type says zstd"


def plain_as_compressed(changed):
    layer = changed.made.add(changed_layer(changed), GZIP)
    changed.layer = blob(layer)
    changed.value['layers'][0] = layer
    return "'{layer}' is plain, and its media type says gzip"


def changed_layer(changed):

    return gzip.decompress(changed.made.blobs[changed.layer])


def type_of_manifest(changed):
    changed.value['mediaType'] = DOCKER_MANIFEST
    return (
        f"'{{manifest}}' has the media type '{DOCKER_MANIFEST}', "
        f"and its descriptor says '{MANIFEST}'"
    )


def platform_of_index(changed):
    changed.root['platform'] = platform_of('linux/arm64/v8')
    return "'{config}' is for 'linux/amd64', and the index says 'linux/arm64/v8'"


CHANGES = [
    size_of_layer,
    size_of_config,
    size_of_manifest,
    no_size,
    size_of_another_type,
    negative_size,
    unknown_layer_type,
    no_layer_type,
    compressed_as_plain,
    gzip_as_zstd,
    plain_as_compressed,
    type_of_manifest,
    platform_of_index,
]


@pytest.fixture(params=FORMS)
def form(request):
    return request.param


@pytest.mark.parametrize('change', CHANGES)
def test_contradiction_is_a_warning_and_an_error_with_verify(tmp_path, change):
    changed = Changed(change)
    base = write_form(changed.made, 'archive', tmp_path)
    line = f'--base: {str(base)!r}: {changed.line}: {ADVICE}'
    derived = Derived(tmp_path, base, warnings=True)
    assert warns(*derived.flags()) == [line]
    assert problems(*derived.flags()) == [line]
    flags = [f'--base={base}', f'--output={tmp_path / "output"}']
    assert warns(*flags, program='create_image_config') == [line]
    assert warns(*flags, '--delete=above/file', program='build_tar') == [line]
    line = line.replace('--base', '--layer', 1)
    assert warns(*flags_for(tmp_path, [base]), **PROGRAM) == [line]
    assert problems(*flags_for(tmp_path, [base]), **PROGRAM) == [line]


def test_contradiction_in_every_form(tmp_path, form):
    changed = Changed(size_of_layer)
    base = write_form(changed.made, form, tmp_path)
    derived = Derived(tmp_path, base, warnings=True)
    line = f'--base: {str(base)!r}: {changed.line}: {ADVICE}'
    assert problems(*derived.flags()) == [line]


def test_contradiction_of_a_layout_that_is_merged(parts):
    changed = Changed(size_of_layer)
    base = write_form(changed.made, 'archive', parts.directory)
    line = f'--legacy_base: {str(base)!r}: {changed.line}: {ADVICE}'
    assert problems(*parts.flags, f'--legacy_base={base}') == [line]


@pytest.mark.parametrize(
    ('index', 'own'),
    [
        ('linux/amd64', 'linux/amd64'),
        ('linux/arm64/v8', 'linux/arm64'),
        ('linux/arm64', 'linux/arm64/v8'),
        ('linux/arm/v7', 'linux/arm'),
    ],
)
def test_variant_may_be_left_out(tmp_path, index, own):
    made = Made()
    made.roots.append({**made.image('x', platform=own), 'platform': platform_of(index)})
    base = write_form(made, 'archive', tmp_path)
    Derived(tmp_path, base, f'--platform={index}').write('--verify')


# Digests, with --verify.


def test_layer_with_another_digest(tmp_path, form):
    made = one_image(compressed=False)
    base = write_form(made, form, tmp_path)
    derived = Derived(tmp_path, base)
    name = next(name for name, data in made.blobs.items() if not data.startswith(b'{'))
    size = len(made.blobs[name])
    made.blobs[name] = tar_of(member('evil')).ljust(size, b'\0')[:size]
    base = write_form(made, form, tmp_path)
    build(*derived.flags())
    (line,) = problems(*derived.flags())
    assert line.startswith(f'layer {name!r} of {str(base)!r} has the diff ID sha256:')
    (line,) = problems(*flags_for(tmp_path, [base]), **PROGRAM)
    assert line.startswith(f'layer {name!r} of {str(base)!r} has the diff ID sha256:')


def test_configuration_with_another_digest(tmp_path, form):
    made = one_image()
    base = write_form(made, form, tmp_path)
    name = blob(json.loads(made.blobs[blob(made.roots[0])])['config'])
    made.blobs[name] = made.blobs[name].replace(b'a test', b'A test')
    base = write_form(made, form, tmp_path)
    derived = Derived(tmp_path, base)
    build(*derived.flags())
    text = f'--base: {str(base)!r}: {name!r} has another digest: {ADVICE}'
    assert problems(*derived.flags()) == [text]
    (line,) = problems(*flags_for(tmp_path, [base]), **PROGRAM)
    assert line.startswith(f'{str(base)!r}: {name!r} has the SHA-256 ')


def test_damaged_manifest_beside_a_sound_one(tmp_path, form):
    """It is not the image that is meant: a warning."""
    made = one_image()
    other = made.image('other')
    made.blobs[blob(other)] = b'{}'
    made.roots.append(other)
    base = write_form(made, form, tmp_path)
    derived = Derived(tmp_path, base, delete='above/file', warnings=True)
    text = f'{blob(other)!r} is no JSON object that has the digest in its name'
    line = f'--base: {str(base)!r}: {text}: {ADVICE}'
    assert warns(*derived.flags()) == [line]
    assert problems(*derived.flags()) == [line]
    line = line.replace('--base', '--layer', 1)
    assert line in warns(*flags_for(tmp_path, [base]), **PROGRAM)
