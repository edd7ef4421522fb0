# SPDX-License-Identifier: Apache-2.0
"""join_layers: files of one name and different content in two archives (section 11)."""

import bz2
import gzip
import io
import json
import lzma
import tarfile

import pytest

from support.images import BaseImage, configuration, write_base
from support.joins import PROGRAM, entries_of, flags_for, join, refuses
from support.measuring import LARGE, measure
from support.running import problems, warns
from support.tars import DIR, HARD, LINK, content, member, members, names, sha256, tar_of, write_tar


def layer_of(text):
    return tar_of(member('file', text.encode()))


class NamedImage:
    """An image whose files have names that other images have, too.

    Attributes:
        layers: the content of its layers.
        files: the files of the archive, as {name: content}.
        entry: the entry in manifest.json.
        id: the SHA-256 of the configuration.
    """

    def __init__(self, *texts, config_name='config.json', layer_names=None, tag=None, pack=bytes):
        plain = [layer_of(text) for text in texts]
        self.layers = [pack(layer) for layer in plain]
        config = json.dumps(configuration([f'sha256:{sha256(one)}' for one in plain])).encode()
        layer_names = layer_names or [f'{sha256(layer)}.tar' for layer in self.layers]
        self.files = {config_name: config, **dict(zip(layer_names, self.layers, strict=True))}
        tags = None if tag is None else [tag]
        self.entry = {'Config': config_name, 'RepoTags': tags, 'Layers': layer_names}
        self.id = sha256(config)

    def write(self, path, more=(), without=()):
        files = {name: data for name, data in self.files.items() if name not in without}
        files['manifest.json'] = json.dumps([self.entry]).encode()
        return write_tar(path, *(member(name, data) for name, data in files.items()), *more)


def check(path, *images):
    """Checks that the entries of an archive lead to the files of images."""
    entries = entries_of(path)
    assert len(entries) == len(images)
    for entry, image in zip(entries, images, strict=True):
        assert sha256(content(path, entry['Config'])) == image.id
        assert [content(path, name) for name in entry['Layers']] == image.layers


def different(one, other, name):
    return f"'{one}' and '{other}' have '{name}' with different content: leave one of them out"


def test_configurations_of_one_name_are_both_kept(tmp_path):
    """jib calls the configuration of every image config.json."""
    a, b, c = (NamedImage(text, tag=f'{text}:1') for text in 'abc')
    paths = [image.write(tmp_path / f'{number}.tar') for number, image in enumerate([a, b, c])]
    joined = join(tmp_path, *paths, flags=['--verify'])
    check(joined, a, b, c)
    found = [entry['Config'] for entry in entries_of(joined)]
    assert found == ['config.json', f'{b.id}.json', f'{c.id}.json']
    assert [entry['RepoTags'] for entry in entries_of(joined)] == [['a:1'], ['b:1'], ['c:1']]


def test_renamed_members_are_regular_files_after_the_others(tmp_path):
    a, b = NamedImage('a'), NamedImage('b')
    paths = [a.write(tmp_path / 'a.tar'), b.write(tmp_path / 'b.tar', [member('last', b'')])]
    joined = join(tmp_path, *paths)
    assert names(joined)[-3:] == ['last', f'{b.id}.json', 'manifest.json']
    (header,) = [header for header, _ in members(joined) if header.name == f'{b.id}.json']
    assert (header.type, header.mode, header.uid, header.mtime) == (tarfile.REGTYPE, 0o644, 0, 0)


ENDINGS = {
    '.tar': bytes,
    '.tar.gz': lambda data: gzip.compress(data, mtime=0),
    '.tar.bz2': bz2.compress,
    '.tar.xz': lzma.compress,
}


@pytest.mark.parametrize('ending', ENDINGS)
def test_layers_of_one_name_are_both_kept(tmp_path, ending):
    a, b = (
        NamedImage(text, config_name=f'{text}.json', layer_names=['layer'], pack=ENDINGS[ending])
        for text in 'ab'
    )
    paths = [a.write(tmp_path / 'a.tar'), b.write(tmp_path / 'b.tar')]
    joined = join(tmp_path, *paths, warnings=ending in ('.tar.bz2', '.tar.xz'))
    check(joined, a, b)
    assert entries_of(joined)[1]['Layers'] == [sha256(b.layers[0]) + ending]


