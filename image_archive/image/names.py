# SPDX-License-Identifier: Apache-2.0
"""Identifiers and tags, as people and their programs write them."""

import codecs
import re
from typing import NamedTuple

from image_archive.errors import ArgumentError
from image_archive.system import files

_HEX_DIGITS = '0123456789abcdef'

# What programs print of a file's SHA-256, on a line of its own. Patterns are compiled where they
# are needed: that takes time at every start.
_DIGEST_LINES = (
    # sha256sum: the digest, two blanks or a blank and an asterisk, the name. A backslash comes
    # first where the name has characters that are escaped.
    r'\\?(?:sha256:)?([0-9a-fA-F]{64})(?:\s.*)?',
    # The BSDs' sha256, `sha256sum --tag`, and openssl, whose newer releases say SHA2-256.
    r'\\?SHA(?:2-)?256 ?\(.*\) ?= ?([0-9a-fA-F]{64})',
)


class Identifier(NamedTuple):
    """An identifier and how it was found.

    Attributes:
        value: the identifier; 64 hex digits are lower-case.
        origin: where it was read, as " in 'FILE'"; else empty.
        notes: what is doubtful about the file, each a line for the user.
    """

    value: str
    origin: str
    notes: list[str]


def is_hex_id(identifier: str) -> bool:
    """Tells whether an identifier is the SHA-256 of something, in lower-case hex.

    Args:
        identifier: any text.
    """
    return len(identifier) == 64 and not identifier.strip(_HEX_DIGITS)


def normal_identifier(value: str) -> str:
    """Returns an identifier without `sha256:`, in lower case, where it is 64 hex digits.

    Args:
        value: an identifier as people write it; what is not 64 hex digits stays as it is.
    """
    digits = value.removeprefix('sha256:').lower()
    if is_hex_id(digits):
        return digits
    return value


def read_identifier(flag: str, value: str) -> Identifier:
    """Returns the identifier that a flag gives.

    Args:
        flag: the flag, for messages.
        value: the identifier, or '@FILE' for one that a program wrote to a file.

    Raises:
        OSError: the file cannot be read.
        ArgumentError: it has no identifier, or one that is no name for a file.
    """
    notes: list[str] = []
    origin = ''
    identifier = normal_identifier(value)
    if value == '@':
        raise ArgumentError(f'{flag}: @ names no file: give 64 hex digits or @FILE')
    if value.startswith('@'):
        origin = f' in {value[1:]!r}'
        identifier = normal_identifier(_find_identifier(flag, value[1:], notes))
    check_is_name(flag, identifier, origin)
    return Identifier(identifier, origin, notes)


def check_is_name(flag: str, identifier: str, origin: str = '') -> None:
    """Checks that an identifier can be a component of a path.

    Args:
        flag: the flag with its dashes, for errors.
        identifier: the identifier.
        origin: where it was read, as Identifier.origin.

    Raises:
        ArgumentError: it cannot.
    """
    if identifier in ('', '.', '..') or '/' in identifier or '\0' in identifier:
        advice = 'give 64 hex digits or @FILE'
        raise ArgumentError(f'{flag}: {identifier!r}{origin} is not an identifier: {advice}')


def _find_identifier(flag: str, path: str, notes: list[str]) -> str:
    data = files.read_whole(path)
    try:
        text = _decode_text(data)
    except UnicodeDecodeError as error:
        raise ArgumentError(f'{flag}: {path!r} has no identifier: give another file') from error
    digests = _find_digests(text)
    if len(set(digests)) > 1:
        notes.append(f'{flag}: {path!r} has {len(digests)} digests, and the first counts: give one')
    if digests:
        return digests[0]
    words = text.split()
    if not words or not _is_utf_8(words[0]):
        raise ArgumentError(f'{flag}: {path!r} has no identifier: give another file')
    return words[0]


def _decode_text(data: bytes) -> str:
    """Returns the text of a file without a byte order mark; PowerShell's > writes UTF-16.

    In UTF-8 any bytes are read: the name of a file, behind its digest, may have any.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode('utf-16')
    return data.decode('utf-8-sig', 'surrogateescape')


def _is_utf_8(text: str) -> bool:
    """Tells whether no byte of a text that _decode_text() returned was kept as it was."""
    try:
        text.encode('utf-8')
    except UnicodeEncodeError:
        return False
    return True


def _find_digests(text: str) -> list[str]:
    digests = []
    for line in text.splitlines():
        for pattern in _DIGEST_LINES:
            match = re.fullmatch(pattern, line.strip())
            if match is not None:
                digests.append(match[1].lower())
                break
    return digests


# Tags. The grammar is that of github.com/distribution/reference, by which Docker parses them.
_HOST_WORD = '[a-zA-Z0-9](-*[a-zA-Z0-9])*'
_HOST = rf'({_HOST_WORD}(\.{_HOST_WORD})*|\[[a-fA-F0-9:]+\])(:[0-9]+)?'
_PATH_WORD = '[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*'
_PATH = f'{_PATH_WORD}(/{_PATH_WORD})*'
_TAG = '[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}'
_REFERENCE = f'(?P<path>{_PATH}):(?P<tag>{_TAG})'
_PATH_LIMIT = 255  # characters
_DEFAULT_HOST = 'docker.io'


class Tag(NamedTuple):
    """A tag, completed as Docker does it.

    Attributes:
        host: the registry, docker.io where none is given; empty where the first component is
            taken for one, and then is none.
        path: the repository in it, with library/ where Docker adds that.
        tag: what is behind the colon.
    """

    host: str
    path: str
    tag: str

    @property
    def full_name(self) -> str:
        """The tag as containerd and Docker 29 name an image, with the host."""
        name = f'{self.path}:{self.tag}'
        if self.host:
            name = f'{self.host}/{name}'
        return name


def parse_tag(text: str) -> Tag | None:
    """Parses [registry/]repository:tag as Docker 28 does.

    Args:
        text: the tag as it is given.

    Returns:
        The tag; None for what Docker refuses.
    """
    host, slash, path = text.partition('/')
    # A first component is a host by these signs alone; Docker before 23 did not go by capitals.
    is_host = host == 'localhost' or '.' in host or ':' in host or host != host.lower()
    if not slash or not is_host:
        host = _DEFAULT_HOST
        path = text
    if host == 'index.docker.io':
        host = _DEFAULT_HOST
    if host == _DEFAULT_HOST and '/' not in path:
        path = f'library/{path}'
    if re.fullmatch(_HOST, host) is None:  # it may be a component of the path all the same
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
