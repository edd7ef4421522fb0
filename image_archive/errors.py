# SPDX-License-Identifier: Apache-2.0
"""What the programs raise for input that is wrong; anything else is a mistake of their own."""


class ArchiveError(Exception):
    """An archive is unreadable or damaged, or holds what no image may hold."""


class ArgumentError(ValueError):
    """An argument, or what a file that it names says, is wrong."""


class ProblemsError(ArgumentError):
    """An image has several problems.

    Attributes:
        problems: a line for each.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__('\n'.join(problems))
        self.problems = problems
