# SPDX-License-Identifier: Apache-2.0
"""OCI image layouts that are directories (sections 5 and 9)."""

import json
import os
import resource
import shutil

import pytest

from support.faults import error_of
from support.images import configuration, write_base
from support.joins import image_of
from support.made_layouts import (
    CONFIG,
    FULL_NAME,
    MANIFEST,
    PLAIN,
    Derived,
    Made,
    compact,
    one_image,
)
from support.measuring import LARGE, measure
from support.running import build, fails, start
from support.tars import content, manifest, member, sha256, tar_of

NO_LAYOUT = (
    'is a directory, but not an OCI image layout: '
    'give an archive of an image, or the directory with index.json and oci-layout'
)


@pytest.fixture
def base(tmp_path):
    return one_image(compressed=False).write_directory(tmp_path / 'base')


def digest_on(directory, base):
    """Returns the SHA-256 of an image that is built on a base."""
    directory.mkdir()
    return sha256(Derived(directory, base, delete='above/file').write('--verify').read_bytes())


def files_in(base):
    return sorted(path for path in base.rglob('*') if path.is_file())


def joined(tmp_path, base):
    output = tmp_path / 'joined.tar'
    build(f'--output={output}', f'--layer={base}', program='join_layers')
    return sha256(output.read_bytes())


def test_files_may_be_links_that_lead_out(tmp_path, base):
    """In a sandbox everything is a link."""
    expected = digest_on(tmp_path / 'one', base)
    store = tmp_path / 'store'
    store.mkdir()
    for number, path in enumerate(files_in(base)):
        path.rename(store / str(number))
        path.symlink_to(store / str(number))
    assert digest_on(tmp_path / 'two', base) == expected
    (base / 'blobs').rename(store / 'blobs')
    (base / 'blobs').symlink_to(store / 'blobs')
    assert digest_on(tmp_path / 'three', base) == expected
    (tmp_path / 'link').symlink_to(base)
    assert digest_on(tmp_path / 'four', tmp_path / 'link') == expected


def test_bytes_do_not_depend_on_order_modes_or_times(tmp_path, base):
    expected = digest_on(tmp_path / 'one', base), joined(tmp_path, base)
    made = one_image(compressed=False)
    made.blobs = dict(reversed(made.blobs.items()))
    other = made.write_directory(tmp_path / 'other')
    for path in files_in(other):
        path.chmod(0o640)
        os.utime(path, (5, 5))
    assert (digest_on(tmp_path / 'two', other), joined(tmp_path, other)) == expected


@pytest.mark.parametrize('spelling', ['{}/', '{}/.', './base', 'base'])
def test_path_in_any_spelling(tmp_path, base, spelling):
    output = tmp_path / 'config.json'
    flags = [f'--base={spelling.format(base)}', f'--output={output}']
    build(*flags, program='create_image_config', cwd=tmp_path)
    build(*flags, '--delete=above/file', program='build_tar', cwd=tmp_path)


def test_other_files_are_passed_over(tmp_path, base):
    """manifest.json, too: it counts in archives alone."""
    expected = digest_on(tmp_path / 'one', base), joined(tmp_path, base)
    (base / 'manifest.json').write_text('[]')
    (base / 'blobs' / 'sha256' / 'other').write_text('x')
    (base / 'blobs' / 'sha256' / ('A' * 64)).write_text('x')
    (base / 'repositories').write_text('x')
    os.mkfifo(base / 'blobs' / 'sha256' / ('a' * 64))
    assert (digest_on(tmp_path / 'two', base), joined(tmp_path, base)) == expected


# Blobs that are not files.


def layer_in(base):
    """Returns the path of a layer."""
    return max(files_in(base), key=lambda path: path.stat().st_size)


NO_FILES = {
    'nothing': lambda path: None,
    'a link to nothing': lambda path: path.symlink_to('missing'),
    'a directory': lambda path: path.mkdir(),
    'a FIFO': os.mkfifo,
    'a device': lambda path: path.symlink_to('/dev/zero'),
}


@pytest.mark.parametrize('case', NO_FILES)
def test_blob_that_is_no_file_is_missing(tmp_path, base, time_limit, case):
    derived = Derived(tmp_path, base)
    path = layer_in(base)
    path.unlink()
    NO_FILES[case](path)
    time_limit(20)
    name = path.relative_to(base)
    assert (
        fails(*derived.flags())
        == f'{str(base)!r} lacks its layer {str(name)!r}: give a whole image'
    )


def test_link_that_leads_to_itself_is_an_error(tmp_path, base):
    derived = Derived(tmp_path, base)
    path = layer_in(base)
    path.unlink()
    path.symlink_to(path.name)
    assert fails(*derived.flags()).startswith(f'{str(path)!r}: Too many levels of symbolic links')


@pytest.mark.parametrize('name', ['index.json', 'oci-layout'])
def test_directory_without_both_files_is_no_layout(parts, time_limit, name):
    base = one_image().write_directory(parts.directory / 'base')
    for make in (lambda path: None, os.mkfifo, os.mkdir):
        path = base / name
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
        make(path)
        time_limit(20)
        for flag in ('base', 'legacy_base'):
            assert fails(*parts.flags, f'--{flag}={base}') == f'{str(base)!r} {NO_LAYOUT}'


