# SPDX-License-Identifier: Apache-2.0
"""Hostile and damaged bases: each ends in a whole archive, or in one line and no output.

MUTANTS=20000 in the environment sets how many mutants are tried, in place of 5500. Each is
seeded by its number, which a failure names; its file stays in the test's folder.
"""

import os
import resource

import pytest

from support.hostile import MEMORY, mutant
from support.images import BASES
from support.project import DATA

MUTANTS = int(os.environ.get('MUTANTS', '5500'))


@pytest.mark.parametrize('base', BASES)
def test_mutants(target, base):
    reference = target.attempt((DATA / 'bases' / base).read_bytes())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(MUTANTS // len(BASES)):
        data, guarded = mutant(base, number)
        try:
            result = target.attempt(data)
            assert not guarded or result in (None, reference)
        except BaseException as error:
            raise AssertionError(f'mutant {number} of {base}') from error
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 < MEMORY


@pytest.mark.parametrize('base', BASES)
def test_mutants_by_command_line(target, base):
    ends = [target.run(mutant(base, number)[0]) for number in range(6)]
    assert any(ends)
