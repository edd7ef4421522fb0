# SPDX-License-Identifier: Apache-2.0
"""The commands of the README and docs/ are run; what the pages say about the code is checked."""

import ast
import collections
import itertools
import json
import re
import shlex

import pytest

import build_image
import build_tar
import create_image
import create_image_config
import join_layers
from support.amounts import some_every_day
from support.needs import require
from support.pages import NAMES, PAGES, README, Checkout, blocks, section, steps
from support.project import DATA, ROOT
from support.tars import content, manifest, sha256, uncompressed

PROGRAMS = [build_image, build_tar, create_image, create_image_config, join_layers]
BAZEL = ROOT / 'docs' / 'bazel.md'
FLAGS = ROOT / 'docs' / 'flags.md'


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


# Commands and their output.


@pytest.mark.parametrize('name', some_every_day(NAMES, ['README.md', 'docs/layers.md']))
def test_every_command_prints_the_output_below_it(checkout, name):
    page = (ROOT / name).read_text()
    found = [step for block in blocks('console', page) for step in steps(block)]
    words = {command.lstrip('(').split()[0] for command, _ in found}
    programs = words - {'.', 'cd'}  # built into the shell
    require('tar', 'sha256sum', *(name for name in programs if '/' not in name))
    for command, output in found:
        assert checkout.shell(command).stdout.decode().splitlines() == output, command


def test_pages_have_output_to_compare():
    found = [steps(block) for page in PAGES for block in blocks('console', page.read_text())]
    assert sum(bool(output) for _, output in itertools.chain(*found)) > 20


# Scripts and their results.


@pytest.mark.parametrize(
    'base',
    some_every_day(
        ['docker-20.10.tar.gz', 'docker-29-containerd.tar', 'crane-0.21.tar', 'podman-4.3.tar'],
        ['docker-20.10.tar.gz'],
    ),
)
def test_script_for_a_derived_image(checkout, base):
    """The output of `docker save` is replaced by an archive of another program."""
    require('tar', 'sha256sum')
    directory = checkout.directory
    fixture = DATA / 'bases' / base
    quoted = shlex.quote(str(fixture))
    saves = f'[ "$*" = "save -o base.tar debian:12" ] && cp {quoted} base.tar'
    checkout.add_program('docker', saves)
    (directory / 'root' / 'etc').mkdir(parents=True)
    (directory / 'root' / 'etc' / 'new').write_text('new\n')
    (recipe,) = blocks('sh', section('## On a base image'))
    assert checkout.succeeds(recipe) == ''
    image = directory / 'derived.tar'
    entry, below = manifest(image), manifest(fixture)
    config = json.loads(content(image, entry['Config']))
    old = json.loads(content(fixture, below['Config']))
    digests = ['sha256:' + sha256(uncompressed(content(image, name))) for name in entry['Layers']]
    assert config['rootfs']['diff_ids'] == digests
    assert digests[:-1] == old['rootfs']['diff_ids']
    assert config['config']['Cmd'] == ['/bin/sh']
    assert entry['RepoTags'] == ['example/derived:1.0']


def test_first_script_makes_an_image_in_two_lines(checkout):
    """Docker is replaced by `cp`."""
    directory = checkout.directory
    (directory / 'root').mkdir()
    checkout.succeeds('python3 examples/hello/make_hello.py root/hello')
    checkout.add_program('docker', '[ "$*" = "load --input=image.tar" ] && cp image.tar loaded.tar')
    first = blocks('sh', README.read_text())[0]
    assert len(first.splitlines()) == 2
    assert checkout.succeeds(f'. .venv/bin/activate\n{first}') == ''
    image = directory / 'loaded.tar'
    config = json.loads(content(image, manifest(image)['Config']))
    assert config['config'] == {'Entrypoint': ['/hello']}
    assert manifest(image)['RepoTags'] == ['example/app:1.0']


