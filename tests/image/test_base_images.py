# SPDX-License-Identifier: Apache-2.0
"""Which archives are base images, and problems of bases (sections 5, 6 and 7)."""

import bz2
import gzip
import json
import lzma
import os
import random
import shutil
import subprocess

import pytest

from support.images import (
    BEFORE_1_10,
    MODERN,
    BaseImage,
    Parts,
    configuration,
    on_fixture,
    write_base,
)
from support.measuring import LARGE, measure
from support.project import DATA, FIXTURES
from support.running import build, fails, problems, run, warns
from support.tars import (
    LINK,
    content,
    make_tar,
    manifest,
    member,
    names,
    pax,
    python_reads_zstd,
    sha256,
    tar_of,
    write_tar,
)

LOWER = BaseImage(['one.tar', 'two.tar'])
FILES = {**LOWER.files, 'manifest.json': json.dumps([LOWER.entry]).encode()}
LAYOUT = {'index.json': b'{"manifests": []}', 'oci-layout': b'{"imageLayoutVersion": "1.0.0"}'}
SAVE = 'give what `docker save` writes'

# Members of archives that are not base images, and the error.
NO_IMAGES = {
    'an OCI layout without images': (
        {**LAYOUT, 'blobs/sha256/a': b''},
        'its index.json leads to no image: save the image again',
    ),
    'a container': (
        {'.dockerenv': b'', 'etc/passwd': b''},
        'it has the files of a container, as `docker export` writes them: use `docker save`',
    ),
    'a layer': ({'etc/passwd': b''}, f'it has no manifest.json, like a layer: {SAVE}'),
    'packed with its directory': (
        {f'image/{name}': data for name, data in FILES.items()},
        "it has its image in a directory, 'image': pack its contents",
    ),
    'Docker 1.9, packed with its directory': (
        {'image/a/json': b'', 'image/a/layer.tar': b''},
        f'it has no manifest.json, like a layer: {SAVE}',
    ),
    'half of Docker 1.9': (
        {'a/json': b'', 'b/layer.tar': b''},
        f'it has no manifest.json, like a layer: {SAVE}',
    ),
    'an empty manifest': (
        {'manifest.json': b'[]'},
        'it has an empty manifest.json: save it again, with an image',
    ),
    'no members': ({}, f'it has no members: {SAVE}'),
}


@pytest.mark.parametrize('flags', [[], ['--verify']])
@pytest.mark.parametrize('case', NO_IMAGES)
def test_archive_without_an_image_is_an_error(parts, case, flags):
    """The only error with --verify, too."""
    files, text = NO_IMAGES[case]
    make_tar(parts.directory / 'base.tar', files)
    line = fails(*parts.flags, '--base=base.tar', *flags, cwd=parts.directory)
    assert line == f"'base.tar' is not a valid base image: {text}"
    assert not parts.output.exists()


@pytest.mark.parametrize('case', NO_IMAGES)
def test_archive_without_an_image_can_be_merged(parts, case):
    files, _ = NO_IMAGES[case]
    base = make_tar(parts.directory / 'base.tar', files)
    build(*parts.flags, f'--legacy_base={base}')
    left_out = {*LAYOUT, 'manifest.json'}
    merged = {name for name in names(parts.output) if name in files}
    assert merged - {'manifest.json'} == set(files) - left_out


@pytest.mark.parametrize('flags', [[], ['--verify']])
def test_base_written_by_docker_1_9_gives_a_warning(tmp_path, flags):
    image = on_fixture(tmp_path, BEFORE_1_10)
    text = 'was written by Docker 1.9 or older: only such a Docker can load images built on it'
    assert warns(*image.flags, *flags) == [f'--base: {str(image.base)!r} {text}']


# Members that occur twice in a base.

TWICE = {'manifest.json': b'[]', 'one.tar': b'other', LOWER.entry['Config']: b'{}'}


@pytest.mark.parametrize('spelling', ['{}', './{}', '/{}'])
@pytest.mark.parametrize('pack', [bytes, gzip.compress])
@pytest.mark.parametrize('name', TWICE)
def test_two_different_members_of_one_name_are_an_error(tmp_path, name, pack, spelling):
    """Docker uses the last one, Podman and Skopeo the first."""
    more = [member(spelling.format(name), TWICE[name])]
    base = write_base(tmp_path / 'base.tar', LOWER, more=more)
    base.write_bytes(pack(base.read_bytes()))
    image = Parts(tmp_path, base=base, below=LOWER.diff_ids)
    for flags in [image.flags, image.without('legacy_base'), [*image.flags, '--verify']]:
        line = fails(*flags)
        assert line == f"'{base}': '{name}' occurs twice with different content: replace it"
    assert not image.output.exists()


