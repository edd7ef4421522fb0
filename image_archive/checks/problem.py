# SPDX-License-Identifier: Apache-2.0
"""A problem of an image, and the one place that decides whether it is a warning or an error."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from absl import logging

from image_archive.errors import ArgumentError, ProblemsError


class Problem(NamedTuple):
    """A problem of an image.

    Attributes:
        text: one line for the user: what is wrong, and what to do.
        is_error: whether it is an error with --verify; otherwise it is only a warning.
        is_fatal: whether it is an error without --verify, too.
    """

    text: str
    is_error: bool = True
    is_fatal: bool = False


# What a check returns: it checks one thing, and yields a problem wherever that is not so.
Problems = Iterator[Problem]


_LIMIT = 10_000  # problems of one part; more of them fill memory


def limited(label: str, problems: Problems) -> Problems:
    """Yields problems, and after very many of them one that says so in place of the rest.

    Args:
        label: what has the problems, for messages.
        problems: the problems.
    """
    for count, problem in enumerate(problems):
        if count == _LIMIT:
            yield Problem(f'{label}: over {_LIMIT:,} problems were found: correct these first')
            return
        yield problem


def report(problems: Iterable[Problem], verifies: bool) -> None:
    """Warns of problems, or ends with them.

    Args:
        problems: the problems.
        verifies: whether --verify is given: then every error is reported.

    Raises:
        ProblemsError: with verifies, there are errors.
        ArgumentError: without it, there is a fatal problem. Only the first is reported, because
            others may be its consequences.
    """
    errors = []
    for problem in problems:
        if problem.is_fatal or (problem.is_error and verifies):
            errors.append(problem.text)
        else:
            logging.warning('%s', problem.text)
    if errors and verifies:
        raise ProblemsError(errors)
    if errors:
        raise ArgumentError(errors[0])
