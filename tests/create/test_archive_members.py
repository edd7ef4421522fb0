# SPDX-License-Identifier: Apache-2.0
"""create_image: members of a merged base for which clients refuse an archive (section 7)."""

import pytest

from support.images import BaseImage, Parts, write_base
from support.links import (
    LINKS,
    NOT_STRAIGHT,
    REFUSED_MEMBERS,
    TAKEN_MEMBERS,
    base_with,
    base_with_a_link,
    left_out_line,
)
from support.running import build, messages, problems
from support.tars import LINK, manifest, member, names, write_tar


@pytest.mark.parametrize('flags', [[], ['--verify']])
@pytest.mark.parametrize('case', REFUSED_MEMBERS)
def test_refused_member_is_left_out_with_a_warning(tmp_path, case, flags):
    more, refused, _ = REFUSED_MEMBERS[case]
    base, diff_ids = base_with(tmp_path / 'base.tar', more)
    image = Parts(tmp_path, below=diff_ids, base=base)
    done = build(*image.flags, *flags, warnings=True)
    assert messages(done.stderr) == ([left_out_line('--legacy_base', base, case)], [])
    in_base = [name.rstrip('/') for name in names(base)]
    kept = [name for name in in_base if name not in refused and name != 'manifest.json']
    assert [name for name in names(image.output) if name in in_base] == [*kept, 'manifest.json']


def test_members_that_clients_take_are_merged_in_silence(tmp_path):
    base, diff_ids = base_with(tmp_path / 'base.tar', TAKEN_MEMBERS)
    image = Parts(tmp_path, below=diff_ids, base=base)
    build(*image.flags, '--verify')
    assert {'s', 'd/s', 'h', 'h2', 'ü' * 127} <= set(names(image.output))


def test_members_of_an_oci_layout_need_no_warning(tmp_path):
    """Only layers come from the base."""
    base, diff_ids = base_with(tmp_path / 'base.tar', REFUSED_MEMBERS['a link to nothing'][0])
    build(*Parts(tmp_path, below=diff_ids, base=base).flags, '--oci', '--verify')


def test_layer_with_a_long_name_is_an_error(tmp_path):
    name = f'{"q" * 256}/layer.tar'
    lower = BaseImage([name])
    base = write_base(tmp_path / 'base.tar', lower)
    image = Parts(tmp_path, below=lower.diff_ids, base=base)
    text = f'the name of layer {name[:200]!r} is longer than file systems take'
    assert problems(*image.flags) == [f"--base: '{base}': {text}: save the image again"]


@pytest.mark.parametrize('case', LINKS)
def test_layers_have_the_names_of_files_behind_links(tmp_path, case):
    """Podman reads no layer that is a link."""
    base, diff_ids = base_with_a_link(tmp_path / 'base.tar', case)
    image = Parts(tmp_path, below=diff_ids, base=base)
    build(*image.flags, '--verify', warnings=case in NOT_STRAIGHT)
    assert manifest(image.output)['Layers'][0] == 'x/layer.tar'
    assert ('y/layer.tar' in names(image.output)) == (case not in NOT_STRAIGHT)
    build(*image.flags, '--verify', '--oci')


def test_only_the_first_of_many_is_named(tmp_path):
    more = [member(f'{number}', kind=LINK, link='nowhere') for number in range(2001)]
    path = write_tar(tmp_path / 'other.tar', *more)
    image = Parts(tmp_path)
    done = build(*image.flags, f'--legacy_base={path}', warnings=True)
    ((warning,), _) = messages(done.stderr)
    assert "member '0' is a symbolic link" in warning
    assert warning.endswith(': it is left out, and 2,000 others like it')