def test_script_for_ci_loads_an_image(checkout):
    """The client is replaced by `cat`."""
    require('make')
    directory = checkout.directory
    (directory / 'hello').write_bytes(b'content')
    checkout.add_program('docker', '[ "$*" = load ] && cat > loaded.tar')
    (script,) = blocks('sh', section('## In CI'))
    checkout.succeeds(script)
    entry = manifest(directory / 'loaded.tar')
    assert entry['RepoTags'] == ['example/app:dev']
    config = json.loads(content(directory / 'loaded.tar', entry['Config']))
    (layer,) = entry['Layers']
    (directory / 'layer.tar').write_bytes(content(directory / 'loaded.tar', layer))
    assert content(directory / 'layer.tar', 'hello') == b'content'
    assert config['created'] == '1970-01-01T00:00:00Z'


def test_script_packs_a_clone(checkout):
    require('git')
    (script,) = blocks('sh', BAZEL.read_text())
    git = 'git -c user.name=x -c user.email=x@example.com'
    checkout.succeeds(f'{git} init --quiet && git add . && {git} commit --quiet --message=x')
    checkout.succeeds(script)
    version = re.search(r'^## (\S+)', (ROOT / 'CHANGELOG.md').read_text(), re.MULTILINE)[1]
    name = f'create_image-{version}'
    assert f'{name}/deps.bzl' in checkout.succeeds(f'tar --list --file={name}.tar.gz').split()


def test_number_of_scripts_on_each_page():
    """They are run here, by tests/clients/test_readme.py, or by hand (CONTRIBUTING.md)."""
    counts = collections.Counter(
        {name: len(blocks('sh', page.read_text())) for name, page in zip(NAMES, PAGES, strict=True)}
    )
    assert +counts == {
        'README.md': 3,
        'CONTRIBUTING.md': 1,
        'docs/bazel.md': 1,
        'docs/joins.md': 1,
        'docs/registries.md': 2,
    }


@pytest.mark.parametrize('page', PAGES, ids=NAMES)
def test_every_block_is_in_a_tested_language(page):
    fences = re.findall('^```(.*)', page.read_text(), re.MULTILINE)
    assert set(fences[::2]) <= {'console', 'python', 'sh', 'starlark'}
    assert set(fences[1::2]) <= {''}


def test_python_example(checkout):
    """It uses the layer and the image of the section that it names."""
    for block in blocks('console', section('## An image from scratch')):
        for command, _ in steps(block):
            checkout.succeeds(command)
    (example,) = blocks('python', README.read_text())
    (checkout.directory / 'example.py').write_text(example)
    assert checkout.succeeds('python3 example.py') == ''
    joined = json.loads(content(checkout.directory / 'joined.tar', 'manifest.json'))
    tags = [entry['RepoTags'] for entry in joined]
    assert tags == [['example/by-hand:1.0'], ['example/from-python:1.0']]
    verify = './join_layers.py --output=verified.tar --layer=joined.tar --verify'
    assert checkout.succeeds(verify) == ''


# Blocks that are also in other files.

PLACES = [
    'examples/bazel/BUILD',
    'examples/hello/BUILD',
    'tests/bazel/BUILD',
    'tests/bazel/MODULE.bazel',
    'tests/bazel/WORKSPACE',
    'tests/bazel/rules/BUILD',
]
TO_FILL_IN = 'https://example.com/'


def starlark_blocks():
    return [block for page in PAGES for block in blocks('starlark', page.read_text())]


@pytest.mark.parametrize('place', PLACES)
def test_pages_have_a_block_of_each_bazel_file(place):
    assert any(block in (ROOT / place).read_text() for block in starlark_blocks())


def test_ci_builds_the_bazel_blocks():
    texts = [(ROOT / place).read_text() for place in PLACES]
    for block in starlark_blocks():
        assert TO_FILL_IN in block or any(block in text for text in texts), block


