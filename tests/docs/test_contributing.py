# SPDX-License-Identifier: Apache-2.0
"""CONTRIBUTING.md lists the wings, and CHANGELOG.md begins with the version."""

import re

import image_archive
from support.project import ROOT

WINGS = {path.parent.name for path in (ROOT / 'image_archive').glob('*/__init__.py')}


def test_guide_lists_every_wing():
    text = (ROOT / 'CONTRIBUTING.md').read_text()
    table = text.partition('## Where a change goes')[2]
    assert set(re.findall(r'^\| `(\w+)` \|', table, re.MULTILINE)) == WINGS


def test_changelog_begins_with_the_version():
    titles = re.findall(r'^## (\S+)', (ROOT / 'CHANGELOG.md').read_text(), re.MULTILINE)
    assert titles[0] == image_archive.VERSION
