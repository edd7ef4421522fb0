# SPDX-License-Identifier: Apache-2.0
"""Tags that clients accept, and tags that they refuse."""


# Tags.

GOOD_TAGS = [
    'a:1',
    'a/b:1',
    'a/b/c/d:latest',
    'localhost/a:1',
    'localhost:5000/a:1',
    'host.example/a:1',
    'Host.Example:80/a:1',
    '127.0.0.1:5000/a:1',
    '[::1]/a:1',
    '[2001:db8::1]:5000/a/b:1',
    'a.b_c__d-e---f:1',
    'a:' + 't' * 128,
    'a:_T.x-',
    '0/1:2',
    'a' * 247 + ':1',
    'localhost/sha256:1',
    'sha256/a:1',
    # Before version 23 Docker accepts upper-case hosts only with a dot or a colon.
    'Host/a:1',
    # Not a host, although it has a dot: an underscore is allowed only in a component of the path.
    'h_x.example/a:1',
    'a__b.c/d:1',
    # The host is not included in the limit.
    'host.example/' + 'a' * 255 + ':1',
]
# Those of them that Podman refuses.
LONG = '{!r}: Podman and Skopeo refuse over 255 characters with the registry: shorten it'
ADDRESS = '{!r}: Podman and Skopeo refuse an IPv6 address as the registry: give a name'
WARNED_TAGS = {
    '[::1]/a:1': ADDRESS,
    '[2001:db8::1]:5000/a/b:1': ADDRESS,
    'a' * 247 + ':1': LONG,
    'Host/a:1': '{!r}: Podman and Skopeo refuse capitals in a registry without dot and port: '
    'give it in lower case',
    'host.example/' + 'a' * 255 + ':1': LONG,
}
BAD_TAGS = [
    'a',
    'a/b',
    'localhost:5000/a',
    ':1',
    'a:',
    '/a:1',
    'a/:1',
    'a//b:1',
    'A:1',
    'a/B:1',
    'a:' + 't' * 129,
    'a:.t',
    'a:-t',
    'a:t t',
    ' a:1',
    'a:1\n',
    'a:1:2',
    'a@sha256:' + 'a' * 64,
    'a:1@sha256:' + 'a' * 64,
    '.a:1',
    'a.:1',
    'a..b:1',
    'a___b:1',
    '-a:1',
    'a-:1',
    'ä:1',
    'a:ä',
    '[::1:5000/a:1',
    '[x]/a:1',
    'host.example:/a:1',
    'host.example:port/a:1',
    '-host.example/a:1',
    'a' * 248 + ':1',
    'host.example/' + 'a' * 256 + ':1',
    'h_x.example/' + 'a' * 244 + ':1',
    'h_x:5000/a:1',
    'sha256:x',
    'library/sha256:x',
    'docker.io/sha256:x',
]
