# SPDX-License-Identifier: Apache-2.0
"""The commands of the README and docs/, run as they stand there, and what they say of the code."""

import itertools
import json
import re

import pytest

import create_image
import create_image_config
import join_layers
from support.amounts import some_every_day
from support.needs import require
from support.pages import NAMES, PAGES, README, Checkout, blocks, section, steps
from support.project import DATA, ROOT
from support.tars import content, make_tar, manifest, sha256, uncompressed

PROGRAMS = [create_image, create_image_config, join_layers]


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


# Commands, and the output below each.


@pytest.mark.parametrize('page', PAGES, ids=NAMES)
def test_every_command_gives_the_output_below_it(checkout, page):
    require('make', 'tar', 'sha256sum')
    for block in blocks('console', page.read_text()):
        for command, output in steps(block):
            assert checkout.shell(command).stdout.decode().splitlines() == output, command


def test_the_readme_has_output_to_compare():
    found = [steps(block) for block in blocks('console', README.read_text())]
    assert sum(bool(output) for _, output in itertools.chain(*found)) > 8


# Scripts, whose results are compared.


@pytest.mark.parametrize(
    'base',
    some_every_day(
        ['docker-20.10.tar.gz', 'docker-29-containerd.tar', 'crane-0.21.tar', 'podman-4.3.tar'],
        ['docker-20.10.tar.gz'],
    ),
)
def test_recipe_for_a_derived_image(checkout, base):
    """With the file of another program for that of `docker save`."""
    require('tar', 'sha256sum')
    folder = checkout.folder
    fixture = DATA / 'bases' / base
    saves = f'[ "$*" = "save -o base.tar debian:12" ] && cp {fixture} base.tar'
    checkout.add_program('docker', saves)
    (folder / 'root' / 'etc').mkdir(parents=True)
    (folder / 'root' / 'etc' / 'new').write_text('new\n')
    (recipe,) = blocks('sh', section('## On a base image'))
    assert checkout.succeeds(recipe) == ''
    image = folder / 'image.tar'
    entry, below = manifest(image), manifest(fixture)
    config = json.loads(content(image, entry['Config']))
    old = json.loads(content(fixture, below['Config']))
    digests = ['sha256:' + sha256(uncompressed(content(image, name))) for name in entry['Layers']]
    assert config['rootfs']['diff_ids'] == digests
    assert digests[:-1] == old['rootfs']['diff_ids']
    assert config['config']['Cmd'] == ['/bin/sh']
    assert entry['RepoTags'] == ['example/derived:1.0']


def test_script_for_ci(checkout):
    """As it stands, with a cat for the client."""
    require('make')
    folder = checkout.folder
    make_tar(folder / 'layer.tar', {'hello': b'content'})
    checkout.add_program('docker', '[ "$*" = load ] && cat > loaded.tar')
    (script,) = blocks('sh', section('## In CI'))
    checkout.succeeds(script)
    entry = manifest(folder / 'loaded.tar')
    assert entry['RepoTags'] == ['example/app:dev']
    config = json.loads(content(folder / 'loaded.tar', entry['Config']))
    layer = sha256((folder / 'layer.tar').read_bytes())
    assert config['rootfs']['diff_ids'] == [f'sha256:{layer}']
    assert config['created'] == '1970-01-01T00:00:00Z'


# What stands elsewhere, too.


@pytest.mark.parametrize(
    'place', ['examples/hello/BUILD', 'tests/bazel/BUILD', 'tests/bazel/WORKSPACE']
)
def test_the_readme_has_rules_of(place):
    assert any(block in (ROOT / place).read_text() for block in starlark_blocks())


def test_bazel_rules_are_those_that_ci_builds():
    places = ['examples/hello/BUILD', 'tests/bazel/BUILD', 'tests/bazel/WORKSPACE']
    texts = [(ROOT / place).read_text() for place in places]
    for block in starlark_blocks():
        assert any(block in text for text in texts), block


def starlark_blocks():
    found = blocks('starlark', README.read_text())
    assert found
    return found


@pytest.mark.parametrize('program', PROGRAMS, ids=lambda program: program.__name__)
def test_the_table_of_flags_is_whole(program):
    rows = re.findall('^\\| (`--.*?) \\|', section(f'### {program.__name__}'), re.MULTILINE)
    listed = [name for row in rows for name in re.findall(r'`--(\w+)', row)]
    assert sorted(listed) == sorted(program._FLAGS)


@pytest.mark.parametrize('program', PROGRAMS, ids=lambda program: program.__name__)
def test_what_is_required_is_said_so(program):
    rows = re.findall(r'^\| `--(\w+).*Required \|$', section(f'### {program.__name__}'), re.M)
    required = [name for name in program._FLAGS if program._FLAGS[name].help.startswith('required')]
    assert sorted(rows) == sorted(required)


def anchors(text):
    """Returns the names that links have for the titles of a page."""
    titles = re.findall('^#+ (.*)$', re.sub('^```.*?^```', '', text, flags=re.M | re.S), re.M)
    return {re.sub(r'[^\w -]', '', title).lower().replace(' ', '-') for title in titles}


@pytest.mark.parametrize('page', PAGES, ids=NAMES)
def test_links_lead_somewhere(page):
    for link in re.findall(r'\]\(([^)]+)\)', page.read_text()):
        path, _, anchor = link.partition('#')
        target = page.parent / path if path else page
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target.read_text()), link


def test_every_page_is_linked():
    links = re.findall(r'\]\(([^)#]+)', README.read_text())
    assert {name for name in NAMES if name != 'README.md'} <= set(links)