@pytest.mark.parametrize('pack', [bytes, gzip.compress])
def test_two_different_large_layers_of_one_name_are_an_error(tmp_path, pack):
    """Too large to be kept in memory, in a compressed base that is not merged."""
    layer = tar_of(member('large', os.urandom(5 << 20)))
    entry = {'Config': 'c.json', 'Layers': ['l.tar']}
    config = json.dumps(configuration([f'sha256:{sha256(layer)}'])).encode()
    files = [member('manifest.json', json.dumps([entry]).encode()), member('c.json', config)]
    files += [member('l.tar', layer), member('l.tar', layer[:-1] + b'x')]
    base = tmp_path / 'base.tar'
    base.write_bytes(pack(tar_of(*files)))
    image = Parts(tmp_path, base=base)
    line = fails(*image.without('legacy_base'))
    assert line == f"'{base}': 'l.tar' occurs twice with different content: replace it"


def test_two_equal_members_of_one_name_are_accepted(tmp_path):
    more = [member(f'./{name}', data) for name, data in FILES.items()]
    base = write_base(tmp_path / 'base.tar', LOWER, more=more)
    image = Parts(tmp_path, base=base, below=LOWER.diff_ids)
    build(*image.flags, '--verify')
    assert content(image.output, 'one.tar') == LOWER.layers['one.tar']


# Parts that a base lacks.


@pytest.mark.parametrize('merges', [True, False])
def test_base_without_its_configuration_gives_a_warning(tmp_path, merges):
    files = {name: data for name, data in FILES.items() if name != LOWER.entry['Config']}
    base = make_tar(tmp_path / 'base.tar', files)
    image = Parts(tmp_path, base=base, below=LOWER.diff_ids)
    line = f"--base: '{base}' lacks its configuration '{LOWER.entry['Config']}': replace it"
    flags = image.flags if merges else image.without('legacy_base')
    assert warns(*flags) == [line]
    assert manifest(image.output)['Layers'][:2] == LOWER.layer_names
    assert line in problems(*flags)


@pytest.mark.parametrize(
    ('config', 'text'),
    [
        (b'no JSON', "its configuration '{}' is not JSON: correct it"),
        (b'[]', "its configuration '{}' is not a JSON object: correct it"),
        (
            b'{"rootfs": {"diff_ids": [1]}}',
            "its configuration '{}': rootfs.diff_ids must be a list of strings: replace the base",
        ),
        (b'{}', "it has a configuration without diff IDs, '{}': replace it"),
    ],
)
def test_base_whose_configuration_has_no_diff_ids_is_reported(tmp_path, config, text):
    base = make_tar(tmp_path / 'base.tar', {**FILES, LOWER.entry['Config']: config})
    image = Parts(tmp_path, base=base, below=LOWER.diff_ids)
    (line,) = warns(*image.flags)
    assert line == f'--base: {str(base)!r}: {text.format(LOWER.entry["Config"])}'
    assert line in problems(*image.flags)


def test_base_with_a_wrong_number_of_diff_ids_gives_a_warning(tmp_path):
    config = json.dumps(configuration(LOWER.diff_ids[:1])).encode()
    base = make_tar(tmp_path / 'base.tar', {**FILES, LOWER.entry['Config']: config})
    image = Parts(tmp_path, base=base, below=LOWER.diff_ids)
    line = f"--base: '{base}' has 2 layers and 1 diff IDs: replace it"
    assert warns(*image.flags) == [line]
    assert problems(*image.flags) == [line]


def test_base_without_one_of_its_layers(tmp_path):
    """A warning if the base is not merged, as in the original program; otherwise an error."""
    base = make_tar(tmp_path / 'base.tar', {n: d for n, d in FILES.items() if n != 'two.tar'})
    image = Parts(tmp_path, base=base, below=LOWER.diff_ids)
    line = f"'{base}' lacks its layer 'two.tar': give a whole image"
    assert warns(*image.without('legacy_base')) == [f'--base: {line}']
    image.output.unlink()
    assert fails(*image.flags) == line
    assert problems(*image.flags) == [line]
    assert not image.output.exists()


