# SPDX-License-Identifier: Apache-2.0
"""Images built on a base: every fixture, and bases with everything a tar archive can hold."""

import bz2
import gzip
import io
import json
import lzma
import subprocess
import tarfile

import pytest

import create_image
from conftest import (
    BASES,
    DATA,
    Parts,
    base_diff_ids,
    build,
    content,
    derived,
    fails,
    gunzip,
    make_tar,
    manifest,
    members,
    names,
    sha256,
)

MODERN = [name for name in BASES if name != 'docker-1.9.tar']
# The image ID of each fixture; two were made with configurations of their own.
IDS = dict.fromkeys(MODERN, '81437bb0338bc7702fa67c1493e192c8ab599dcea06a32ce6242b7bc15b55412')
IDS['bazel-2016.tar'] = '766629315af5746d813ec415ada496f9c8df74a5f011146e0fdcef14d24babc5'
IDS['crane-0.21.tar'] = '48a31fb61211057d5b78a2e0ea1442acdfe06319b999170c49a7f14e6384e1f7'
LEFT_OUT = {'top', 'repositories', 'manifest.json', 'index.json', 'oci-layout'}


def check_whole(image, parent):
    """Checks all that holds for an image on a fixture, whichever it is."""
    path = image.output
    entry = manifest(path)
    config = json.loads(content(path, entry['Config']))
    own = [f'{image.id}/{name}.tar' for name, _ in image.layers]
    assert entry['Layers'][-len(own) :] == own
    digests = ['sha256:' + sha256(gunzip(content(path, name))) for name in entry['Layers']]
    assert digests == config['rootfs']['diff_ids']
    assert entry.get('Parent') == parent
    found = names(path)
    assert not {'index.json', 'oci-layout', 'top', 'repositories'} & set(found)
    assert found.count('manifest.json') == 1
    assert not [name for name in found if name.startswith(('./', '/'))]
    assert {member.mtime for member, _ in members(path)} == {0}
    assert {tuple(member.pax_headers) for member, _ in members(path)} <= {(), ('comment',)}


@pytest.mark.parametrize('base', MODERN)
def test_derived_image(tmp_path, base):
    image, flags = derived(tmp_path, base)
    build(*flags, '--tag=example/derived:2.0')
    check_whole(image, 'sha256:' + IDS[base])
    assert manifest(image.output)['RepoTags'] == ['example/derived:2.0']


@pytest.mark.parametrize('base', BASES)
def test_merged_members(tmp_path, base):
    """Order, type, mode, ownership, link target and content of the base's own members."""
    image, flags = derived(tmp_path, base)
    build(*flags, warnings=True)

    def described(path):
        return [
            (m.name.removeprefix('./'), m.type, m.mode & 0o7777, m.uid, m.gid)
            + (m.uname, m.gname, m.linkname, m.size, data)
            for m, data in members(path)
            if m.name.removeprefix('./') not in LEFT_OUT and m.name != '.'
        ]

    expected = described(DATA / 'bases' / base)
    own = 2 + len(image.layers)
    result = described(image.output)[own:]
    # Directories that the base leaves out are added.
    assert [x for x in result if x[0] in {y[0] for y in expected}] == expected
    assert {x[1] for x in result if x not in expected} <= {tarfile.DIRTYPE}


@pytest.mark.parametrize('base', [name for name in MODERN if name.endswith('.tar')])
@pytest.mark.parametrize(
    ('pack', 'extension'),
    [(gzip.compress, 'tar.xz'), (bz2.compress, 'tar'), (lzma.compress, 'zip'), (bytes, 'tar.gz')],
)
def test_compression_is_told_by_content(tmp_path, base, pack, extension):
    packed = tmp_path / f'base.{extension}'
    packed.write_bytes(pack((DATA / 'bases' / base).read_bytes()))
    image, flags = derived(tmp_path, base)
    build(*flags)
    expected = image.output.read_bytes()
    build(*image.flags, f'--base={packed}', f'--legacy_base={packed}')
    assert image.output.read_bytes() == expected


