# SPDX-License-Identifier: Apache-2.0
"""docs/bazel-rules.md describes docker.bzl, and the tool of the rules works; CI uses the rules."""

import bz2
import gzip
import json
import lzma
import os
import re
import subprocess
import sys

import pytest

import utils
from image_archive.image.tags import parse_tag
from support.amounts import some_every_day
from support.images import MODERN, BaseImage, Parts, base_diff_ids, write_base
from support.loader import describe_base, load, write_archives
from support.project import DATA, FIXTURES, ROOT
from support.running import build
from support.tars import sha256

TEXT = (ROOT / 'docs' / 'bazel-rules.md').read_text()
RULES = (ROOT / 'docker.bzl').read_text()
# Attributes that the macro gives.
HIDDEN = {'archive', 'label_files', 'partial_archive'}


def section(title, level='##'):
    return TEXT.partition(f'\n{level} {title}\n')[2].partition(f'\n{level} ')[0]


def rows(text):
    """Returns the names in the first column of the tables of a text."""
    cells = re.findall(r'^\| (`[^|]*`) \|', text, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r'`([\w./-]+)`', cell)]


def attributes():
    rule = RULES.partition('\n_docker_build = rule(')[2].partition('\n)\n')[0]
    return set(re.findall(r'^        ([a-z]\w*) = attr\.', rule, re.MULTILINE)) - HIDDEN


def test_tables_list_every_attribute_once():
    text = section('docker_build').partition('The values of `data_path`')[0]
    assert sorted(rows(text)) == sorted(attributes())


def test_table_lists_every_output_group():
    groups = RULES.partition('OutputGroupInfo(')[2].partition('\n        ),')[0]
    names = re.findall(r'^            (\w+) = depset', groups, re.MULTILINE)
    listed = rows(section('Files of the target', '###').partition('output groups')[2])
    assert sorted(listed) == names


def test_attributes_that_are_new_since_2016_are_listed():
    """Those of 2016 are in the documentation of Bazel 0.3."""
    of_2016 = {
        *('base', 'data_path', 'directory', 'files', 'mode', 'tars', 'debs', 'symlinks'),
        *('entrypoint', 'cmd', 'user', 'env', 'labels', 'ports', 'volumes', 'workdir'),
        'repository',
    }
    assert of_2016 < attributes()
    text = section('Compared with the rule of 2016').rpartition('|\n\n')[2]
    new = text.partition(' are new')[0]
    assert set(re.findall(r'`(\w+)`', new)) == attributes() - of_2016


def test_every_attribute_is_used_where_ci_compares_the_result():
    workspace = ROOT / 'tests' / 'bazel'
    builds = [workspace / name / 'BUILD' for name in ('files', 'rules')]
    text = ''.join(path.read_text() for path in builds)
    assert {name for name in attributes() if f' {name} = ' not in text} == set()


def test_every_error_of_the_rules_has_a_target_that_fails():
    """CI builds each of them, and looks for the message."""
    wrong = ROOT / 'tests' / 'bazel' / 'wrong'
    rules = (wrong / 'BUILD').read_text().split('\ndocker_build(')[1:]
    names = [re.search('name = "(.*)"', rule)[1] for rule in rules]
    listed = [line.partition(':')[0] for line in (wrong / 'messages.txt').read_text().splitlines()]
    assert sorted(listed) == sorted(names)


def test_tags_that_ci_checks_are_those_of_the_programs():
    text = (ROOT / 'tests' / 'bazel' / 'files' / 'tags.bzl').read_text()
    found = {}
    for name in ('TAKEN', 'REFUSED'):
        (literal,) = re.findall(rf'^{name} = (\[.*?^\])', text, re.MULTILINE | re.DOTALL)
        found[name] = [f'{repository}:{tag}' for repository, tag in eval(literal)]
    assert [tag for tag in found['TAKEN'] if parse_tag(tag) is None] == []
    assert [tag for tag in found['REFUSED'] if parse_tag(tag) is not None] == []


# tools/load_image.sh, which `bazel run` runs, with a client that only says what it is told.

FAKE = """\
#!/bin/sh
here=${0%/*}
case $1 in
    image) cat "$here/$(echo "$4" | tr :/ __)" ;;
    load)
        echo "${2#--input=}" >>"$here/loads"
        . "$here/answer"
        ;;
    tag) echo "$2 $3" >>"$here/tags" ;;
esac
"""
KNOWN = 'layer sha256:1\nlayer sha256:2\nname sha256:b\nname old/base:1\ntag new/app:1\ntag app:2\n'


