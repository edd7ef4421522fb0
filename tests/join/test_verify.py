# SPDX-License-Identifier: Apache-2.0
"""join_layers: checks of every image, and checks with --verify (sections 7 and 11)."""

import bz2
import gzip
import json

import pytest

from support.images import BASES, configuration, write_base
from support.joins import PROGRAM, flags_for, image_of, join
from support.links import (
    LINKS,
    NOT_STRAIGHT,
    REFUSED_MEMBERS,
    base_with,
    base_with_a_link,
    left_out_line,
)
from support.measuring import LARGE, measure
from support.project import FIXTURES
from support.running import build, messages, problems, run_program, warns
from support.tars import LINK, manifest, member, names, sha256, tar_of, write_tar

HEX = 'e' * 64


@pytest.mark.parametrize('name', BASES)
def test_verify_accepts_each_base(tmp_path, name):
    """Except crane's, which containerd refuses."""
    flags = flags_for(tmp_path, [FIXTURES / name], '--verify')
    _, errors = messages(run_program('join_layers', *flags).stderr, 'join_layers')
    texts = [error.rpartition("': ")[2] for error in errors]
    if name == 'crane-0.21.tar':
        missing = 'is missing or empty: correct it'
        assert texts == [f'architecture {missing}', f'os {missing}']
    else:
        assert texts == []


def test_verify_does_not_change_the_archive(tmp_path, two):
    plain = join(tmp_path, *two).read_bytes()
    assert join(tmp_path, *two, flags=['--verify']).read_bytes() == plain


@pytest.mark.parametrize('case', LINKS)
def test_layers_have_the_names_of_files_behind_links(tmp_path, case):
    """Podman reads no layer that is a link."""
    path, _ = base_with_a_link(tmp_path / 'one.tar', case)
    joined = join(tmp_path, path, flags=['--verify'], warnings=case in NOT_STRAIGHT)
    assert manifest(joined)['Layers'] == ['x/layer.tar']


@pytest.mark.parametrize('case', REFUSED_MEMBERS)
def test_refused_member_is_left_out_with_a_warning(tmp_path, case):
    more, refused, _ = REFUSED_MEMBERS[case]
    path, _ = base_with(tmp_path / 'one.tar', more)
    flags = flags_for(tmp_path, [path], '--verify')
    done = build(*flags, **PROGRAM, warnings=True)
    assert messages(done.stderr, 'join_layers') == ([left_out_line('--layer', path, case)], [])
    assert not set(refused) & set(names(tmp_path / 'out.tar'))


def test_link_to_a_file_of_another_archive_is_kept(tmp_path):
    image = image_of('x')
    one = write_base(tmp_path / 'one.tar', image, more=[member('s', kind=LINK, link='y')])
    other = write_base(tmp_path / 'other.tar', image_of('y'))
    assert 's' in names(join(tmp_path, one, other, flags=['--verify']))


def with_config(directory, change, reads=False):
    """Returns the path of an image with a changed configuration, and its label in messages."""
    image = image_of('x', 'y')
    config = change(configuration(image.diff_ids))
    data = config if isinstance(config, bytes) else json.dumps(config).encode()
    image.config_name = f'{sha256(data)}.json'
    more = [member(image.config_name, data)]
    path = write_base(directory / 'one.tar', image, without=[image.config_name], more=more)
    return path, f"'{path}': '{image.config_name}'"


def without(config, key):
    return {name: value for name, value in config.items() if name != key}


@pytest.mark.parametrize('key', ['rootfs', 'RootFS'])
@pytest.mark.parametrize(
    ('diff_ids', 'text'),
    [([f'sha256:{HEX}'], f'not sha256:{HEX}'), ([], 'rootfs.diff_ids has 0 entries for 1 layers')],
)
def test_key_of_diff_ids_in_another_case(tmp_path, key, diff_ids, text):
    """Go's decoder ignores the case of keys."""
    image = image_of('x')
    config = configuration(diff_ids)
    config[key] = config.pop('rootfs')
    data = json.dumps(config).encode()
    image.config_name = 'config.json'
    path = write_base(
        tmp_path / 'one.tar', image, without=['config.json'], more=[member('config.json', data)]
    )
    (line,) = problems(*flags_for(tmp_path, [path]), **PROGRAM)
    assert text in line