def test_link_to_another_blob_is_found_by_verify(tmp_path, base):
    """A blob is what its digest says, wherever it is."""
    derived = Derived(tmp_path, base)
    path = layer_in(base)
    other = tmp_path / 'other'
    other.write_bytes(tar_of(member('evil')))
    path.unlink()
    path.symlink_to(other)
    line = fails(*derived.flags('--verify'))
    assert str(path.relative_to(base)) in line
    assert str(path.relative_to(base)) in fails(*derived.flags('--oci', '--verify'))


# Many blobs.


def image_with(made, *layers):
    """Adds an image with plain layers; returns the descriptor of its manifest."""
    described = [made.add(layer, PLAIN) for layer in layers]
    config = configuration([layer['digest'] for layer in described])
    value = {'schemaVersion': 2, 'config': made.add(compact(config), CONFIG), 'layers': described}
    return made.add(compact(value), MANIFEST)


@pytest.mark.slow
@pytest.mark.parametrize('flag', ['--oci', '--verify'])
def test_more_layers_than_files_may_be_open(tmp_path, flag):
    made = Made()
    layers = [tar_of(member(f'd{number}', bytes(64 << 10))) for number in range(170)]
    made.roots.append(image_with(made, *layers))
    base = made.write_directory(tmp_path / 'base')
    derived = Derived(tmp_path, base, delete='d7')

    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (190, 190))

    build(*derived.flags(flag), preexec_fn=limit, warnings=True)
    entry = manifest(derived.output)
    assert len(entry['Layers']) == 171
    assert [content(derived.output, name) for name in entry['Layers'][:-1]] == layers


def test_an_index_costs_no_read_of_a_layer(tmp_path):
    """Two images, of which one is chosen by the tag that the index gives it."""
    made = Made()
    for name in ('one', 'two'):
        image = image_with(made, tar_of(member(name, bytes(LARGE))))
        made.roots.append({**image, 'annotations': {FULL_NAME: f'docker.io/example/{name}:1'}})
    base = made.write_directory(tmp_path / 'base')
    flags = [f'--output={tmp_path}/config.json', f'--base={base}', '--base_tag=example/two:1']
    done, _, read = measure(*flags, program='create_image_config')
    assert done.returncode == 0
    assert read < LARGE
    config = json.loads((tmp_path / 'config.json').read_text())
    layer = tar_of(member('two', bytes(LARGE)))
    assert config['rootfs']['diff_ids'] == [f'sha256:{sha256(layer)}']


# What changes.

CHANGES = {
    'shrinks': lambda path: os.truncate(path, 1 << 20),
    'grows': lambda path: path.open('ab').write(b'more'),
    'is rewritten': lambda path: path.open('r+b').write(b'other'),
    'is replaced': lambda path: [shutil.copy(path, f'{path}.new'), os.replace(f'{path}.new', path)],
}


@pytest.mark.parametrize('change', CHANGES)
def test_blob_that_changes_while_it_is_copied_is_an_error(tmp_path, change):
    made = Made()
    made.roots.append(image_with(made, tar_of(member('large', bytes(4 << 20)))))
    base = made.write_directory(tmp_path / 'base')
    derived = Derived(tmp_path, base)
    os.mkfifo(derived.output)
    process = start(derived.flags())
    path = layer_in(base)
    with open(derived.output, 'rb') as fifo:
        fifo.read(1 << 20)
        CHANGES[change](path)
        fifo.read()
    assert error_of(process).startswith(f'{str(path)!r}')


# Outputs.


def outputs_in(tmp_path, base, blob):
    """Returns paths that are a file of a layout."""
    hard = tmp_path / 'hard'
    os.link(blob, hard)
    link = tmp_path / 'link'
    link.symlink_to(blob)
    return [blob, hard, link, base / 'index.json']


@pytest.mark.parametrize(
    'program', ['create_image', 'create_image_config', 'build_tar', 'join_layers']
)
def test_output_that_is_a_file_of_the_layout_is_an_error(tmp_path, base, program):
    derived = Derived(tmp_path, base)
    blob = layer_in(base)
    before = {path: path.read_bytes() for path in files_in(base)}
    flag = '--layer' if program == 'join_layers' else '--base'
    more = [f'{flag}={base}']
    if program == 'create_image':
        more = derived.flags()
    for output in outputs_in(tmp_path, base, blob):
        line = fails(*more, f'--output={output}', program=program)
        assert line == f'--output: {str(output)!r} is also the file of {flag}: give another path'
    if program == 'create_image':
        digest_file = f'--digest_file={blob}'
        assert fails(*more, '--oci', digest_file).startswith('--digest_file: ')
    if program == 'build_tar':
        flags = [*more, f'--output={tmp_path / "layer.tar"}', f'--id_file={blob}']
        assert fails(*flags, program=program).startswith('--id_file: ')
    assert {path: path.read_bytes() for path in files_in(base)} == before


def test_new_file_in_the_layout_may_be_the_output(tmp_path, base):
    derived = Derived(tmp_path, base)
    build(*derived.flags(), f'--output={base / "image.tar"}')


def test_directory_is_joined_with_archives(tmp_path, base):
    other = write_base(tmp_path / 'other.tar', image_of('a', tag='a:1'))
    output = tmp_path / 'joined.tar'
    flags = [f'--output={output}', f'--layer={other}', f'--layer={base}']
    build(*flags, warnings=True, program='join_layers')
    assert b'docker.io/example/one:1.0' in content(output, 'manifest.json')