@pytest.fixture
def client(tmp_path):
    """A function that runs load_image.sh; the directory of the client is its attribute."""
    directory = tmp_path / "it's a & client"
    directory.mkdir()
    program = directory / 'docker'
    program.write_text(FAKE)
    program.chmod(0o755)
    (directory / 'answer').write_text('echo Loaded image: new/app:1')
    paths = {name: directory / name for name in ('whole', 'partial', 'known')}
    paths['whole'].write_bytes(bytes(300))
    paths['partial'].write_bytes(bytes(20))
    paths['known'].write_text(KNOWN)

    def run(*arguments, base=True):
        parts = [paths['partial'], paths['known']] if base else ['', '']
        return load(program, 'app', paths['whole'], *parts, *arguments)

    run.directory = directory
    return run


def lines_of(client, name):
    path = client.directory / name
    return path.read_text().splitlines() if path.exists() else []


def loaded(client):
    return [line.rpartition('/')[2] for line in lines_of(client, 'loads')]


def has(client, name, *layers):
    """Lets the client have an image with these layers."""
    text = ''.join(f'sha256:{layer}\n' for layer in layers)
    (client.directory / re.sub('[:/]', '_', name)).write_text(text + '\n')


def test_whole_image_is_sent_to_a_client_without_the_base(client):
    done = client()
    assert (done.returncode, done.stderr) == (0, '')
    program = client.directory / 'docker'
    assert done.stdout.splitlines() == [
        f'app: {program} lacks the base: sending the whole image, 300 bytes',
        'Loaded image: new/app:1',
        'app: the image has the tag new/app:1',
        'app: the image has the tag app:2',
    ]
    assert loaded(client) == ['whole']


@pytest.mark.parametrize('name', ['sha256:b', 'old/base:1', 'new/app:1', 'app:2', 'my/app:3'])
@pytest.mark.parametrize('above', [[], ['3']])
def test_only_new_layers_are_sent_to_a_client_with_the_base(client, name, above):
    """In the base, or in an earlier build of the image."""
    has(client, name, '1', '2', *above)
    done = client('my/app:3')
    assert (done.returncode, done.stderr) == (0, '')
    text = f'has the layers of the base in {name}: sending the others, 20 bytes'
    assert f'app: {client.directory / "docker"} {text}\n' in done.stdout
    assert loaded(client) == ['partial']
    assert lines_of(client, 'tags') == [
        f'new/app:1 {tag}' for tag in ('new/app:1', 'app:2', 'my/app:3')
    ]


@pytest.mark.parametrize('layers', [['1'], ['2', '1'], ['1', '22'], ['3', '1', '2'], []])
def test_image_without_all_layers_of_the_base_is_none(client, layers):
    has(client, 'old/base:1', *layers)
    assert client().returncode == 0
    assert loaded(client) == ['whole']


@pytest.mark.parametrize(
    'answer',
    ['echo "Error unpacking image x: not found"', 'echo "failed to resolve layers" >&2; exit 1'],
)
def test_whole_image_is_sent_where_the_new_layers_do_not_load(client, answer):
    has(client, 'old/base:1', '1', '2')
    answers = f'case $2 in */partial) {answer} ;; *) echo Loaded image ID: sha256:c ;; esac'
    (client.directory / 'answer').write_text(answers)
    done = client()
    assert (done.returncode, done.stderr) == (0, '')
    text = 'cannot complete the others: sending the whole image, 300 bytes'
    assert f'app: {client.directory / "docker"} {text}\n' in done.stdout
    assert loaded(client) == ['partial', 'whole']
    assert lines_of(client, 'tags') == ['sha256:c new/app:1', 'sha256:c app:2']


@pytest.mark.parametrize('answer', ['echo "Error unpacking image x: no space"', 'exit 7'])
def test_whole_image_that_does_not_load_is_an_error(client, answer):
    (client.directory / 'answer').write_text(answer)
    done = client()
    assert done.returncode == 1
    assert done.stderr == f'app: {client.directory / "docker"} did not load the image\n'
    assert lines_of(client, 'tags') == []