CONFIGS = {
    'no JSON': (lambda config: b'{', ' is not JSON: correct it'),
    'a list': (lambda config: [], ' is not a JSON object: correct it'),
    'no os': (lambda config: without(config, 'os'), ': os is missing or empty: correct it'),
    'a wrong type': (
        lambda config: {**config, 'config': {'Env': 'A=1'}},
        ': config.Env must be a list of strings: correct it',
    ),
    'no rootfs': (lambda config: without(config, 'rootfs'), ': rootfs is missing: correct it'),
    'a short history': (
        lambda config: {**config, 'history': config['history'][:1]},
        ': history has 1 entries without empty_layer for 2 layers: add or mark entries',
    ),
    'fewer diff IDs': (
        lambda config: {
            **without(config, 'history'),
            'rootfs': {'type': 'layers', 'diff_ids': config['rootfs']['diff_ids'][:1]},
        },
        ': rootfs.diff_ids has 1 entries for 2 layers: replace the archive',
    ),
}


@pytest.mark.parametrize('case', CONFIGS)
def test_wrong_configuration_is_reported(tmp_path, case):
    """As a warning; with --verify, as an error."""
    change, text = CONFIGS[case]
    path, label = with_config(tmp_path, change)
    assert warns(*flags_for(tmp_path, [path]), **PROGRAM) == [label + text]
    (tmp_path / 'out.tar').unlink()
    assert problems(*flags_for(tmp_path, [path]), **PROGRAM) == [label + text]
    assert not (tmp_path / 'out.tar').exists()


def test_every_image_of_an_archive_is_checked(tmp_path):
    """Not just the last one."""
    good, bad = image_of('x', tag='good:1'), image_of('y', tag='BAD:1')
    one = write_base(tmp_path / 'one.tar', bad, good)
    other = write_base(tmp_path / 'other.tar', image_of('z', tag='Bad:2'), good)
    found = problems(*flags_for(tmp_path, [one, other]), **PROGRAM)
    assert ["'BAD:1'" in found[0], "'Bad:2'" in found[1], len(found)] == [True, True, 2]
    assert found[0] == (
        f"'{one}': '{bad.id}.json': 'BAD:1': give a lower-case [registry/]repository:tag"
    )


@pytest.mark.parametrize('name', ['{}.json', 'blobs/sha256/{}', 'sha256:{}'])
def test_configuration_with_another_digest_in_its_name_is_reported(tmp_path, name):
    image = image_of('x')
    image.config_name = name.format(HEX)
    one = write_base(tmp_path / 'one.tar', image)
    assert problems(*flags_for(tmp_path, [one]), **PROGRAM) == [
        f"'{one}': '{image.config_name}' has the SHA-256 {image.id}: replace the archive"
    ]
    join(tmp_path, one)


def test_name_of_a_configuration_is_checked_in_each_archive(tmp_path):
    image = image_of('x')
    one = write_base(tmp_path / 'one.tar', image)
    image.config_name = f'{HEX}.json'
    other = write_base(tmp_path / 'other.tar', image)
    (found,) = problems(*flags_for(tmp_path, [one, other]), **PROGRAM)
    assert found.startswith(f"'{other}': '{HEX}.json' has the SHA-256 ")


def test_wrong_content_of_a_layer_is_reported(tmp_path):
    image = image_of('x', 'y')
    layer = tar_of(member('another', b'file'))
    one = write_base(tmp_path / 'one.tar', image, without=['y'], more=[member('y', layer)])
    assert problems(*flags_for(tmp_path, [one]), **PROGRAM) == [
        f"layer 'y' of '{one}' has the diff ID sha256:{sha256(layer)}, "
        f'not {image.diff_ids[1]}: replace the archive'
    ]
    join(tmp_path, one)