@pytest.mark.parametrize('name', ['top', 'repositories', 'index.json', 'oci-layout', 'top/l.tar'])
def test_layer_whose_name_is_not_merged_is_an_error(tmp_path, name):
    """The archive would lack the layer: the merge and the checks follow one rule."""
    lower = BaseImage([name])
    base = write_base(tmp_path / 'base.tar', lower)
    image = Parts(tmp_path, base=base, below=lower.diff_ids)
    line = f"'{base}' lacks its layer '{name}': give a whole image"
    assert problems(*image.flags) == [line]
    assert fails(*image.flags) == line
    assert not image.output.exists()


def test_base_and_legacy_base_are_two_paths_of_one_file(tmp_path):
    """The image is whole if the base is."""
    base = write_base(tmp_path / 'base.tar', LOWER)
    (tmp_path / 'link.tar').symlink_to('base.tar')
    image = Parts(tmp_path, base=base, below=LOWER.diff_ids)
    build(*image.flags, '--verify')
    expected = image.output.read_bytes()
    flags = [*image.without('base', 'legacy_base'), '--base=./base.tar', '--verify']
    build(*flags, f'--legacy_base={tmp_path}/link.tar', cwd=tmp_path)
    assert image.output.read_bytes() == expected
    make_tar(base, {n: d for n, d in FILES.items() if n != 'two.tar'})
    line = fails(*flags, f'--legacy_base={tmp_path}/link.tar', cwd=tmp_path)
    assert line == "'./base.tar' lacks its layer 'two.tar': give a whole image"


# The content of the base's layers, which --verify reads.


def with_a_flipped_bit(layer):
    data = bytearray(layer)
    data[600] ^= 1  # in the content of the first file
    return bytes(data)


@pytest.mark.parametrize('pack', [bytes, gzip.compress])
@pytest.mark.parametrize('pack_layer', [bytes, gzip.compress])
@pytest.mark.parametrize('index', [0, 1])
def test_verify_reports_a_damaged_layer_of_the_base(tmp_path, index, pack_layer, pack):
    """Docker refuses such an image, or uses the layer that it already has."""
    name = LOWER.layer_names[index]
    files = dict(FILES)
    for other in LOWER.layer_names:
        files[other] = pack_layer(FILES[other])
    files[name] = pack_layer(with_a_flipped_bit(FILES[name]))
    base = make_tar(tmp_path / 'base.tar', files)
    base.write_bytes(pack(base.read_bytes()))
    image = Parts(tmp_path, base=base, below=LOWER.diff_ids)
    found = f'sha256:{sha256(with_a_flipped_bit(FILES[name]))}'
    text = f'has the diff ID {found}, not {LOWER.diff_ids[index]}: replace the base'
    assert problems(*image.flags) == [f"layer '{name}' of '{base}' {text}"]
    assert not image.output.exists()
    build(*image.flags)


def test_layer_listed_twice_with_two_diff_ids_is_reported(tmp_path):
    layer = LOWER.layers['one.tar']
    diff_ids = [f'sha256:{sha256(layer)}', f'sha256:{"a" * 64}']
    entry = {'Config': 'c.json', 'Layers': ['l.tar', 'l.tar']}
    files = {'manifest.json': json.dumps([entry]).encode(), 'l.tar': layer}
    files['c.json'] = json.dumps(configuration(diff_ids)).encode()
    base = make_tar(tmp_path / 'base.tar', files)
    image = Parts(tmp_path, base=base, below=diff_ids)
    text = f'is listed as {diff_ids[0]} and as {diff_ids[1]}: replace the base'
    assert problems(*image.flags) == [f"--base: layer 'l.tar' of '{base}' {text}"]


def test_missing_legacy_base_is_the_only_problem(tmp_path):
    base = write_base(tmp_path / 'base.tar', LOWER)
    image = Parts(tmp_path, base=base, below=LOWER.diff_ids)
    (line,) = problems(*image.without('legacy_base'), '--legacy_base=missing')
    assert line.startswith("'missing': No such file or directory: ")