def test_image_without_a_base_is_sent_whole(client):
    done = client(base=False)
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.startswith('app: the image has no base: sending the whole image, 300 bytes')
    assert lines_of(client, 'tags') == []
    assert client('my/app:1', base=False).returncode == 0
    assert lines_of(client, 'tags') == ['new/app:1 my/app:1']


def test_tag_that_cannot_be_set_is_an_error(client):
    program = client.directory / 'docker'
    program.write_text(FAKE.replace('tag) ', 'tag) exit 1; '))
    done = client()
    assert (done.returncode, done.stderr) == (1, f'app: {program} did not tag the image\n')


@pytest.mark.parametrize('arguments', [['--quiet'], ['a b'], ['a:1;id'], ['a:1', 'b:2']])
def test_wrong_argument_is_an_error(client, arguments):
    done = client(*arguments)
    assert done.returncode == 1
    assert re.fullmatch('app: .*: give (repository:tag|one tag at most)\n', done.stderr)
    assert loaded(client) == []


def test_missing_client_is_an_error(tmp_path):
    done = load(tmp_path / 'none', 'app', '/none', '', '')
    assert done.returncode == 1
    expected = f"app: there is no '{tmp_path / 'none'}': set DOCKER to docker or podman\n"
    assert done.stderr == expected


# tools/describe_base.py, which says what a client may know the base by.


@pytest.mark.parametrize('base', some_every_day(MODERN, ['docker-20.10.tar', 'podman-4.3.tar']))
def test_description_of_a_base(tmp_path, base):
    _, (*_, known) = write_archives(tmp_path, base)
    manifest = utils.GetLatestManifestFromTar(FIXTURES / base)
    config = sha256(utils.GetTarFile(FIXTURES / base, manifest['Config']))
    names = [f'sha256:{config}', *digests_in_index(base), *(manifest['RepoTags'] or [])]
    assert known.read_text().splitlines() == [
        *(f'layer {diff_id}' for diff_id in base_diff_ids()),
        *(f'name {name}' for name in names),
        'tag example/app:1.0',
    ]


def digests_in_index(base):
    index = utils.GetTarFile(FIXTURES / base, 'index.json')
    if index is None:
        return []
    return [descriptor['digest'] for descriptor in json.loads(index)['manifests']]


def test_names_that_a_shell_would_read_are_left_out(tmp_path):
    base = tmp_path / 'base.tar'
    write_base(base, BaseImage(['a/layer.tar'], tags=['x:1', 'a b', '$(id)', '*', '-x', 'y:2\nz']))
    image = Parts(tmp_path, below=BaseImage(['a/layer.tar']).diff_ids, base=base)
    build(*image.without('legacy_base'))
    describe_base(1, base, image.output, image.config, tmp_path / 'known')
    names = re.findall('^name (.*)', (tmp_path / 'known').read_text(), re.MULTILINE)
    assert names == [f'sha256:{BaseImage(["a/layer.tar"]).id}', 'x:1']


def test_base_may_be_an_oci_layout_as_a_directory(tmp_path):
    base = tmp_path / 'base'
    base.mkdir()
    index = utils.GetTarFile(FIXTURES / 'docker-29-containerd.tar', 'index.json')
    (base / 'index.json').write_bytes(index)
    image, _ = write_archives(tmp_path / 'image')
    known = tmp_path / 'known'
    describe_base(1, base, tmp_path / 'image' / 'partial.tar', image.config, known)
    assert f'name {json.loads(index)["manifests"][0]["digest"]}\n' in known.read_text()


# tools/sha256.py.


@pytest.mark.parametrize('compress', [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_sha256_of_a_compressed_layer_is_of_its_content(tmp_path, compress):
    layer = (DATA / 'base-layer-1.tar').read_bytes()
    done = write_sha256(tmp_path, compress(layer))
    assert (done.returncode, done.stderr) == (0, b'')
    assert (tmp_path / 'digest').read_text() == f'{sha256(layer)}\n'


def test_cut_off_layer_is_an_error(tmp_path):
    done = write_sha256(tmp_path, gzip.compress(bytes(1000))[:-1])
    assert done.returncode == 1
    assert done.stderr.decode() == f"sha256: '{tmp_path / 'file'}' is cut off: replace it\n"
    assert not (tmp_path / 'digest').exists()


def write_sha256(directory, content):
    (directory / 'file').write_bytes(content)
    return subprocess.run(
        [sys.executable, ROOT / 'tools' / 'sha256.py', directory / 'file', directory / 'digest'],
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        check=False,
    )
