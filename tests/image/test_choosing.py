# SPDX-License-Identifier: Apache-2.0
"""--base_tag and --platform choose the image of a base, in all programs (section 5)."""

import json

import pytest

import build_tar
import create_image
from support.images import Parts, configuration, write_base
from support.made_layouts import Made, platform_of, tagged
from support.project import FIXTURES
from support.running import build, fails, run_program
from support.tars import content, manifest, member, sha256, tar_of

MANY = FIXTURES / 'docker-29-multiplatform.tar'
PROGRAMS = ['create_image', 'create_image_config', 'build_tar']
# The tags and the platform of each image in the archive of several.
IMAGES = {
    'one': (['example/app:1', 'two/names:1'], 'linux/amd64'),
    'two': (['app:2'], 'linux/arm64/v8'),
    'three': (['registry.example:5000/app:3'], 'linux/amd64'),
}


class Image:
    """An image in manifest.json: one layer with a directory of its name."""

    def __init__(self, name, tags, platform):
        self.name = name
        self.layer = tar_of(member(name, kind=b'5'))
        self.config = configuration([f'sha256:{sha256(self.layer)}'])
        self.config.update(platform_of(platform))
        self.entry = {'Config': f'{name}.json', 'Layers': [f'{name}.tar'], 'RepoTags': tags}
        self.files = {f'{name}.json': json.dumps(self.config).encode(), f'{name}.tar': self.layer}


@pytest.fixture
def several(tmp_path):
    images = [Image(name, *rest) for name, rest in IMAGES.items()]
    return write_base(tmp_path / 'several.tar', *images)


def chosen(tmp_path, program, base, *flags):
    """Runs a program on a base; returns the name of the directory in the image that it chose."""
    output = tmp_path / 'output'
    output.unlink(missing_ok=True)
    flags = [f'--output={output}', f'--base={base}', *flags]
    for name in IMAGES:
        layer = sha256(tar_of(member(name, kind=b'5')))
        if program == 'build_tar':
            # Only the image that has the directory can lose it.
            if b'' == run_quietly(program, *flags, f'--delete={name}'):
                return name
        elif program == 'create_image_config':
            build(*flags, program=program)
            if json.loads(output.read_text())['rootfs']['diff_ids'] == [f'sha256:{layer}']:
                return name
        else:
            config = tmp_path / 'config.json'
            config.write_text(json.dumps(configuration([f'sha256:{layer}'])))
            identifier = sha256(config.read_bytes())
            build(*flags, f'--config={config}', f'--id={identifier}', warnings=True)
            if manifest(output)['Layers'] == [f'{name}.tar']:
                return name
    return None


def run_quietly(program, *flags):
    return run_program(program, *flags).stderr


CHOICES = {
    '--base_tag=example/app:1': 'one',
    '--base_tag=docker.io/example/app:1': 'one',
    '--base_tag=two/names:1': 'one',
    '--base_tag=app:2': 'two',
    '--base_tag=docker.io/library/app:2': 'two',
    '--base_tag=library/app:2': 'two',
    '--base_tag=registry.example:5000/app:3': 'three',
    '--platform=linux/arm64': 'two',
    '--platform=linux/arm64/v8': 'two',
    '--base_tag=app:2 --platform=linux/arm64': 'two',
    '--base_tag=example/app:1 --platform=linux/amd64': 'one',
    '--base_tag= --platform=': 'three',
    '': 'three',
}


@pytest.mark.parametrize('program', PROGRAMS)
@pytest.mark.parametrize('flags', CHOICES)
def test_image_of_manifest_json_is_chosen(tmp_path, several, program, flags):
    assert chosen(tmp_path, program, several, *flags.split()) == CHOICES[flags]


WRONG = {
    '--base_tag=app:1': (
        '--base_tag: {!r} has example/app:1, two/names:1, app:2, registry.example:5000/app:3: '
        'give one'
    ),
    '--base_tag=app': (
        '--base_tag: {!r} has example/app:1, two/names:1, app:2, registry.example:5000/app:3: '
        'give one'
    ),
    '--platform=linux/s390x': '--platform: {!r} has linux/amd64, linux/arm64/v8: give one',
    '--platform=linux/arm64/v7': '--platform: {!r} has linux/amd64, linux/arm64/v8: give one',
    '--base_tag=app:2 --platform=linux/amd64': '--platform: {!r} has linux/arm64/v8: give one',
    '--platform=linux/amd64': (
        '--base_tag: {!r} has example/app:1, two/names:1, registry.example:5000/app:3: give one'
    ),
    '--platform=arm64': (
        "--platform: 'arm64' is not OS/ARCHITECTURE[/VARIANT]: give one such as linux/arm64"
    ),
    '--platform=a/b/c/d': (
        "--platform: 'a/b/c/d' is not OS/ARCHITECTURE[/VARIANT]: give one such as linux/arm64"
    ),
    '--platform=linux/': (
        "--platform: 'linux/' is not OS/ARCHITECTURE[/VARIANT]: give one such as linux/arm64"
    ),
}


def required(program, parts):
    """Returns the flags without which a program does nothing."""
    if program == 'create_image':
        return parts.flags
    return [f'--output={parts.output}']


@pytest.mark.parametrize('program', PROGRAMS)
@pytest.mark.parametrize('flags', WRONG)
def test_none_or_several_is_an_error_that_lists_them(parts, several, program, flags):
    flags, text = flags.split(), WRONG[flags]
    line = fails(*required(program, parts), f'--base={several}', *flags, program=program)
    assert line == text.format(str(several))
    assert not parts.output.exists()


