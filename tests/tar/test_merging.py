# SPDX-License-Identifier: Apache-2.0
"""What a merge keeps, changes, leaves out and refuses (section 6)."""

import tarfile

import pytest

from support.images import BaseImage, Parts, on_fixture, write_base
from support.running import build, fails, warns
from support.tars import (
    DIR,
    FILE,
    HARD,
    LINK,
    content,
    make_tar,
    manifest,
    member,
    members,
    names,
    write_tar,
)

# A member of each kind that a merge keeps, with the fields that are kept.
LONG = 'l' * 120 + '/' + 'm' * 120
KEPT = [
    ('directory', {'kind': DIR, 'mode': 0o1777}),
    ('./directory/file', {'mode': 0o4755, 'uid': 1000, 'gid': 1001, 'uname': 'u', 'gname': 'g'}),
    ('/absolute', {'uid': 1 << 30}),
    ('no rights', {'mode': 0}),
    ('directory/hard', {'kind': HARD, 'link': './directory/file'}),
    ('directory/soft', {'kind': LINK, 'link': '../directory/./file'}),
    (LONG, {}),
    ('s' * 200, {'kind': LINK, 'link': LONG}),
    ('h' * 200, {'kind': HARD, 'link': LONG}),
    ('ünïcode', {'kind': LINK, 'link': 'zïel'}),
    ('zïel', {}),
    ('mtime', {'mtime': 1234567890.5, 'pax_headers': {'SCHILY.xattr.user.x': 'y'}}),
    ('contiguous', {'kind': tarfile.CONTTYPE}),
    ('old', {'kind': tarfile.AREGTYPE}),
]
FIELDS_KEPT = {'mode': 0o644, 'uid': 0, 'gid': 0, 'uname': '', 'gname': ''}
FILES = (FILE, tarfile.CONTTYPE, tarfile.AREGTYPE)


