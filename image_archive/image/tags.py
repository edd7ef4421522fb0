# SPDX-License-Identifier: Apache-2.0
"""Tags: names of images, as Docker parses them."""

import re
from typing import NamedTuple

# The grammar of github.com/distribution/reference, by which Docker parses tags.
_HOST_WORD = '[a-zA-Z0-9](-*[a-zA-Z0-9])*'
_HOST = rf'({_HOST_WORD}(\.{_HOST_WORD})*|\[[a-fA-F0-9:]+\])(:[0-9]+)?'
_PATH_WORD = '[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*'
_PATH = f'{_PATH_WORD}(/{_PATH_WORD})*'
_TAG = '[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}'
_REFERENCE = f'(?P<path>{_PATH}):(?P<tag>{_TAG})'
_PATH_LIMIT = 255  # characters
_TEXT_LIMIT = 4096  # characters; to match a tag takes 200 bytes of memory for each
_DEFAULT_HOST = 'docker.io'


class Tag(NamedTuple):
    """A tag, completed as Docker completes it.

    Attributes:
        host: the registry, docker.io by default; empty if the first component looks like one but
            is none.
        path: the repository in the registry, with library/ where Docker adds that.
        tag: the part after the colon.
    """

    host: str
    path: str
    tag: str

    @property
    def full_repository(self) -> str:
        """The repository with its host."""
        if not self.host:
            return self.path
        return f'{self.host}/{self.path}'

    @property
    def full_name(self) -> str:
        """The tag with its host, as containerd and Docker 29 name an image."""
        return f'{self.full_repository}:{self.tag}'

    @property
    def has_capital_host(self) -> bool:
        """Whether only its capitals show that the first component is a host."""
        return self.host != self.host.lower() and '.' not in self.host and ':' not in self.host


def parse_tag(text: str) -> Tag | None:
    """Parses [registry/]repository:tag as Docker 28 does.

    Args:
        text: the tag.

    Returns:
        The tag; None if Docker refuses it.
    """
    if len(text) > _TEXT_LIMIT:
        return None
    host, slash, path = text.partition('/')
    # Only these signs make a first component a host; Docker before 23 ignored capitals.
    is_host = host == 'localhost' or '.' in host or ':' in host or host != host.lower()
    if not slash or not is_host:
        host = _DEFAULT_HOST
        path = text
    if host == 'index.docker.io':
        host = _DEFAULT_HOST
    if host == _DEFAULT_HOST and '/' not in path:
        path = f'library/{path}'
    if re.fullmatch(_HOST, host) is None:  # it may still be a component of the path
        path = f'{host}/{path}'
        host = ''
    match = re.fullmatch(_REFERENCE, path)
    if match is None:
        return None
    if len(match['path']) > _PATH_LIMIT:
        return None
    # Docker: "refusing to create a tag with digest algorithm as name".
    if host == _DEFAULT_HOST and match['path'] == 'library/sha256':
        return None
    return Tag(host, match['path'], match['tag'])
