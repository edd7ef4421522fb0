# SPDX-License-Identifier: Apache-2.0
"""Hostile and damaged bases: each ends in a whole archive, or in one line and no output.

MUTANTS=20000 in the environment sets how many mutants are tried, in place of 280, or of
5500 with ALL_TESTS=1. Each is seeded by its number, which a failure names; its file stays in the
test's directory.
"""

import resource

import pytest

from support.amounts import ALL_TESTS, amount
from support.hostile import MEMORY, mutant
from support.images import BASES
from support.project import DATA

MUTANTS = amount('MUTANTS', every_day=280, all_tests=5500)


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
    ends = [target.run(mutant(base, number)[0]) for number in range(6 if ALL_TESTS else 3)]
    assert any(ends)