@pytest.mark.parametrize('dialect', [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_fields_of_each_kind_of_member_are_kept(parts, dialect):
    base_members = []
    for name, fields in KEPT:
        data = name.encode() if fields.get('kind', FILE) in FILES else b''
        base_members.append(member(name, data, dialect=dialect, **fields))
    base = write_tar(parts.directory / 'base.tar', *base_members)
    build(*parts.flags, f'--legacy_base={base}')
    found = {m.name: (m, data) for m, data in members(parts.output)}
    order = [name.removeprefix('./').lstrip('/') for name, _ in KEPT]
    assert [name for name in found if name in order] == order
    for name, (_, fields) in zip(order, KEPT, strict=True):
        info, data = found[name]
        kind = fields.get('kind', FILE)
        assert info.type == (FILE if kind in FILES else kind)
        expected = {field: fields.get(field, value) for field, value in FIELDS_KEPT.items()}
        assert {field: getattr(info, field) for field in FIELDS_KEPT} == expected
        link = 'directory/file' if name == 'directory/hard' else fields.get('link', '')
        assert info.linkname == link
        assert info.mtime == 0
        assert info.pax_headers == {}
        if kind in FILES:
            assert data.decode().removeprefix('./').lstrip('/') == name


def test_legacy_base_is_merged_without_a_base(tmp_path):
    image = on_fixture(tmp_path, 'podman-4.3.tar')
    build(*image.without('base'), warnings=True)
    entry = manifest(image.output)
    assert 'Parent' not in entry
    assert len(entry['Layers']) == 1
    below = names(image.base)
    merged = [name for name in names(image.output)[3:-1] if name in below]
    assert merged == [name for name in below if name not in LEFT_OUT]


# Members that are left out.

LEFT_OUT = ['top', 'repositories', 'manifest.json', 'index.json', 'oci-layout']


@pytest.mark.parametrize('spelling', ['{}', './{}', '/{}', '{}/x', './{}/x/y'])
@pytest.mark.parametrize('name', LEFT_OUT)
def test_metadata_files_are_left_out(parts, name, spelling):
    base = make_tar(parts.directory / 'base.tar', {spelling.format(name): b'base', 'x': b''})
    build(*parts.flags, f'--legacy_base={base}', '--repository=r', '--name=n')
    assert names(parts.output)[3:] == ['x', 'manifest.json', 'repositories']
    assert content(parts.output, 'manifest.json').startswith(b'[{')
    assert content(parts.output, 'repositories').startswith(b'{')


def test_files_with_similar_names_are_kept(parts):
    files = {'desktop': b'd', 'a/top': b't', 'x/manifest.json': b'[]', 'myindex.json': b'i'}
    base = make_tar(parts.directory / 'base.tar', files)
    build(*parts.flags, f'--legacy_base={base}')
    assert [name for name in names(parts.output)[3:-1] if name not in ('a', 'x')] == list(files)


# Names that occur twice.


def test_first_of_two_members_of_one_name_is_kept(parts):
    config = f'{parts.id}.json'
    twice = member('f', b'first'), member('./f', b'second'), member(config, b'other')
    base = write_tar(parts.directory / 'base.tar', *twice)
    assert warns(*parts.flags, f'--legacy_base={base}') == [
        "'f' occurs twice: only the first is kept",
        f"'{config}' occurs twice: only the first is kept",
    ]
    assert content(parts.output, 'f') == b'first'
    assert content(parts.output, config) == parts.config.read_bytes()


def test_directory_twice_gives_no_warning(parts):
    base = write_tar(parts.directory / 'base.tar', member('d', kind=DIR), member('./d/', kind=DIR))
    build(*parts.flags, f'--legacy_base={base}')
    assert names(parts.output)[3:] == ['d', 'manifest.json']


def test_file_is_kept_if_a_directory_has_its_name(parts):
    base = write_tar(parts.directory / 'base.tar', member('d', b'file'), member('d', kind=DIR))
    assert warns(*parts.flags, f'--legacy_base={base}') == [
        "'d' occurs twice: only the first is kept"
    ]
    assert content(parts.output, 'd') == b'file'


# Layers that are links; Docker and Podman write them for layers that two images share.


@pytest.mark.parametrize(
    ('kind', 'name', 'links'),
    [
        (LINK, 'link2', {'link1': 'layer', 'link2': 'link1'}),
        (HARD, 'link2', {'link1': 'layer', 'link2': 'link1'}),
        (LINK, 'directory/link', {'directory/link': '../layer'}),
        (HARD, 'directory/link', {'directory/link': 'layer'}),
    ],
)
def test_linked_layer_is_merged(tmp_path, kind, name, links):
    """The target of a symbolic link is relative to its directory, that of a hard link is not."""
    lower = BaseImage(['layer'])
    entry = {**lower.entry, 'Layers': [name]}
    more = [member(link, kind=kind, link=target) for link, target in links.items()]
    base = write_base(tmp_path / 'base.tar', lower, entries=[entry], more=more)
    image = Parts(tmp_path, below=lower.diff_ids, base=base)
    is_left_out = (kind, name) == (LINK, 'link2')  # with a warning: it does not lead straight
    build(*image.flags, warnings=is_left_out)
    assert manifest(image.output)['Layers'][0] == 'layer'
    kept = 'link1' if is_left_out else name
    assert content(image.output, kept) == lower.layers['layer']


def test_hard_link_relative_to_its_directory_is_an_error(tmp_path):
    lower = BaseImage(['directory/layer'])
    link = member('directory/link', kind=HARD, link='layer')
    base = write_base(tmp_path / 'base.tar', lower, more=[link])
    image = Parts(tmp_path, below=lower.diff_ids, base=base)
    assert "'directory/link' is a hard link to nothing before it" in fails(*image.flags)


# Images on images.


def test_image_on_an_image_on_an_image(tmp_path):
    """Each image is the base of the next one; its large layer is aligned again."""
    base, below, parent = None, [], None
    for generation in range(4):
        directory = tmp_path / str(generation)
        directory.mkdir()
        layer = {f'srv/{generation}': b'x' * 70000 * generation}
        image = Parts(directory, [layer], below=below, base=base)
        build(*image.flags)
        entry = manifest(image.output)
        assert entry.get('Parent') == parent
        below = [*below, *image.diff_ids]
        base, parent = image.output, f'sha256:{image.id}'
    found = {m.name: data for m, data in members(base) if m.isreg()}
    assert len(entry['Layers']) == 4
    for generation, name in enumerate(entry['Layers']):
        assert found[name] == (tmp_path / str(generation) / 'layer0.tar').read_bytes()