@pytest.mark.parametrize('kind', [tarfile.DIRTYPE, tarfile.SYMTYPE])
def test_only_files_have_a_size(parts, kind):
    """Old programs gave others one too; busybox tar would skip that many bytes."""
    info = tarfile.TarInfo('other')
    info.type, info.linkname, info.size = kind, 'x', 70000
    base = parts.folder / 'base.tar'
    base.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    build(*parts.flags, f'--legacy_base={base}')
    assert [(m.name, m.size) for m, _ in members(parts.output)][3] == ('other', 0)
    assert names(parts.output)[-1] == 'manifest.json'


def test_a_global_header_holds_for_all_that_follow(parts):
    base = parts.folder / 'base.tar'
    with tarfile.open(
        base, 'w', format=tarfile.PAX_FORMAT, pax_headers={'uid': '7', 'comment': 'c'}
    ) as tar:
        for name in ('a', 'b', 'c'):
            tar.addfile(tarfile.TarInfo(name))
    build(*parts.flags, f'--legacy_base={base}')
    assert [m.uid for m, _ in members(parts.output) if m.name in ('a', 'b', 'c')] == [7, 7, 7]


def test_manifest_is_written_as_json_dumps_does(tmp_path):
    image, flags = derived(tmp_path, 'crane-0.21.tar')
    build(*flags, '--tag=a:1')
    layers = manifest(DATA / 'bases' / 'crane-0.21.tar')['Layers']
    layers.append(f'{image.id}/{image.layers[0][0]}.tar')
    listed = ', '.join(f'"{layer}"' for layer in layers)
    text = (
        f'[{{"Config": "{image.id}.json", "Layers": [{listed}], '
        f'"Parent": "sha256:{IDS["crane-0.21.tar"]}", "RepoTags": ["a:1"]}}]'
    )
    assert content(image.output, 'manifest.json').decode() == text


def test_base_alone_makes_a_partial_image(tmp_path):
    image, flags = derived(tmp_path, 'podman-4.3.tar')
    build(*flags[:-1])
    assert len(names(image.output)) == 4
    assert manifest(image.output)['Layers'][:2] == [
        digest.partition(':')[2] + '.tar' for digest in base_diff_ids()
    ]


def test_legacy_base_alone_merges(tmp_path):
    image, flags = derived(tmp_path, 'podman-4.3.tar')
    build(*image.flags, flags[-1])
    entry = manifest(image.output)
    assert 'Parent' not in entry
    assert len(entry['Layers']) == 1
    assert len(names(image.output)) > 10


def test_another_archive_may_be_merged_than_the_base(tmp_path):
    """It need not have the base's layers: the image is partial then, as without it."""
    image, flags = derived(tmp_path, 'podman-4.3.tar')
    other = make_tar(tmp_path / 'other.tar', {'other': b'o'})
    build(*flags[:-1], f'--legacy_base={other}')
    assert len(manifest(image.output)['Layers']) == 3
    assert names(image.output)[3:] == ['other', 'manifest.json']


def test_base_before_docker_1_10(tmp_path):
    image, flags = derived(tmp_path, 'docker-1.9.tar')
    done = build(*flags, warnings=True)
    (line,) = done.stderr.decode().splitlines()
    assert 'images on it load in Docker before 1.10 only' in line
    assert 'docker-1.9.tar' in line
    entry = manifest(image.output)
    assert 'Parent' not in entry
    assert len(entry['Layers']) == 1
    assert len([name for name in names(image.output) if name.endswith('/layer.tar')]) == 2


