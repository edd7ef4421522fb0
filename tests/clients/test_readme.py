# SPDX-License-Identifier: Apache-2.0
"""What the pages say about real clients."""

import re
import subprocess

import pytest

from support.clients import Containerd, call, registry
from support.images import on_fixture
from support.needs import require
from support.pages import Checkout, blocks, section, steps
from support.project import ROOT
from support.running import build
from support.tars import sha256

pytestmark = pytest.mark.client


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


def test_scripts_push_to_a_registry(checkout, tmp_path):
    """The registry is on this machine, without TLS, in place of the one in the scripts."""
    require('docker-registry', 'skopeo', 'tar')
    text = (ROOT / 'docs' / 'registries.md').read_text()
    for block in blocks('console', text):
        for command, _ in steps(block):
            checkout.succeeds(command)
    push, push_unchanged = blocks('sh', text)
    with registry(tmp_path / 'registry') as address:

        def run(script):
            script = script.replace('registry.example.com', address)
            return checkout.succeeds(script.replace(' copy ', ' copy --dest-tls-verify=false '))

        shown = run(push)
        run(push_unchanged)
        inspect = ['skopeo', 'inspect', '--tls-verify=false', '--format={{.Digest}}']
        pushed, shipped = (
            call(*inspect, f'docker://{address}/hello:{tag}') for tag in ('1.0', '1.1')
        )
    assert '"Cmd":["/hello"]' in re.sub(r'\s', '', shown)
    assert 'manifest.json' in shown
    digest = (checkout.directory / 'digest.txt').read_text().strip()
    assert shipped == digest
    assert pushed != digest


def test_script_pushes_all_platforms_to_a_registry(checkout, tmp_path):
    require('docker-registry', 'skopeo', 'tar')
    text = section('## Several platforms under one tag', ROOT / 'docs' / 'joins.md')
    checkout.succeeds('make --silent image > output.txt')
    for block in blocks('console', text):
        for command, _ in steps(block):
            checkout.succeeds(command)
    (push,) = blocks('sh', text)
    with registry(tmp_path / 'registry') as address:
        script = push.replace('registry.example.com', address)
        checkout.succeeds(script.replace(' copy ', ' copy --dest-tls-verify=false '))
        inspect = ['skopeo', 'inspect', '--tls-verify=false', '--raw']
        raw = call(*inspect, f'docker://{address}/hello:1.0')
    assert (
        f'sha256:{sha256(raw.encode())}' == (checkout.directory / 'digest.txt').read_text().strip()
    )


# Messages of the clients.

PARTIAL = ROOT / 'docs' / 'partial-images.md'
ROWS = {
    'docker-graphdriver': 'Docker, older store',
    'docker-containerd': "Docker, containerd's store (the default from 29 on)",
    'containerd': 'containerd',
    'podman': 'Podman',
}


def test_table_has_the_messages_of_clients_without_the_base(request, store, tmp_path):
    image = on_fixture(tmp_path, 'docker-20.10.tar')
    build(*image.without('legacy_base'), '--oci', '--tag=example/app:1')
    title = ROWS[request.node.callspec.params['store']]
    (row,) = re.findall(
        rf'^\| {re.escape(title)} \| (.*) \| (.*) \|$',
        section('## Without the base', PARTIAL),
        re.M,
    )
    ends_well = row[1].startswith('ends with status 0')
    done = subprocess.run(
        [*store.command, *store.LOAD, image.output], capture_output=True, check=False
    )
    assert (done.returncode == 0) == ends_well
    said = (done.stdout + done.stderr).decode()
    (words,) = re.findall('`(.*)`', row[0])
    pattern = re.escape(words).replace(r'\.\.\.', '.*').replace('<digest>', '[0-9a-f]{64}')
    assert re.search(pattern, said)
    lists_it = 'lists an image' in row[1]
    if isinstance(store, Containerd):
        lists_it = re.search(r'Version: +1\.6\.', store('version')) is not None
    assert store.tags() == ({'example/app:1'} if lists_it else set())
