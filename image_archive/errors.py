# SPDX-License-Identifier: Apache-2.0
"""What is raised for wrong input. Any other exception is a mistake of the program."""


class ArchiveError(Exception):
    """An archive cannot be read, is damaged, or holds what no image may hold."""


class ArgumentError(ValueError):
    """An argument is wrong, or the content of a file that it names."""


class ProblemsError(ArgumentError):
    """An image has problems.

    Attributes:
        problems: the problems, one line for each.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__('\n'.join(problems))
        self.problems = problems


class AdvisedError(OSError):
    """An error of the system.

    Attributes:
        advice: what to do, for messages.
    """

    def __init__(self, number: int | None, text: str | None, path: str, advice: str) -> None:
        super().__init__(number, text, path)
        self.advice = advice


# What is raised for wrong input.
FAILURES = (OSError, ArgumentError, ArchiveError)
