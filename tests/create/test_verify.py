# SPDX-License-Identifier: Apache-2.0
"""--verify: reports every problem, one per line, and nothing about good parts (section 7)."""

import bz2
import gzip
import lzma
import os

import pytest

from support.images import BaseImage, Parts, base_diff_ids, configuration, on_fixture, write_base
from support.measuring import LARGE, measure
from support.project import DATA
from support.running import build, problems, warns
from support.tars import HARD, LINK, make_tar, manifest, member, sha256, write_tar

PACKERS = [gzip.compress, bz2.compress, lzma.compress]
OTHER_ID = 'a' * 64
CHECK_PATH = 'check the path, its permissions and limits'
CORRECT = 'correct the ID or the file'


def test_verify_does_not_change_the_archive(tmp_path):
    image = Parts(tmp_path, [{'a': b'1'}, {'b': b'2'}])
    build(*image.flags, '--tag=a:1')
    expected = image.output.read_bytes()
    image.output.unlink()
    assert problems(*image.flags, '--tag=a:1') == []
    assert image.output.read_bytes() == expected


def test_digests_are_not_checked_without_verify(parts):
    parts.config.write_bytes(b'not JSON')
    flags = [f'--id={OTHER_ID}', f'--layer={"b" * 64}={DATA}/README.md']
    build(*parts.without('id'), *flags, warnings=True)
    assert parts.output.exists()


# Digests.


def test_wrong_digest_of_the_configuration_is_reported(parts):
    assert problems(*parts.without('id'), f'--id={OTHER_ID}') == [
        f"--id: the SHA-256 of '{parts.config}' is {parts.id}, not {OTHER_ID}: {CORRECT}"
    ]
    assert not parts.output.exists()


def test_wrong_diff_id_of_a_layer_is_reported(parts):
    layer = make_tar(parts.directory / 'layer0.tar', {'another': b'layer'})
    found = sha256(layer.read_bytes())
    assert problems(*parts.flags) == [
        f"--layer: the diff ID of '{layer}' is {found}, not {parts.layers[0][0]}: {CORRECT}"
    ]
    assert not parts.output.exists()


def test_diff_id_of_a_compressed_layer_is_of_its_content(parts):
    layer = parts.layers[0][1]
    layer.write_bytes(gzip.compress(layer.read_bytes()))
    assert problems(*parts.flags) == []


def compression_warnings(layer):
    """Returns the warning for a layer in a compression that not all clients read, if any."""
    compressions = {b'BZ': 'bzip2', b'\xfd7': 'xz'}
    name = compressions.get(layer.read_bytes()[:2])
    text = f'is compressed by {name}, which containerd and Docker 29 do not read: use gzip'
    return [f"'{layer}' {text}"] if name else []


@pytest.mark.parametrize('pack', PACKERS)
def test_digest_of_a_compressed_file_is_no_diff_id(parts, pack):
    identifier, layer = parts.layers[0]
    layer.write_bytes(pack(layer.read_bytes()))
    other = sha256(layer.read_bytes())
    flags = [*parts.without('layer'), f'--layer={other}={layer}']
    lines = problems(*flags, warnings=compression_warnings(layer))
    assert lines == [f"--layer: the diff ID of '{layer}' is {identifier}, not {other}: {CORRECT}"]


@pytest.mark.parametrize('pack', PACKERS)
def test_cut_off_compressed_layer_is_reported(parts, pack):
    layer = parts.layers[0][1]
    layer.write_bytes(pack(layer.read_bytes())[:-20])
    (line,) = problems(*parts.flags, warnings=compression_warnings(layer))
    assert line.startswith(f"'{layer}' is cut off ")


def test_layer_given_twice_is_read_once(tmp_path):
    """Once in all, for the check and the copy."""
    large = {'srv/large': os.urandom(LARGE)}
    once = Parts(tmp_path, [large])
    _, _, read_once = measure(*once.flags, '--verify')
    twice = Parts(tmp_path, [large, large])
    twice.layers[1] = twice.layers[0]
    done, _, read_twice = measure(*twice.flags, '--verify')
    assert done.returncode == 0, done.stderr
    assert read_once > LARGE
    assert read_twice < read_once + LARGE // 4


