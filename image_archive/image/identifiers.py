# SPDX-License-Identifier: Apache-2.0
"""Identifiers of images and layers: a SHA-256, as people and their programs write it."""

import codecs
import re
from typing import NamedTuple

from image_archive.digests import is_sha256_hex
from image_archive.errors import ArgumentError
from image_archive.system.flag_values import text_of_argument
from image_archive.system.inputs import read_small_file

# What programs print for the SHA-256 of a file, on a line of its own. The patterns are compiled
# when they are needed, because that takes time at every start.
_DIGEST_LINES = (
    # sha256sum: the digest, two blanks or a blank and an asterisk, the name. A backslash comes
    # first if characters of the name are escaped.
    r'\\?(?:sha256:)?([0-9a-fA-F]{64})(?:\s.*)?',
    # The BSDs' sha256, `sha256sum --tag`, and openssl, whose newer releases print SHA2-256.
    r'\\?SHA(?:2-)?256 ?\(.*\) ?= ?([0-9a-fA-F]{64})',
)


class Identifier(NamedTuple):
    """An identifier that an argument gives.

    Attributes:
        value: the identifier; 64 hex digits are in lower case.
        origin: the file that has it, as " in 'FILE'" for messages; empty without a file.
        path: the path of that file; None without a file.
        warnings: what is doubtful about the file, one line each.
    """

    value: str
    origin: str = ''
    path: str | None = None
    warnings: tuple[str, ...] = ()


def normal_identifier(value: str) -> str:
    """Returns 64 hex digits in lower case and without `sha256:`; anything else as it is."""
    digits = value.removeprefix('sha256:').lower()
    if is_sha256_hex(digits):
        return digits
    return value


def read_identifier(flag: str, argument: str) -> Identifier:
    """Returns the identifier that a flag gives, whatever the locale.

    Args:
        flag: the flag with its dashes, for messages.
        argument: the value of the flag as Python decoded it: an identifier, or '@FILE' for a file
            that a program such as sha256sum wrote.

    Raises:
        OSError: the file cannot be read.
        ArgumentError: it has no identifier, or one that cannot be a component of a path.
    """
    if argument == '@':
        raise ArgumentError(f'{flag}: @ names no file: give 64 hex digits or @FILE')
    if not argument.startswith('@'):
        identifier = Identifier(normal_identifier(text_of_argument(argument)))
    else:
        identifier = _read_file(flag, argument[1:])
    check_is_name(flag, identifier.value, identifier.origin)
    return identifier


def check_is_name(flag: str, identifier: str, origin: str = '') -> None:
    """Checks that an identifier can be a component of a path.

    Args:
        flag: the flag with its dashes, for messages.
        identifier: the identifier.
        origin: as Identifier.origin.

    Raises:
        ArgumentError: it cannot.
    """
    if identifier in ('', '.', '..') or '/' in identifier or '\0' in identifier:
        advice = 'give 64 hex digits or @FILE'
        raise ArgumentError(f'{flag}: {identifier!r}{origin} is not an identifier: {advice}')


def _read_file(flag: str, path: str) -> Identifier:
    label = repr(text_of_argument(path))
    no_identifier = ArgumentError(f'{flag}: {label} has no identifier: give another file')
    try:
        text = _decode(read_small_file(path))
    except UnicodeDecodeError as error:
        raise no_identifier from error
    warnings = []
    digests = _find_digests(text)
    words = text.split()
    if digests:
        value = digests[0]
    elif words and _is_utf_8(words[0]):
        value = normal_identifier(words[0])
    else:
        raise no_identifier
    if len(set(digests)) > 1:
        text = f'{label} has {len(digests)} digests, and the first is used: keep only one'
        warnings.append(f'{flag}: {text}')
    return Identifier(value, f' in {label}', path, tuple(warnings))


def _decode(data: bytes) -> str:
    """Returns the text of a file, without a byte order mark; PowerShell's > writes UTF-16.

    In UTF-8 any bytes are accepted: a name after the digest may have any.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode('utf-16')
    return data.decode('utf-8-sig', 'surrogateescape')


def _is_utf_8(text: str) -> bool:
    """Tells whether all bytes of a text that _decode() returned were UTF-8."""
    try:
        text.encode('utf-8')
    except UnicodeEncodeError:
        return False
    return True


def _find_digests(text: str) -> list[str]:
    """Returns the digests on the lines of a text, in hex."""
    digests = []
    for line in text.splitlines():
        for pattern in _DIGEST_LINES:
            match = re.fullmatch(pattern, line.strip())
            if match is not None:
                digests.append(match[1].lower())
                break
    return digests