@pytest.mark.parametrize(
    'rule, from_a_directory',
    [('http_archive', 'local_repository'), ('archive_override', 'local_path_override')],
)
def test_setup_with_an_archive_differs_only_in_its_rule(rule, from_a_directory):
    """CI builds the setup with a local directory."""
    found = [block for block in starlark_blocks() if f'\n{rule}(' in block]
    (filled_in,) = found
    (built,) = [block for block in starlark_blocks() if f'{from_a_directory}(' in block]
    calls = calls_by_rule(filled_in)
    values = calls.pop(rule)
    calls.pop('load_http', None)
    other_calls = calls_by_rule(built)
    name = 'name' if rule == 'http_archive' else 'module_name'
    assert values[name] == other_calls.pop(from_a_directory)[name] == 'create_image'
    assert calls == other_calls
    assert values['urls'] == [f'{TO_FILL_IN}{values["strip_prefix"]}.tar.gz']
    assert values['strip_prefix'] == 'create_image-<version>'
    assert values.keys() & {'sha256', 'integrity'}


def calls_by_rule(block):
    """Returns the arguments of the calls in a block, parsed as Python."""
    calls = {}
    for statement in ast.parse(block).body:
        rule = statement.value.func.id
        if rule == 'load' and statement.value.args[0].value.endswith('http.bzl'):
            rule = 'load_http'
        calls[rule] = {
            keyword.arg: ast.literal_eval(keyword.value) for keyword in statement.value.keywords
        }
        calls[rule]['positional'] = [ast.literal_eval(value) for value in statement.value.args]
    return calls


def test_urls_to_fill_in_are_marked():
    for page in PAGES:
        text = page.read_text()
        if TO_FILL_IN in ''.join(blocks('starlark', text)):
            assert text.lower().count('**fill in**') == text.count(f'"{TO_FILL_IN}'), page


# The tables of flags.


@pytest.mark.parametrize('program', PROGRAMS, ids=lambda program: program.__name__)
def test_table_lists_every_flag(program):
    rows = re.findall('^\\| (`--.*?) \\|', section(f'## {program.__name__}', FLAGS), re.MULTILINE)
    listed = [name for row in rows for name in re.findall(r'`--(\w+)', row)]
    assert sorted(listed) == sorted(program._FLAGS)


@pytest.mark.parametrize('program', PROGRAMS, ids=lambda program: program.__name__)
def test_table_marks_required_flags(program):
    rows = re.findall(r'^\| `--(\w+).*Required \|$', section(f'## {program.__name__}', FLAGS), re.M)
    required = [name for name in program._FLAGS if program._FLAGS[name].help.startswith('required')]
    assert sorted(rows) == sorted(required)


# Titles, contents and links.


def titles(text, level='#+'):
    return re.findall(
        f'^{level} (.*)$', re.sub('^```.*?^```', '', text, flags=re.M | re.S), re.MULTILINE
    )


def anchor_of(title):
    """Returns the anchor of a title in links."""
    return re.sub(r'[^\w -]', '', title).lower().replace(' ', '-')


def anchors(text):
    return {anchor_of(title) for title in titles(text)}


def test_readme_is_short():
    assert len(README.read_text().splitlines()) <= 250


def test_contents_list_all_sections_and_come_first():
    text = README.read_text()
    listed = re.findall(r'^- \[(.*)\]\(#(.*)\)$', text.partition('\n## ')[0], re.MULTILINE)
    assert listed == [(title, anchor_of(title)) for title in titles(text, '##')]


@pytest.mark.parametrize('page', PAGES, ids=NAMES)
def test_links_have_a_target(page):
    for link in re.findall(r'\]\(([^)]+)\)', page.read_text()):
        path, _, anchor = link.partition('#')
        target = page.parent / path if path else page
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target.read_text()), link


def test_readme_links_to_every_page():
    links = re.findall(r'\]\(([^)#]+)', README.read_text())
    assert {name for name in NAMES if name != 'README.md'} <= set(links)