def test_two_archives_in_one_layer_give_a_warning(parts):
    """Joined by `cat`: clients lose the second one when they unpack the layer."""
    layer = parts.layers[0][1]
    layer.write_bytes(layer.read_bytes() * 2)
    parts.layers = [(sha256(layer.read_bytes()), layer)]
    parts.configure(configuration(parts.diff_ids))
    text = 'data after the end of the archive are ignored: remove them'
    assert problems(*parts.flags, warnings=[f"'{layer}': {text}"]) == []


# The configuration.

# Files that are not a configuration, and the error.
NO_CONFIGURATION = {
    'cut off': (b'{', 'is not JSON: correct it'),
    'a list': (b'[]', 'is not a JSON object: correct it'),
    'null': (b'null', 'is not a JSON object: correct it'),
    'lists in lists': (b'[' * 100000, 'is nested over 100 levels deep: correct it'),
    'no UTF-8': (b'\xff', 'is not in UTF-8: save it as UTF-8'),
    'a byte order mark': (b'\xef\xbb\xbf{}', 'begins with a byte order mark'),
    'UTF-16': ('{}'.encode('utf-16'), 'begins with a byte order mark'),
    'UTF-16 without a mark': ('{}'.encode('utf-16-le'), 'is not JSON: correct it'),
    'NaN': (b'{"rootfs": {"diff_ids": []}, "x": NaN}', 'is not JSON: correct it'),
    'a key twice': (
        b'{"config": {"Cmd": 5}, "config": {}}',
        "has the key 'config' twice: leave one out",
    ),
    '-Infinity': (b'{"rootfs": {"diff_ids": []}, "x": -Infinity}', 'is not JSON: correct it'),
}


@pytest.mark.parametrize('case', NO_CONFIGURATION)
def test_invalid_configuration_is_reported(parts, case):
    data, text = NO_CONFIGURATION[case]
    parts.configure(data)
    (line,) = problems(*parts.flags)
    assert line.startswith(f"--config: '{parts.config}' {text}")
    assert warns(*parts.flags) == [line]


@pytest.mark.parametrize('spelling', ['RootFS', 'ROOTFS'])
def test_key_in_two_spellings_is_reported(parts, spelling):
    """Go's decoder ignores case, and the last key wins."""
    wrong = {'type': 'layers', 'diff_ids': [f'sha256:{OTHER_ID}']}
    parts.configure({**configuration(parts.diff_ids), spelling: wrong})
    text = f'{spelling} must be left out: the key occurs in another spelling'
    assert f"--config: '{parts.config}': {text}: correct it" in problems(*parts.flags)


def test_key_in_another_case_is_accepted(parts):
    config = configuration(parts.diff_ids)
    config['RootFS'] = config.pop('rootfs')
    parts.configure(config)
    build(*parts.flags, '--verify')
    config['RootFS'] = {'type': 'layers', 'diff_ids': []}
    parts.configure(config)
    assert wrong_number(parts, 0, 1)[0] in problems(*parts.flags)


@pytest.mark.parametrize('order', [1, -1])
def test_a_null_in_another_spelling_is_reported(parts, order):
    """Go's decoder leaves some values as they are, and sets others to nil."""
    config = configuration(parts.diff_ids)
    items = [*config.items(), ('RootFS', None)]
    parts.configure(dict(items[::order]))
    spelling = 'RootFS' if order == 1 else 'rootfs'
    text = f'{spelling} must be left out: the key occurs in another spelling'
    assert f"--config: '{parts.config}': {text}: correct it" in problems(*parts.flags)


def wrong_number(image, diff_ids, layers):
    text = f'rootfs.diff_ids has {diff_ids} entries for {layers} layers'
    return [f"--config: '{image.config}': {text}: name the base's, then those of --layer"]


# The diff IDs of a configuration, made of the right ones, and the index of the wrong one.
WRONG_DIFF_IDS = {
    'in wrong order': (lambda first, second: [second, first], 0),
    'another': (lambda first, second: [f'sha256:{OTHER_ID}', second], 0),
    'without sha256:': (lambda first, second: [first, second.partition(':')[2]], 1),
    'with sha512:': (lambda first, second: [first, second.replace('256', '512')], 1),
}


@pytest.mark.parametrize('case', WRONG_DIFF_IDS)
def test_wrong_diff_ids_are_reported(tmp_path, case):
    change, index = WRONG_DIFF_IDS[case]
    image = Parts(tmp_path, [{'a': b'1'}, {'b': b'2'}])
    diff_ids = change(*image.diff_ids)
    image.configure(configuration(diff_ids))
    there = f'rootfs.diff_ids[{index}] is {diff_ids[index]!r}'
    text = f'{there}, but --layer has {image.layers[index][0]}'
    line = f"--config: '{image.config}': {text}: name the base's, then those of --layer"
    assert problems(*image.flags) == [line]
    assert not image.output.exists()
    assert warns(*image.flags) == [line]


