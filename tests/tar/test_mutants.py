# SPDX-License-Identifier: Apache-2.0
"""Hostile and damaged bases: the output is a valid archive, or the error one line.

MUTANTS=20000 in the environment sets how many mutants are tried; the default is 280, or 5500 with
ALL_TESTS=1. The number of a mutant is its seed; a failure names it, and the mutant's file stays in
the directory of the test.
"""

import resource

import pytest

from support.amounts import ALL_TESTS, amount
from support.hostile import MEMORY, mutant
from support.images import BASES
from support.project import DATA

MUTANTS = amount('MUTANTS', every_day=280, all_tests=5500)


@pytest.mark.parametrize('base', BASES)
def test_mutants_from_python(target, base):
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
def test_mutants_on_the_command_line(target, base):
    ends = [target.run(mutant(base, number)[0]) for number in range(6 if ALL_TESTS else 3)]
    assert any(ends)
