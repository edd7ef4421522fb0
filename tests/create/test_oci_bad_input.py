# SPDX-License-Identifier: Apache-2.0
"""--oci: images that cannot be written as an OCI layout (section 12)."""

import bz2
import json
import lzma
import os

import pytest

from support.images import BEFORE_1_10, BaseImage, configuration
from support.project import DATA
from support.running import build, fails, run
from support.tars import member, write_tar

# Problems that make a layout impossible: errors without --verify, too.


def lacks_config(image):
    base = BaseImage(['one'])
    files = [member('one', base.layers['one'])]
    entries = json.dumps([base.entry]).encode()
    image.base = write_tar(image.directory / 'b.tar', *files, member('manifest.json', entries))


def base_with(**changes):
    """Returns a change that adds a base whose configuration has other diff IDs."""

    def change(image):
        base = BaseImage(['one', 'two'], config_name='c.json')
        config = json.loads(base.config)
        config['rootfs'].update(changes)
        parts = [member('c.json', json.dumps(config).encode())]
        parts += [member(name, data) for name, data in base.layers.items()]
        parts.append(member('manifest.json', json.dumps([base.entry]).encode()))
        image.base = write_tar(image.directory / 'b.tar', *parts)

    return change


def compressed_layer(compress):
    def change(image):
        ((_, path),) = image.layers
        path.write_bytes(compress(path.read_bytes()))

    return change


def base_with_compressed_layer(image):
    base = BaseImage(['one'])
    files = {**base.files, 'one': bz2.compress(base.layers['one'])}
    parts = [member(name, data) for name, data in files.items()]
    entries = json.dumps([base.entry]).encode()
    image.base = write_tar(image.directory / 'b.tar', *parts, member('manifest.json', entries))
    image.configure(configuration([*base.diff_ids, *image.diff_ids]))


def not_an_object(image):
    image.configure(b'[]')


def not_json(image):
    image.configure(b'{')


def other_config(image):
    image.config.write_text('{}')


def identifier(image):
    image.id = 'abc'


def layer_identifier(image):
    image.layers = [('abc', image.layers[0][1])]


def before_1_10(image):
    image.base = DATA / 'bases' / BEFORE_1_10


def nothing(image):
    pass


BAD = [
    (identifier, [], "--id: 'abc' is not 64 hex digits"),
    (layer_identifier, [], "'abc' is not 64 hex digits"),
    (not_an_object, [], 'is not a JSON object'),
    (not_json, [], 'is not JSON'),
    (other_config, [], '--id: the SHA-256 of'),
    (before_1_10, [], 'was written by Docker 1.9 or older: load it'),
    (lacks_config, [], 'lacks its configuration'),
    (base_with(diff_ids=['sha256:' + 'a' * 64]), [], 'has 2 layers and 1 diff IDs'),
    (base_with(diff_ids='x'), [], 'rootfs.diff_ids must be a list of strings'),
    (base_with(diff_ids=['x', 'y']), [], "a diff ID that is no SHA-256, 'x'"),
    (nothing, ['--tag=Upper:1'], "--tag: 'Upper:1'"),
    (nothing, ['--tag=no-tag'], "--tag: 'no-tag'"),
    (compressed_layer(bz2.compress), [], 'is compressed by bzip2'),
    (compressed_layer(lzma.compress), [], 'is compressed by xz'),
    (base_with_compressed_layer, [], 'is compressed by bzip2'),
    (nothing, ['--legacy_id=v1', '--metadata=/dev/null'], '--oci: no OCI layout has a v1 layer'),
]


@pytest.mark.parametrize(('change', 'flags', 'message'), BAD)
def test_bad_input_is_an_error(parts, change, flags, message):
    change(parts)
    parts.output.write_bytes(b'old')
    digest_file = parts.directory / 'digest'
    before = sorted(os.listdir(parts.directory))
    error = fails(*parts.flags, *flags, '--oci', f'--digest_file={digest_file}')
    assert message in error
    assert parts.output.read_bytes() == b'old'
    assert sorted(os.listdir(parts.directory)) == before


@pytest.mark.parametrize(('change', 'flags', 'message'), BAD[:-1])
def test_bad_input_is_reported_with_verify(parts, change, flags, message):
    change(parts)
    done = run(*parts.flags, *flags, '--oci', '--verify')
    assert done.returncode == 1
    assert message in done.stderr.decode()
    assert not parts.output.exists()


@pytest.mark.parametrize(('change', 'flags', 'message'), BAD[:-1])
def test_bad_input_is_no_error_without_oci(parts, change, flags, message):
    change(parts)
    build(*parts.flags, *flags, warnings=True)


BAD_ANNOTATIONS = [
    (['--annotations=a'], "--annotations: 'a' is not NAME=VALUE"),
    (['--annotations==x'], "--annotations: '=x' is not NAME=VALUE"),
    (['--annotations="a=1'], 'has a misplaced quote'),
    ([b'--annotations=a=\xff'], 'is not UTF-8'),
    (
        ['--annotations=io.containerd.image.name=x'],
        "--annotations: 'io.containerd.image.name' is made of --tag: leave it out",
    ),
    (['--annotations=a=b,org.opencontainers.image.ref.name=x'], 'is made of --tag: leave it out'),
]


@pytest.mark.parametrize(('flags', 'message'), BAD_ANNOTATIONS)
def test_bad_annotations_are_an_error(parts, flags, message):
    assert message in fails(*parts.flags, *flags, '--oci')
    assert not parts.output.exists()


def test_annotations_require_oci(parts):
    error = fails(*parts.flags, '--annotations=a=b')
    assert error == '--annotations: only an OCI layout has them: give --oci'


def test_verify_reports_all_problems_of_a_layout(parts):
    compressed_layer(bz2.compress)(parts)
    parts.id = 'abc'
    done = run(*parts.flags, '--oci', '--verify', '--tag=no-tag')
    lines = done.stderr.decode().splitlines()
    assert [any(text in line for line in lines) for text in ('hex', 'bzip2', 'no-tag')] == [
        True
    ] * 3
    assert len(lines) == len(set(lines))