def test_the_warning_comes_once_for_each_image(tmp_path, caplog):
    """With --verify, which reads the base too, and from Python, for every call."""
    base = str(DATA / 'bases' / 'docker-1.9.tar')
    image = Parts(tmp_path)
    done = build(*image.flags, f'--base={base}', '--verify', warnings=True)
    assert len(done.stderr.splitlines()) == 1
    for _ in range(2):
        create_image.create_image(str(image.output), 'i', [], str(image.config), base=base)
    text = f"'{base}' names no image: images on it load in Docker before 1.10 only"
    assert caplog.messages == [text] * 2


def write_base(path, entries, files=(), position=0):
    """Writes an image archive with entries as manifest.json at a position among files."""
    data = dict(files)
    order = list(data)
    order.insert(position, 'manifest.json')
    data['manifest.json'] = json.dumps(entries).encode()
    return make_tar(path, {name: data[name] for name in order})


LAYERS = {'one.tar': b'1', 'two.tar': b'2', 'three.tar': b'3'}


@pytest.mark.parametrize('position', [0, 1, 3])
def test_the_last_manifest_entry_counts(parts, position):
    entries = [
        {'Config': '1.json', 'RepoTags': ['one:1'], 'Layers': ['one.tar']},
        {'Config': '2.json', 'RepoTags': None, 'Layers': ['two.tar', 'three.tar']},
    ]
    base = write_base(parts.folder / 'base.tar', entries, LAYERS, position)
    build(*parts.flags, f'--base={base}', f'--legacy_base={base}')
    entry = manifest(parts.output)
    assert entry['Layers'][:-1] == ['two.tar', 'three.tar']
    assert entry['Parent'] == 'sha256:2'
    assert entry['RepoTags'] == []
    assert set(LAYERS) < set(names(parts.output))


@pytest.mark.parametrize('layers', [{}, {'Layers': None}, {'Layers': []}])
def test_a_base_without_layers(parts, layers):
    base = write_base(parts.folder / 'base.tar', [{'Config': 'c.json', **layers}])
    build(*parts.flags, f'--base={base}')
    assert len(manifest(parts.output)['Layers']) == 1
    assert manifest(parts.output)['Parent'] == 'sha256:c'


@pytest.mark.parametrize(
    ('config', 'parent'),
    [
        ('abc.json', 'sha256:abc'),
        ('./abc.json', 'sha256:abc'),
        ('folder/abc.json', 'sha256:folder/abc'),
        ('blobs/sha256/' + 'a' * 64, 'sha256:' + 'a' * 64),
        ('sha256:' + 'b' * 64, 'sha256:' + 'b' * 64),
        ('blobs/sha256/' + 'a' * 63, None),
        ('blobs/sha512/' + 'a' * 64, None),
        ('sha256:' + 'B' * 64, None),
        ('config', None),
        ('.json', None),
    ],
)
def test_parent(parts, config, parent):
    base = write_base(parts.folder / 'base.tar', [{'Config': config}])
    build(*parts.flags, f'--base={base}')
    assert manifest(parts.output).get('Parent') == parent


def test_three_generations(tmp_path):
    base, below = DATA / 'bases/docker-29-containerd.tar', base_diff_ids()
    parent = IDS[base.name]
    for generation in range(3):
        folder = tmp_path / str(generation)
        folder.mkdir()
        image = Parts(folder, [{f'srv/{generation}': b'x' * 70000 * generation}], below=below)
        build(*image.flags, f'--base={base}', f'--legacy_base={base}')
        below = [*below, 'sha256:' + image.layers[0][0]]
        check_whole(image, f'sha256:{parent}')
        base, parent = image.output, image.id
    assert len(manifest(base)['Layers']) == 5


def test_names_are_compared_whole(parts):
    files = {'desktop': b'd', 'a/top': b't', 'x/manifest.json': b'[]', 'myindex.json': b'i'}
    base = make_tar(parts.folder / 'base.tar', {**files, './top': b'', '/repositories': b''})
    build(*parts.flags, f'--legacy_base={base}')
    assert [name for name in names(parts.output)[3:-1] if name not in ('a', 'x')] == list(files)


