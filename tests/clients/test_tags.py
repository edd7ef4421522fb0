# SPDX-License-Identifier: Apache-2.0
"""Tags: real Docker accepts exactly those that --verify accepts."""

import subprocess
import sys

import pytest

from support.clients import call
from support.project import ROOT
from support.running import build
from support.tags import BAD_TAGS, GOOD_TAGS, WARNED_TAGS

pytestmark = pytest.mark.client

# Tags. Docker completes one without a tag by `latest`, but loads no image under such a name.

HEX = 'a' * 64
TAGLESS = ['a', 'a/b', 'localhost/a', 'localhost:5000/a', 'h.example/a', 'a:1/b', 'latest']
TAGS = f"""
    LOCALHOST/a:1 Host/a:1 HOST.example/a:1 H:1/a:1 host/a:1 localhost:1 h.example:5000 docker.io:1
    docker.io/a:1 docker.io/library/a:1 index.docker.io/a/b:1 docker.io/:1 docker.io//a:1 a:1/b:2
    localhost:5000/A:1 localhost:5000//a:1 h.example:99999/a:1 h.example/a/b/c/d/e:1 h..example/a:1
    h.example./a:1 .h/a:1 h-.example/a:1 xn--bcher-kva.example/a:1 http://a:1 u@h.example/a:1
    h_x/a:1 h_x:5000/a:1 h_x.example/a:1 a__b.c/d:1 sha256:1 library/sha256:1 docker.io/sha256:1
    localhost/sha256:1 sha256/a:1 [::1]:5000/x:y [::FFFF]:1/x:1 [fe80::1%eth0]:5000/x:1 []/x:1
    [127.0.0.1]/x:1 [::1]x/y:1 ::1/x:1 [::1]:/x:1 [::1]/X:1 [::1]:5000/x:1:2
    a__b:1 a--b:1 a-_b:1 a_.b:1 _a:1 __a:1 a_:1 a__:1 a/_b:1 a/b-:1 a:_ a:__ a:1. a:1- a:. a:LATEST
    a:1+2 a:1~ a:1/ a::1 a:1: a:1# / : //a:1 /:1 a/b/:1 a@1 a:1@sha256:{HEX} a:sha256:{HEX}
    localhost:5000/a@sha256:{HEX} {HEX}:1 x/{HEX}:1 {HEX[1:]}:1 localhost:5000/{HEX}:1 A{HEX[1:]}:1
""".split()
TAGS += ['a :1', 'a: 1', 'a:1 ', '\ta:1', 'a:1\t', 'a\n:1', 'a:1\r', 'a b:1', 'a:1\x7f', 'h. /a:1']
TAGS += ['h.exämple/a:1', 'a:\uff11', 'a\u200b:1', '\u017f:1', '日本:1']
TAGS += [f'a:{"t" * length}' for length in (127, 128, 129)]
# The longest valid length of a name in Docker 20.10 and from version 28 on, which counts only the
# path; docker.io/library/ is included for images on Docker Hub.
LONGEST = [
    ('', 237, 247),
    ('a/', 245, 255),
    ('docker.io/', 247, 257),
    ('index.docker.io/', 253, 263),
    ('index.docker.io/a/', 261, 271),
    ('h.example:5000/', 255, 270),
    ('a/' * 118, 245, 255),
    ('h_x.example/', 245, 255),
]
for start, *lengths in LONGEST:
    for length in lengths:
        TAGS += [f'{start:a<{length}}:1', f'{start:a<{length + 1}}:1']


def newer_than_20_10(tag):
    """Returns whether only newer Dockers accept a tag: an upper-case host or a long name."""
    name = tag.rpartition(':')[0]
    host = name.partition('/')[0]
    return host != host.lower() or len(name) > 237


def test_docker_accepts_the_tags_that_verify_accepts(docker, parts):
    build(*parts.flags, '--tag=keep:1')
    docker.load(parts.output)
    tags = list(dict.fromkeys([*GOOD_TAGS, *BAD_TAGS, *TAGS, *TAGLESS]))
    flags = [*parts.flags, *(f'--tag={tag}' for tag in tags), '--verify']
    lines = call(sys.executable, ROOT / 'create_image.py', *flags, fails=True)
    refused = {tag for tag in tags if f'create_image: --tag: {tag!r}: ' in lines}
    assert refused >= {*BAD_TAGS, *TAGLESS}

    def docker_accepts(tag):
        command = [*docker.command, 'tag', '--', 'keep:1', tag]
        done = subprocess.run(command, capture_output=True, check=False)
        return done.returncode == 0

    if docker.version < 23:
        # It does not support IPv6 hosts, and its client sends a name without its tag.
        tags = [tag for tag in tags if not tag.startswith(('[', HEX))]
        tags = [tag for tag in tags if tag in refused or not newer_than_20_10(tag)]
    tags = [tag for tag in tags if tag not in TAGLESS]
    disagreed = [tag for tag in tags if docker_accepts(tag) == (tag in refused)]
    assert disagreed == [], [(tag[:60], len(tag)) for tag in disagreed]


def test_podman_accepts_the_tags_without_a_warning(podman, parts):
    build(*parts.flags, '--tag=keep:1')
    podman.load(parts.output)

    def podman_accepts(tag):
        command = [*podman.command, 'tag', 'keep:1', tag]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    assert [tag for tag in GOOD_TAGS if not podman_accepts(tag)] == list(WARNED_TAGS)