@pytest.mark.parametrize('pack', [bytes, gzip.compress])
def test_sparse_configuration_of_a_base_that_is_not_merged(tmp_path, pack):
    """Stored with more bytes than its content has."""
    config = json.dumps(configuration(LOWER.diff_ids)).encode()
    records = [b'GNU.sparse.major=1', b'GNU.sparse.minor=0', b'GNU.sparse.name=c.json']
    records.append(b'GNU.sparse.realsize=%d' % len(config))
    stored = b'1\n0\n%d\n' % len(config)
    stored = stored.ljust(512, b'\0') + config + bytes(5 << 20)
    entry = {'Config': 'c.json', 'Layers': LOWER.layer_names}
    base = write_tar(
        tmp_path / 'base.tar',
        pax(*records) + member('x', stored),
        *(member(name, data) for name, data in LOWER.layers.items()),
        member('manifest.json', json.dumps([entry]).encode()),
    )
    base.write_bytes(pack(base.read_bytes()))
    image = Parts(tmp_path, base=base, below=LOWER.diff_ids)
    if pack is bytes:
        build(*image.without('legacy_base'))
        return
    line = fails(*image.without('legacy_base'))
    text = f'has over {4 << 20} bytes, or is an archive: replace it'
    assert line == f"'{base}': 'c.json' {text}"
    build(*image.flags)


def test_verify_reads_the_layers_of_the_legacy_base(tmp_path):
    base = write_base(tmp_path / 'base.tar', LOWER)
    other = make_tar(tmp_path / 'other.tar', {**LOWER.layers, 'one.tar': LOWER.layers['two.tar']})
    image = Parts(tmp_path, base=base, below=LOWER.diff_ids)
    flags = [*image.without('legacy_base'), f'--legacy_base={other}']
    text = f'has the diff ID {LOWER.diff_ids[1]}, not {LOWER.diff_ids[0]}: replace the base'
    assert problems(*flags) == [f"layer 'one.tar' of '{other}' {text}"]
    make_tar(other, LOWER.layers)
    build(*flags, '--verify')


def test_layer_of_the_base_that_is_not_an_archive_is_reported(tmp_path):
    layer = b'no archive'
    entry = {'Config': 'c.json', 'Layers': ['l.tar']}
    config = json.dumps(configuration([f'sha256:{sha256(layer)}'])).encode()
    files = {'manifest.json': json.dumps([entry]).encode(), 'c.json': config, 'l.tar': layer}
    base = make_tar(tmp_path / 'base.tar', files)
    image = Parts(tmp_path, base=base, below=[f'sha256:{sha256(layer)}'])
    text = 'is cut off or not a tar archive: replace it'
    assert problems(*image.flags) == [f"layer 'l.tar' of '{base}' {text}"]


@pytest.mark.skipif(python_reads_zstd(), reason='this Python reads zstd')
def test_zstd_layer_whose_name_is_not_its_digest_is_reported(tmp_path):
    """Where zstd is not read, only the digest can be checked; a warning says so."""
    whole = DATA / 'bases' / 'docker-29-zstd.tar'
    data = bytearray(whole.read_bytes())
    layer = manifest(whole)['Layers'][0]
    place = data.index(content(whole, layer))
    data[place + 40] ^= 1
    base = tmp_path / 'base.tar'
    base.write_bytes(data)
    image = on_fixture(tmp_path, 'docker-29-zstd.tar')
    image.base = base
    unread = 'is zstd, which this Python cannot read: its content was not checked'
    unread += ': install backports.zstd, or use Python 3.14'
    warnings = [f"layer '{name}' of '{base}' {unread}" for name in manifest(base)['Layers']]
    (line,) = problems(*image.flags, warnings=warnings)
    digest = sha256(content(base, layer))
    assert line == f"layer '{layer}' of '{base}' has the digest {digest}: replace the base"


@pytest.mark.parametrize(('pack', 'name'), [(bz2.compress, 'bzip2'), (lzma.compress, 'xz')])
def test_layer_in_a_rare_compression_gives_a_warning(tmp_path, pack, name):
    """In the image and in its base, with and without --verify."""
    files = {**FILES, 'two.tar': pack(FILES['two.tar'])}
    base = make_tar(tmp_path / 'base.tar', files)
    image = Parts(tmp_path, base=base, below=LOWER.diff_ids)
    layer = image.layers[0][1]
    layer.write_bytes(pack(layer.read_bytes()))
    text = f'is compressed by {name}, which containerd and Docker 29 do not read: use gzip'
    expected = [f"'{layer}' {text}", f"layer 'two.tar' of '{base}' {text}"]
    assert warns(*image.flags) == expected
    assert problems(*image.flags, warnings=expected) == []
    base.write_bytes(gzip.compress(base.read_bytes()))
    assert warns(*image.without('legacy_base')) == expected


# How often a base is read.