def test_no_folder_of_a_base_takes_the_place_of_what_is_written(parts):
    files = {'manifest.json/x': b'', 'repositories/x': b'', 'index.json/x': b'', 'x': b''}
    base = make_tar(parts.folder / 'base.tar', files)
    build(*parts.flags, f'--legacy_base={base}', '--repository=r', '--name=n')
    assert names(parts.output)[3:] == ['x', 'manifest.json', 'repositories']
    assert content(parts.output, 'manifest.json').startswith(b'[{')
    assert content(parts.output, 'repositories').startswith(b'{')


@pytest.mark.parametrize('kind', [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_layer_behind_links(parts, kind):
    base = parts.folder / 'base.tar'
    with tarfile.open(base, 'w') as tar:
        data = b'[{"Config": "c.json", "Layers": ["link2"]}]'
        info = tarfile.TarInfo('manifest.json')
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
        tar.addfile(tarfile.TarInfo('layer'))
        for name, target in ('link1', 'layer'), ('link2', 'link1'):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            tar.addfile(info)
    build(*parts.flags, f'--base={base}', f'--legacy_base={base}')
    assert manifest(parts.output)['Layers'][0] == 'link2'


def test_the_first_of_two_members_stays(parts):
    base = parts.folder / 'base.tar'
    with tarfile.open(base, 'w') as tar:
        for name, data in ('f', b'first'), ('./f', b'second'), (parts.id + '.json', b'other'):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    done = build(*parts.flags, f'--legacy_base={base}', warnings=True)
    assert [line.partition('] ')[2] for line in done.stderr.decode().splitlines()] == [
        "'f' comes twice: the first one stays",
        f"'{parts.id}.json' comes twice: the first one stays",
    ]
    assert content(parts.output, 'f') == b'first'
    assert content(parts.output, f'{parts.id}.json') == parts.config.read_bytes()


def special_members():
    """Every kind of member that a merge keeps, with the fields that it keeps."""
    fields = [
        ('folder', {'type': tarfile.DIRTYPE, 'mode': 0o1777}),
        ('./folder/file', {'mode': 0o4755, 'uid': 1000, 'gid': 1001, 'uname': 'u', 'gname': 'g'}),
        ('/absolute', {'uid': 1 << 30}),
        ('folder/hard', {'type': tarfile.LNKTYPE, 'linkname': './folder/file'}),
        ('folder/soft', {'type': tarfile.SYMTYPE, 'linkname': '../elsewhere/./file'}),
        ('l' * 120 + '/' + 'm' * 120, {}),
        ('s' * 200, {'type': tarfile.SYMTYPE, 'linkname': 't' * 200}),
        ('h' * 200, {'type': tarfile.LNKTYPE, 'linkname': 'l' * 120 + '/' + 'm' * 120}),
        ('ünïcode', {'type': tarfile.SYMTYPE, 'linkname': 'zïel'}),
        ('mtime', {'mtime': 1234567890.5, 'pax_headers': {'SCHILY.xattr.user.x': 'y'}}),
        ('contiguous', {'type': tarfile.CONTTYPE}),
        ('old', {'type': tarfile.AREGTYPE}),
    ]
    for name, values in fields:
        info = tarfile.TarInfo(name)
        for field, value in values.items():
            setattr(info, field, value)
        data = name.encode() if info.isreg() else b''
        info.size = len(data)
        yield info, data


@pytest.mark.parametrize('dialect', [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_kind_of_member(parts, dialect):
    base = parts.folder / 'base.tar'
    with tarfile.open(base, 'w', format=dialect) as tar:
        for info, data in special_members():
            tar.addfile(info, io.BytesIO(data))
    build(*parts.flags, f'--legacy_base={base}')
    found = {m.name: (m, data) for m, data in members(parts.output)}
    for info, data in special_members():
        name = info.name.removeprefix('./').lstrip('/')
        member, copied = found[name]
        kind = tarfile.REGTYPE if info.isreg() else info.type
        assert (member.type, member.mode, member.uid, member.gid) == (
            (kind, info.mode, info.uid, info.gid)
        )
        assert (member.uname, member.gname, member.mtime) == (info.uname, info.gname, 0)
        link = 'folder/file' if name == 'folder/hard' else info.linkname
        assert member.linkname == link
        assert (copied or b'') == data or member.islnk()
        assert member.pax_headers == {}


@pytest.mark.parametrize('sparse_format', ['gnu', '0.0', '0.1', '1.0'])
def test_sparse_members_are_written_out(parts, sparse_format):
    sparse = parts.folder / 'sparse'
    with sparse.open('wb') as f:
        f.seek(300000)
        f.write(b'island' * 1000)
        f.truncate(1000000)
    version = [] if sparse_format == 'gnu' else [f'--sparse-version={sparse_format}']
    base = parts.folder / 'base.tar'
    subprocess.run(
        ['tar', '-S', '--format=' + ('posix' if version else 'gnu'), *version, '-cf', base]
        + ['-C', parts.folder, 'sparse', 'config.json'],
        check=True,
    )
    assert base.stat().st_size < 100000
    build(*parts.flags, f'--legacy_base={base}')
    assert content(parts.output, 'sparse') == sparse.read_bytes()
    assert content(parts.output, 'config.json') == parts.config.read_bytes()


@pytest.mark.parametrize('zero_blocks', [0, 1, 2, 1000])
def test_how_a_base_may_end(tmp_path, zero_blocks):
    image, flags = derived(tmp_path, 'docker-20.10.tar')
    build(*flags)
    expected = image.output.read_bytes()
    data = (DATA / 'bases/docker-20.10.tar').read_bytes().rstrip(b'\0')
    data += bytes(-len(data) % 512 + 512 * zero_blocks)
    (tmp_path / 'base.tar').write_bytes(data)
    base = tmp_path / 'base.tar'
    build(*image.flags, f'--base={base}', f'--legacy_base={base}')
    assert image.output.read_bytes() == expected


@pytest.mark.parametrize('target', ['m', 'folder/m'])
@pytest.mark.parametrize('kind', [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_manifest_behind_a_link(parts, kind, target):
    base = parts.folder / 'base.tar'
    with tarfile.open(base, 'w') as tar:
        link = tarfile.TarInfo('./manifest.json')
        link.type, link.linkname = kind, target
        data = b'[{"Config": "c.json", "Layers": ["l"]}]'
        info = tarfile.TarInfo(target)
        info.size = len(data)
        for member in (info, link) if kind == tarfile.LNKTYPE else (link, info):
            tar.addfile(member, io.BytesIO(data))
    build(*parts.flags, f'--base={base}')
    assert manifest(parts.output)['Layers'][0] == 'l'


def test_a_base_with_10000_members(parts):
    files = {f'{n % 100}/{n}': b'%d' % n for n in range(10000)}
    base = make_tar(parts.folder / 'base.tar', files)
    build(*parts.flags, f'--legacy_base={base}')
    found = {m.name: data for m, data in members(parts.output) if m.isreg()}
    assert {name: found[name] for name in files} == files


def test_whole_image_on_a_partial_base_is_refused(tmp_path):
    image, flags = derived(tmp_path, 'podman-4.3.tar')
    build(*flags[:-1])
    partial = image.output.rename(tmp_path / 'partial.tar')
    image, flags = derived(tmp_path, 'podman-4.3.tar', config={'Cmd': ['other']})
    line = fails(*flags[:-2], '--id=other', f'--base={partial}', f'--legacy_base={partial}')
    layer = base_diff_ids()[0].partition(':')[2] + '.tar'
    assert f"partial.tar' lacks its layer '{layer}'" in line
    assert not image.output.exists()