@pytest.mark.parametrize('count', [0, 1, 3])
def test_wrong_number_of_diff_ids_is_reported(tmp_path, count):
    image = Parts(tmp_path, [{'a': b'1'}, {'b': b'2'}])
    image.configure(configuration([*image.diff_ids, *image.diff_ids][:count]))
    assert problems(*image.flags) == wrong_number(image, count, 2)
    assert warns(*image.flags) == wrong_number(image, count, 2)


@pytest.mark.parametrize('count', [0, 1, 3])
def test_wrong_number_of_diff_ids_on_a_base_is_reported(tmp_path, count):
    """The image adds no layers of its own."""
    image = on_fixture(tmp_path, 'crane-0.21.tar')
    image.configure(configuration([f'sha256:{OTHER_ID}'] * count))
    assert problems(*image.without('layer')) == wrong_number(image, count, 2)


@pytest.mark.parametrize('index', [0, 1])
def test_diff_ids_of_another_base_are_reported(tmp_path, index):
    """They are as many as the base's, as after a rebuild of the base."""
    image = on_fixture(tmp_path, 'crane-0.21.tar')
    diff_ids = [*base_diff_ids(), *image.diff_ids]
    expected = diff_ids[index]
    diff_ids[index] = f'sha256:{OTHER_ID}'
    image.configure(configuration(diff_ids))
    text = f"rootfs.diff_ids[{index}] is 'sha256:{OTHER_ID}'"
    text = f'{text}, but {str(image.base)!r} has {expected}'
    line = f"--config: '{image.config}': {text}: derive the configuration from this base"
    assert problems(*image.flags) == [line]
    assert warns(*image.flags) == [line]


@pytest.mark.parametrize('layers', [['one'], ['one', 'two']])
def test_configuration_must_fit_the_last_image_of_the_base(tmp_path, layers):
    """Whether or not the other image has as many layers as the last one."""
    other, last = BaseImage(layers), BaseImage(['three'])
    base = write_base(tmp_path / 'base.tar', other, last)
    image = Parts(tmp_path, base=base, below=other.diff_ids)
    (line,) = problems(*image.flags)
    assert line.startswith(f"--config: '{image.config}': rootfs.diff_ids")
    assert line.endswith('(of its 2 images the last one counts)')
    image = Parts(tmp_path, base=base, below=last.diff_ids)
    assert problems(*image.flags) == []


def test_image_without_layers_on_a_base_is_accepted(tmp_path):
    image = on_fixture(tmp_path, 'crane-0.21.tar')
    image.configure(configuration(base_diff_ids()))
    assert problems(*image.without('layer')) == []


@pytest.mark.parametrize('diff_ids', [[], None])
def test_image_without_any_layer_is_accepted(parts, diff_ids):
    """Docker writes null for an empty list."""
    rootfs = {'type': 'layers', 'diff_ids': diff_ids}
    parts.configure({**configuration([]), 'rootfs': rootfs})
    assert problems(*parts.without('layer')) == []


def test_diff_id_without_a_layer_is_reported(parts):
    parts.configure(configuration([f'sha256:{OTHER_ID}']))
    assert problems(*parts.without('layer')) == wrong_number(parts, 1, 0)


# Layers of the base that the archive lacks.


def lacking(*layers):
    listed = ', '.join(repr(layer) for layer in layers)
    return [f'--base: the output lacks {listed}: give a whole --legacy_base']


def test_legacy_base_completes_a_partial_image(tmp_path):
    image = on_fixture(tmp_path, 'podman-4.3.tar')
    assert problems(*image.without('legacy_base')) == lacking(*manifest(image.base)['Layers'])
    assert problems(*image.flags) == []


# The form of the base's layer in the other archive: type, link target, whether the target is a
# layer. The other archive also has `file` and `link2`.
LAYERS_AS_LINKS = {
    'to a file': (LINK, '../file', True),
    'to nothing': (LINK, '../none', False),
    'to itself': (LINK, 'layer', False),
    'out of the archive': (LINK, '../..', False),
    'a hard link': (HARD, 'file', True),
}