@pytest.mark.parametrize(('flags', 'times'), [([], 1), (['--verify'], 1)])
def test_compressed_base_is_inflated_once(tmp_path, flags, times):
    layer = tar_of(member('noise', os.urandom(LARGE)))
    entry = {'Config': 'c.json', 'Layers': ['l.tar']}
    diff_ids = [f'sha256:{sha256(layer)}']
    files = {
        'l.tar': layer,
        'c.json': json.dumps(configuration(diff_ids)).encode(),
        'manifest.json': json.dumps([entry]).encode(),
    }
    base = make_tar(tmp_path / 'base.tar', files)
    base.write_bytes(gzip.compress(base.read_bytes(), 1))
    image = Parts(tmp_path, base=base, below=diff_ids)
    before = set(tmp_path.iterdir())
    done, _, read = measure(*image.flags, *flags)
    assert done.returncode == 0, done.stderr
    assert content(image.output, 'l.tar') == layer
    assert set(tmp_path.iterdir()) == before | {image.output}
    copied = LARGE  # from the inflated archive to the output, by the kernel or by the tool
    checked = LARGE if flags else 0
    assert read < times * LARGE * 17 // 16 + copied + checked + LARGE // 4


def compressed_base_with(path, files):
    """Writes a compressed base with more files."""
    base = make_tar(path, {**FILES, **files})
    base.write_bytes(gzip.compress(base.read_bytes(), 1))
    return base


FOUR_MIB = 4 << 20


@pytest.mark.slow
def test_small_layers_of_a_compressed_base_take_no_memory(tmp_path):
    """For the configuration alone, small files are kept in memory, and layers are not."""
    layer = tar_of(member('zeros', bytes(FOUR_MIB - 2048)))
    files = {f'{number}.tar': layer for number in range(30)}
    files |= {f'{number}.tar.gz': gzip.compress(os.urandom(4096)) for number in range(1000)}
    base = compressed_base_with(tmp_path / 'base.tar', files)
    done, peak, _ = measure(f'--base={base}', '--output=/dev/null', program='create_image_config')
    assert (done.returncode, done.stderr) == (0, b'')
    assert peak < 64 << 20


def test_small_files_of_a_compressed_base_are_limited(tmp_path):
    files = {f'{number}.json': bytes(FOUR_MIB) for number in range(9)}
    base = compressed_base_with(tmp_path / 'base.tar', files)
    line = fails(f'--base={base}', '--output=-', program='create_image_config')
    assert line == f"'{base}': it has small files of over 32 MiB in all: decompress it first"
    plain = tmp_path / 'plain.tar'
    plain.write_bytes(gzip.decompress(base.read_bytes()))
    build(f'--base={plain}', '--output=-', program='create_image_config')


@pytest.mark.parametrize('base', MODERN)
def test_base_that_is_not_merged(tmp_path, base):
    """Only its layer names, Parent and diff IDs are used; nothing is copied from it."""
    image = on_fixture(tmp_path, base)
    build(*image.without('legacy_base'))
    assert len(manifest(image.output)['Layers']) == 3
    assert len(names(image.output)) == 4


# The output.


@pytest.mark.parametrize('flag', ['id', 'layer', 'legacy_id'])
@pytest.mark.parametrize('output', ['output', 'digest_file'])
def test_output_must_not_be_the_file_of_an_identifier(parts, flag, output):
    identifier, layer = parts.layers[0]
    text = f'{parts.id if flag == "id" else identifier}\n'
    (parts.directory / 'identifier').write_text(text)
    value = f'@identifier={layer}' if flag == 'layer' else '@identifier'
    flags = [*parts.without('output', flag), f'--output={parts.output}', f'--{flag}={value}']
    line = fails(*flags, f'--{output}=./identifier', cwd=parts.directory)
    assert line == f"--{output}: './identifier' is also the file of --{flag}: give another path"
    assert (parts.directory / 'identifier').read_text() == text


@pytest.mark.parametrize('flag', ['config', 'layer', 'metadata'])
def test_output_must_not_be_an_input(parts, flag):
    (parts.directory / 'metadata.json').write_text('{}')
    flags = [*parts.without('output'), f'--legacy_id={"c" * 64}', '--metadata=metadata.json']
    paths = {
        'config': parts.config,
        'layer': parts.layers[0][1],
        'metadata': parts.directory / 'metadata.json',
    }
    path = paths[flag]
    before = path.read_bytes()
    (parts.directory / 'link').symlink_to(path)
    for output in (path, f'./{path.name}', 'link'):
        line = fails(*flags, f'--output={output}', cwd=parts.directory)
        assert line == f"--output: '{output}' is also the file of --{flag}: give another path"
    assert path.read_bytes() == before