def test_images_that_nothing_tells_apart_are_an_error(parts):
    images = [Image('one', ['a:1'], 'linux/amd64'), Image('two', ['a:1'], 'linux/amd64')]
    base = write_base(parts.directory / 'base.tar', *images)
    for flag in ('--base_tag=a:1', '--platform=linux/amd64'):
        line = fails(*parts.flags, f'--base={base}', flag)
        text = 'has 2 images that no tag and no platform tells apart: give an archive of one'
        assert line == f'--base: {str(base)!r} {text} of them'


def test_image_without_tag_is_named_by_no_tag(parts):
    base = write_base(parts.directory / 'base.tar', Image('one', None, 'linux/amd64'))
    line = fails(*parts.flags, f'--base={base}', '--base_tag=a:1')
    assert line == f'--base_tag: {str(base)!r} has no image with a tag: leave it out'


@pytest.mark.parametrize(
    ('program', 'flag'),
    [
        ('create_image', '--base_tag=a:1'),
        ('create_image', '--platform=linux/amd64'),
        ('build_tar', '--base_tag=a:1'),
        ('build_tar', '--platform=linux/amd64'),
        ('create_image_config', '--base_tag=a:1'),
    ],
)
def test_without_a_base_no_image_is_chosen(parts, program, flag):
    line = fails(*required(program, parts), flag, program=program)
    name = flag.partition('=')[0]
    assert line == f'{name}: only an image of a base is chosen: give --base'


def test_archive_without_a_valid_entry_is_an_error(parts):
    base = write_base(parts.directory / 'base.tar', entries=[{'Config': 1}])
    line = fails(*parts.flags, f'--base={base}', '--platform=linux/amd64')
    text = 'manifest.json lacks a valid Config or Layers: replace it'
    assert line == f'{str(base)!r}: {text}'


# An index beside manifest.json.


@pytest.mark.parametrize('flag', ['--platform=linux/arm64', '--platform=linux/arm64/v8'])
def test_index_beside_manifest_json_is_searched(tmp_path, flag):
    """manifest.json names the image for amd64 alone."""
    output = tmp_path / 'config.json'
    flags = [f'--output={output}', f'--base={MANY}']
    build(*flags, flag, program='create_image_config')
    config = json.loads(output.read_text())
    assert config['architecture'] == 'arm64'
    image = Parts(tmp_path, below=config['rootfs']['diff_ids'], base=MANY)
    build(*image.flags, flag, '--verify')
    entry = manifest(image.output)
    old = json.loads(content(image.output, entry['Parent'].replace('sha256:', 'blobs/sha256/')))
    assert old['architecture'] == 'arm64'
    assert len(entry['Layers']) == len(config['rootfs']['diff_ids']) + 1


def test_index_beside_manifest_json_makes_a_tag_ambiguous(parts):
    line = fails(*parts.flags, f'--base={MANY}', '--base_tag=example/base:1.0')
    assert line == f'--platform: {str(MANY)!r} has linux/amd64, linux/arm64: give one'


def test_image_of_both_is_one(parts):
    """By its configuration; names of the index count for it."""
    image = Image('one', ['a:1'], 'linux/amd64')
    made = Made()
    made.blobs.update(image.files)
    config = made.add(image.files['one.json'], 'application/vnd.oci.image.config.v1+json')
    value = {'schemaVersion': 2, 'config': config, 'layers': []}
    described = made.add(json.dumps(value).encode(), 'application/vnd.oci.image.manifest.v1+json')
    made.roots.append({**described, 'annotations': tagged('docker.io/example/other:2')})
    more = [member('manifest.json', json.dumps([image.entry]).encode())]
    base = made.write_archive(parts.directory / 'base.tar', more=more)
    parts.configure(configuration([*image.config['rootfs']['diff_ids'], *parts.diff_ids]))
    for flag in ('--base_tag=a:1', '--base_tag=example/other:2', '--platform=linux/amd64'):
        build(*parts.flags, f'--base={base}', f'--legacy_base={base}', flag)
        assert manifest(parts.output)['Layers'][0] == 'one.tar'


# The platform of a configuration.


def platform_in(path):
    keys = json.loads(path.read_text())
    return [keys.get(key) for key in ('os', 'architecture', 'variant')]


def test_platform_without_a_base_is_that_of_the_configuration(tmp_path):
    output = tmp_path / 'config.json'
    flags = [f'--output={output}', '--platform=linux/arm/v7']
    build(*flags, program='create_image_config')
    assert platform_in(output) == ['linux', 'arm', 'v7']
    build(*flags, '--os=windows', program='create_image_config')
    assert platform_in(output) == ['windows', 'amd64', None]


def test_platform_of_a_base_stays_with_its_variant(tmp_path, several):
    output = tmp_path / 'config.json'
    flags = [f'--output={output}', f'--base={several}', '--platform=linux/arm64']
    build(*flags, program='create_image_config')
    assert platform_in(output) == ['linux', 'arm64', 'v8']
    build(*flags, '--architecture=s390x', program='create_image_config')
    assert platform_in(output) == ['linux', 's390x', None]


# From Python.


def test_choice_from_python(parts, several):
    arguments = {**parts.arguments, 'base': several}
    create_image.create_image(**arguments, base_tag='app:2', platform='linux/arm64')
    assert manifest(parts.output)['Layers'][0] == 'two.tar'
    layer = parts.directory / 'layer.tar'
    for wrong in ({'base_tag': 'app:1'}, {'platform': 'linux'}):
        with pytest.raises(ValueError, match='give one'):
            create_image.create_image(**arguments, **wrong)
        with pytest.raises(ValueError, match='give one'):
            build_tar.TarFile(layer, base=several, **wrong)
    with build_tar.TarFile(layer, base=several, delete=['two'], base_tag='app:2'):
        pass
    with pytest.raises(TypeError):
        build_tar.TarFile(layer, base=several, platform=1)