@pytest.mark.parametrize('case', LAYERS_AS_LINKS)
def test_layer_of_the_base_that_is_a_link_in_the_legacy_base(tmp_path, case):
    """Docker saves a layer shared by two images as a link."""
    kind, target, leads = LAYERS_AS_LINKS[case]
    lower = BaseImage(['link/layer'])
    base = write_base(tmp_path / 'base.tar', lower)
    other = write_tar(
        tmp_path / 'other.tar',
        member('file', lower.layers['link/layer']),
        member('link2', kind=LINK, link='file'),
        member('link/layer', kind=kind, link=target),
    )
    image = Parts(tmp_path, below=lower.diff_ids)
    flags = [*image.flags, f'--base={base}', f'--legacy_base={other}']
    assert problems(*flags) == ([] if leads else lacking('link/layer'))
    if leads:
        assert manifest(image.output)['Layers'][0] == 'file'


def test_first_of_two_members_of_one_name_is_used(tmp_path):
    lower = BaseImage(['layer'])
    base = write_base(tmp_path / 'base.tar', lower)
    link, file = member('layer', kind=LINK, link='none'), member('layer', lower.layers['layer'])
    other = write_tar(tmp_path / 'other.tar', link, file)
    image = Parts(tmp_path, below=lower.diff_ids)
    lines = problems(*image.flags, f'--base={base}', f'--legacy_base={other}')
    assert lines == lacking('layer')


# Several problems at once.


def test_all_problems_are_reported_at_once(parts):
    base = f'--base={DATA}/bases/docker-20.10.tar'
    parts.output.write_bytes(b'previous')
    before = set(parts.directory.iterdir())
    parts.layers = [('b' * 64, parts.layers[0][1])]
    flags = [f'--id={OTHER_ID}', base, '--tag=A:1', '--tag=a:1', '--tag=b']
    lines = problems(*parts.without('id'), *flags)
    starts = ['--id', '--layer', '--base', '--config', '--tag', '--tag']
    assert [line.partition(':')[0] for line in lines] == starts
    assert parts.output.read_bytes() == b'previous'
    assert set(parts.directory.iterdir()) == before


def test_unreadable_parts_do_not_hide_other_problems(parts):
    """Each unreadable part is reported once, however often it is used."""
    directory, layer = parts.directory, parts.layers[0][1]
    whole = DATA / 'bases/docker-20.10.tar'
    base = directory / 'base.tar'
    base.write_bytes(whole.read_bytes()[:9000])
    cut = directory / 'cut.tar'
    cut.write_bytes(gzip.compress(layer.read_bytes())[:-10])
    os.mkfifo(directory / 'fifo')
    more_layers = [f'{"1" * 64}=missing', f'{"2" * 64}={cut}', f'{"3" * 64}={directory}/fifo']
    flags = [f'--base={base}', f'--legacy_base={base}', f'--id={OTHER_ID}', '--tag=A:1']
    flags += [f'--layer={value}' for value in more_layers]
    lines = problems(*parts.without('id'), *flags)
    assert lines == [
        f"'missing': No such file or directory: {CHECK_PATH}",
        f"'{directory}/fifo': Not a regular file: write it to a file first",
        f"'{base}' is cut off in or after member '{manifest(whole)['Layers'][-1]}': replace it",
        f"--id: the SHA-256 of '{parts.config}' is {parts.id}, not {OTHER_ID}: {CORRECT}",
        f"'{cut}' is cut off in or after member 'srv/new': replace it",
        *wrong_number(parts, 1, 4),
        "--tag: 'A:1': give a lower-case [registry/]repository:tag",
    ]


def test_missing_configuration_is_reported_once(parts):
    parts.config.unlink()
    missing = f"'{parts.config}': No such file or directory: {CHECK_PATH}"
    assert problems(*parts.flags) == [missing]


def test_diff_ids_of_own_layers_are_checked_if_the_base_is_unreadable(parts):
    missing = f"'missing': No such file or directory: {CHECK_PATH}"
    parts.configure(configuration([f'sha256:{OTHER_ID}', *parts.diff_ids]))
    assert problems(*parts.flags, '--base=missing') == [missing]
    parts.configure(configuration([*parts.diff_ids, f'sha256:{OTHER_ID}']))
    lines = problems(*parts.flags, '--base=missing')
    assert lines[0] == missing
    (line,) = lines[1:]
    assert line.startswith(f"--config: '{parts.config}': rootfs.diff_ids[1] is")