@pytest.mark.parametrize('is_same', [True, False])
def test_compressed_base_with_two_layers_of_one_name_is_inflated_once(tmp_path, is_same):
    """The two layers are not kept, but compared by their SHA-256."""
    noise = random.Random(1).randbytes(LARGE + (5 << 20))
    layer = tar_of(member('noise', noise))
    other = layer if is_same else tar_of(member('other', noise))
    config = json.dumps(configuration([f'sha256:{sha256(layer)}'])).encode()
    entry = {'Config': 'config.json', 'Layers': ['layer.tar']}
    data = tar_of(
        member('config.json', config),
        member('layer.tar', layer),
        member('manifest.json', json.dumps([entry]).encode()),
        member('layer.tar', other),
    )
    base = tmp_path / 'base.tar.gz'
    base.write_bytes(gzip.compress(data, 1))
    image = Parts(tmp_path, base=base, below=[f'sha256:{sha256(layer)}'])
    done, _, read = measure(*image.without('legacy_base'))
    assert read < 1.3 * base.stat().st_size
    if is_same:
        assert done.returncode == 0
        assert manifest(image.output)['Layers'][0] == 'layer.tar'
    else:
        assert done.returncode == 1
        line = f"{str(base)!r}: 'layer.tar' occurs twice with different content: replace it"
        assert done.stderr.decode() == f'create_image: {line}\n'


@pytest.mark.parametrize('program', ['create_image', 'create_image_config', 'join_layers'])
def test_output_must_not_be_a_hard_link_of_an_input(parts, program):
    """The check also covers the same file in another mount, or on a case-insensitive system."""
    _, layer = parts.layers[0]
    base = FIXTURES / 'docker-20.10.tar'
    inputs = {
        'create_image': (layer, '--layer', parts.without('output')),
        'create_image_config': (layer, '--layer', [f'--layer={"a" * 64}={layer}']),
        'join_layers': (parts.directory / 'base.tar', '--layer', ['--layer=base.tar']),
    }
    shutil.copy(base, parts.directory / 'base.tar')
    path, flag, flags = inputs[program]
    before = path.read_bytes()
    (parts.directory / 'other').hardlink_to(path)
    line = fails(*flags, '--output=other', program=program, cwd=parts.directory)
    assert line == f"--output: 'other' is also the file of {flag}: give another path"
    assert path.read_bytes() == before


@pytest.mark.parametrize('output', ['-', '/dev/stdout'])
@pytest.mark.parametrize('flag', ['base', 'legacy_base'])
def test_stdout_must_not_be_the_base(tmp_path, flag, output):
    """The base would be overwritten while the tool reads it."""
    base = write_base(tmp_path / 'base.tar', LOWER)
    before = base.read_bytes()
    image = Parts(tmp_path, base=base, below=LOWER.diff_ids)
    flags = [*image.without('output', 'base', 'legacy_base'), f'--{flag}={base}']
    with open(base, 'r+b') as stdout:
        streams = {'capture_output': False, 'stdout': stdout, 'stderr': subprocess.PIPE}
        done = run(*flags, f'--output={output}', **streams)
    assert done.returncode == 1
    line = f'--output: {output!r} is also the file of --{flag}: give another path'
    assert done.stderr.decode() == f'create_image: {line}\n'
    assert base.read_bytes() == before


def test_output_can_be_the_base(tmp_path):
    base = write_base(tmp_path / 'base.tar', LOWER)
    image = Parts(tmp_path, base=base, below=LOWER.diff_ids)
    build(*image.flags)
    build(*image.without('output'), f'--output={base}')
    assert base.read_bytes() == image.output.read_bytes()


def test_layer_and_configuration_behind_links(tmp_path):
    """The targets of the links are used."""
    entry = {'Config': 'config-link', 'Layers': ['layers/link']}
    layer = LOWER.layers['one.tar']
    config = json.dumps(configuration([f'sha256:{sha256(layer)}'])).encode()
    base = write_tar(
        tmp_path / 'base.tar',
        member('manifest.json', json.dumps([entry]).encode()),
        member('config-link', kind=LINK, link='real.json'),
        member('real.json', config),
        member('layers/link', kind=LINK, link='../layer.tar'),
        member('layer.tar', layer),
    )
    image = Parts(tmp_path, base=base, below=[f'sha256:{sha256(layer)}'])
    build(*image.flags, '--verify')