@pytest.mark.parametrize('pack', [gzip.compress, bytes])
def test_layer_that_is_not_a_tar_archive_is_reported(tmp_path, pack):
    data = pack(b'no tar archive' * 100)
    image = image_of('x')
    one = write_base(tmp_path / 'one.tar', image, without=['x'], more=[member('x', data)])
    (found,) = problems(*flags_for(tmp_path, [one]), **PROGRAM)
    assert found.startswith(f"layer 'x' of '{one}' is damaged or not a tar archive")


def test_gzip_layer_is_accepted_and_bzip2_gives_a_warning(tmp_path):
    image = image_of('x')
    packed = gzip.compress(image.layers['x'])
    one = write_base(tmp_path / 'one.tar', image, without=['x'], more=[member('x', packed)])
    assert problems(*flags_for(tmp_path, [one]), **PROGRAM) == []
    packed = bz2.compress(image.layers['x'])
    one = write_base(tmp_path / 'one.tar', image, without=['x'], more=[member('x', packed)])
    assert warns(*flags_for(tmp_path, [one], '--verify'), **PROGRAM) == [
        f"layer 'x' of '{one}' is compressed by bzip2, which containerd and Docker 29 "
        'do not read: use gzip'
    ]


def test_two_diff_ids_for_one_layer_are_reported(tmp_path):
    first, second = image_of('x'), image_of('x', 'y')
    config = json.dumps(configuration([f'sha256:{HEX}', second.diff_ids[1]])).encode()
    second.config_name = f'{sha256(config)}.json'
    more = [member(second.config_name, config)]
    one = write_base(tmp_path / 'one.tar', first)
    other = write_base(tmp_path / 'other.tar', second, without=[second.config_name, 'x'], more=more)
    text = (
        f"layer 'x' of '{one}' is {first.diff_ids[0]} in one image, "
        f'and sha256:{HEX} in another: leave one out'
    )
    assert warns(*flags_for(tmp_path, [one, other]), **PROGRAM) == [text]
    assert problems(*flags_for(tmp_path, [one, other]), **PROGRAM) == [text]


def test_more_than_125_layers_give_a_warning(tmp_path):
    image = image_of(*(f'{n}' for n in range(126)))
    one = write_base(tmp_path / 'one.tar', image)
    assert warns(*flags_for(tmp_path, [one], '--verify'), **PROGRAM) == [
        f"'{one}': '{image.id}.json': the image has 126 layers, but some versions of "
        'Docker take 125: merge some'
    ]


def test_shared_layer_is_read_once(tmp_path):
    layer = tar_of(member('large', bytes(2 * LARGE)))
    diff_id = f'sha256:{sha256(layer)}'
    images = []
    for number in range(3):
        config = json.dumps({**configuration([diff_id]), 'author': f'{number}'}).encode()
        images.append((f'{sha256(config)}.json', config))
    entries = [{'Config': name, 'Layers': ['x']} for name, _ in images]
    files = [member(name, data) for name, data in images]
    one = write_tar(
        tmp_path / 'one.tar',
        *files,
        member('x', layer),
        member('manifest.json', json.dumps(entries).encode()),
    )
    _, _, plain = measure(*flags_for(tmp_path, [one]), **PROGRAM)
    done, memory, read = measure(*flags_for(tmp_path, [one], '--verify'), **PROGRAM)
    assert done.returncode == 0
    assert read - plain < 1.2 * len(layer)
    assert memory < 100 << 20


def test_all_problems_are_reported(tmp_path):
    one = write_base(tmp_path / 'one.tar', image_of('x', tag='Bad:1'), without=['x'])
    other = write_base(tmp_path / 'other.tar', image_of('y', tag='Bad:2'))
    assert len(problems(*flags_for(tmp_path, [one, other]), **PROGRAM)) == 3
    (tmp_path / 'damaged.tar').write_bytes(b'no tar archive' * 100)
    archives = [tmp_path / 'missing.tar', tmp_path / 'damaged.tar', one]
    found = problems(*flags_for(tmp_path, archives), **PROGRAM)
    assert ['missing.tar' in found[0], 'damaged.tar' in found[1], len(found)] == [True, True, 2]
