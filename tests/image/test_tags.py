# SPDX-License-Identifier: Apache-2.0
"""Tags, which --verify checks (sections 2 and 7)."""

from support.running import problems, warns
from support.tags import BAD_TAGS, GOOD_TAGS, WARNED_TAGS
from support.tars import manifest


def test_good_tags_are_accepted(parts):
    warnings = [f'--tag: {text.format(tag)}' for tag, text in WARNED_TAGS.items()]
    flags = [f'--tag={tag}' for tag in GOOD_TAGS]
    assert problems(*parts.flags, *flags, warnings=warnings) == []
    assert manifest(parts.output)['RepoTags'] == GOOD_TAGS


def test_bad_tags_are_reported(parts):
    flags = [*parts.flags, *(f'--tag={tag}' for tag in BAD_TAGS)]
    lines = []
    for tag in BAD_TAGS:
        text = 'give a lower-case [registry/]repository:tag'
        if '@' in tag:
            text = 'it has a digest, which cannot be part of a tag: give [registry/]repository:tag'
        lines.append(f'--tag: {tag!r}: {text}')
    assert problems(*flags) == lines
    assert warns(*flags) == lines


SLOW_TAGS = [
    'a-' * 50000,
    'a' * 100000 + '!',
    '-' * 100000 + 'a',
    'a.' * 30000 + '/!',
    'a__' * 30000,
]


def test_long_tags_are_checked_quickly(parts):
    """A regular expression that backtracks would exceed the time limit."""
    lines = problems(*parts.flags, *(f'--tag={tag}' for tag in SLOW_TAGS), timeout=20)
    assert len(lines) == len(SLOW_TAGS)