def test_image_is_the_same_whatever_its_configuration_is_called(tmp_path):
    a, b = NamedImage('a', tag='a:1'), NamedImage('b', tag='b:1')
    again = NamedImage('b', tag='b:2')
    paths = [image.write(tmp_path / f'{n}.tar') for n, image in enumerate([a, b, again])]
    joined = join(tmp_path, *paths, flags=['--verify'])
    check(joined, a, b)
    assert entries_of(joined)[1]['RepoTags'] == ['b:1', 'b:2']
    assert names(joined).count(f'{b.id}.json') == 1


def test_joined_archive_can_be_joined_again(tmp_path):
    a, b = NamedImage('a'), NamedImage('b')
    both = join(tmp_path, a.write(tmp_path / 'a.tar'), b.write(tmp_path / 'b.tar'))
    both = both.rename(tmp_path / 'both.tar')
    joined = join(tmp_path, tmp_path / 'b.tar', both, flags=['--verify'])
    check(joined, b, a)
    assert entries_of(joined)[1]['Config'] == f'{a.id}.json'


def test_layer_of_one_image_that_differs_is_an_error(tmp_path):
    """One of the two is damaged."""
    a = NamedImage('a', 'b', layer_names=['1', '2'])
    one = a.write(tmp_path / 'one.tar')
    a.files['2'] = layer_of('another')
    other = a.write(tmp_path / 'other.tar')
    for order in ([one, other], [other, one]):
        assert refuses(tmp_path, *order) == different(*order, '2')


def test_layer_of_one_image_that_differs_is_an_error_after_a_third_archive(tmp_path):
    """Both have other names in the new archive than in their own."""
    third = NamedImage('c', config_name='c.json', layer_names=['1']).write(tmp_path / 'third.tar')
    a = NamedImage('a', layer_names=['1'])
    one = a.write(tmp_path / 'one.tar')
    a.files['1'] = layer_of('another')
    other = a.write(tmp_path / 'other.tar')
    assert refuses(tmp_path, third, one, other) == different(one, other, '1')


def test_blobs_of_one_name_and_different_content_are_an_error(tmp_path):
    """Their name is the digest of one of them at most."""
    name = f'blobs/sha256/{"e" * 64}'
    a, b = (NamedImage(text, config_name=f'{text}.json', layer_names=[name]) for text in 'ab')
    paths = [a.write(tmp_path / 'a.tar'), b.write(tmp_path / 'b.tar')]
    assert refuses(tmp_path, *paths) == different(*paths, name)


def test_later_member_that_no_manifest_names_is_an_error(tmp_path):
    """It has no entry that could name it otherwise. The other order is sound."""
    a = NamedImage('a')
    b = NamedImage('b', config_name='b.json')
    paths = [
        a.write(tmp_path / 'a.tar'),
        b.write(tmp_path / 'b.tar', [member('config.json', b'x')]),
    ]
    assert refuses(tmp_path, *paths) == different(*paths, 'config.json')
    check(join(tmp_path, *reversed(paths), flags=['--verify']), b, a)


@pytest.mark.parametrize('kind', [LINK, HARD])
def test_link_to_a_layer_that_gets_another_name_leads_to_its_content(tmp_path, kind):
    """Docker before 25 writes links for layers that it has written before."""
    a = NamedImage('a', config_name='a.json', layer_names=['layer'])
    b = NamedImage('b', 'b', layer_names=['layer', 'again'])
    link = member('again', kind=kind, link='layer')
    b_path = b.write(tmp_path / 'b.tar', [link], without=['again'])
    joined = join(tmp_path, a.write(tmp_path / 'a.tar'), b_path, flags=['--verify'])
    check(joined, a, b)
    assert entries_of(joined)[1]['Layers'] == [f'{sha256(b.layers[0])}.tar'] * 2
    assert 'again' not in names(joined)


def test_target_of_a_link_gets_another_name(tmp_path):
    """The manifest names only the link."""
    a = NamedImage('a', config_name='a.json', layer_names=['target'])
    b = NamedImage('b', layer_names=['layer'])
    more = [member('target', b.layers[0]), member('layer', kind=LINK, link='target')]
    b_path = b.write(tmp_path / 'b.tar', more, without=['layer'])
    check(join(tmp_path, a.write(tmp_path / 'a.tar'), b_path, flags=['--verify']), a, b)


def test_other_link_to_a_layer_that_gets_another_name_is_an_error(tmp_path):
    a = NamedImage('a', config_name='a.json', layer_names=['layer'])
    b = NamedImage('b', layer_names=['layer'])
    paths = [
        a.write(tmp_path / 'a.tar'),
        b.write(tmp_path / 'b.tar', [member('other', kind=LINK, link='layer')]),
    ]
    assert refuses(tmp_path, *paths) == different(*paths, 'layer')


def test_directory_in_place_of_a_configuration_is_an_error(tmp_path):
    a, b = NamedImage('a'), NamedImage('b', config_name='b.json')
    paths = [
        a.write(tmp_path / 'a.tar'),
        b.write(tmp_path / 'b.tar', [member('config.json', kind=DIR)]),
    ]
    for order in (paths, paths[::-1]):
        assert 'different content' in refuses(tmp_path, *order)


def test_other_file_under_the_digest_is_an_error(tmp_path):
    a, b = NamedImage('a'), NamedImage('b')
    paths = [
        a.write(tmp_path / 'a.tar', [member(f'{b.id}.json', b'{}')]),
        b.write(tmp_path / 'b.tar'),
    ]
    assert refuses(tmp_path, *paths) == different(*paths, f'{b.id}.json')


def test_partial_image_is_completed_by_a_layer_with_another_name(tmp_path):
    a = NamedImage('a', layer_names=['layer'])
    base = NamedImage('b', layer_names=['layer'])
    image = NamedImage('b', 'c', layer_names=['elsewhere', 'c'])
    paths = [
        a.write(tmp_path / 'a.tar'),
        base.write(tmp_path / 'base.tar'),
        image.write(tmp_path / 'image.tar', without=['elsewhere']),
    ]
    check(join(tmp_path, *paths, flags=['--verify']), a, base, image)


def test_damaged_layer_is_reported_by_its_own_name(tmp_path):
    a, b = (NamedImage(text, layer_names=['layer']) for text in 'ab')
    b.files['layer'] = layer_of('damaged')
    paths = [a.write(tmp_path / 'a.tar'), b.write(tmp_path / 'b.tar')]
    (line,) = problems(*flags_for(tmp_path, paths), **PROGRAM)
    assert line.startswith(f"layer 'layer' of '{paths[1]}' has the diff ID ")


def test_only_layers_of_one_name_are_read(tmp_path):
    """Once until they differ, once for the digest, once to be written."""
    size = 2 * LARGE
    images = []
    for text in 'ab':
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode='w') as tar:
            info = tarfile.TarInfo(text)
            info.size = size
            tar.addfile(info, io.BytesIO(bytes(size)))
        image = NamedImage(text, layer_names=['layer'])
        image.files['layer'] = data.getvalue()
        images.append(image.write(tmp_path / f'{text}.tar'))
    done, memory, read = measure(*flags_for(tmp_path, images), **PROGRAM)
    assert done.returncode == 0
    assert read < 3.5 * size
    assert memory < 100 << 20


# A file of one archive that is a directory of another one.


@pytest.mark.parametrize('deep', ['foo/bar', 'foo/bar/baz'])
def test_file_that_is_a_directory_elsewhere_is_an_error(tmp_path, deep):
    file = write_base(tmp_path / 'file.tar', BaseImage(['a']), more=[member('foo', b'')])
    below = write_base(tmp_path / 'below.tar', BaseImage(['b']), more=[member(deep, b'')])
    text = f"'{file}' has 'foo' and '{below}' has '{deep}', but a file is no directory"
    for order in ([file, below], [below, file]):
        assert refuses(tmp_path, *order) == f'{text}: leave one of them out'


def test_link_that_is_a_directory_elsewhere_is_an_error(tmp_path):
    more = [member('foo', kind=LINK, link='d')]
    link = write_base(tmp_path / 'link.tar', BaseImage(['a']), more=more)
    below = write_base(tmp_path / 'below.tar', BaseImage(['b']), more=[member('foo/bar', b'')])
    for order in ([link, below], [below, link]):
        assert 'but a file is no directory' in refuses(tmp_path, *order)


def test_directory_of_two_archives_is_no_error(tmp_path):
    one = write_base(tmp_path / '1.tar', BaseImage(['a']), more=[member('foo/a', b'')])
    more = [member('foo', kind=DIR), member('foo/b', b'')]
    other = write_base(tmp_path / '2.tar', BaseImage(['b']), more=more)
    for order in ([one, other], [other, one]):
        assert {'foo', 'foo/a', 'foo/b'} <= set(names(join(tmp_path, *order)))


def test_warnings_name_no_renamed_file(tmp_path):
    a, b = (NamedImage(text, pack=bz2.compress, layer_names=['layer']) for text in 'ab')
    paths = [a.write(tmp_path / 'a.tar'), b.write(tmp_path / 'b.tar')]
    found = warns(*flags_for(tmp_path, paths), **PROGRAM)
    assert [line.partition(' is ')[0] for line in found] == [
        f"layer 'layer' of '{path}'" for path in paths
    ]
