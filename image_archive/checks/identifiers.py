# SPDX-License-Identifier: Apache-2.0
"""What may be wrong with the identifiers and tags of an image."""

from collections.abc import Iterable

from image_archive.checks.problem import Problem, Problems
from image_archive.digests import is_sha256_hex
from image_archive.image.docker_manifest import Repositories
from image_archive.image.tags import parse_tag

_REPOSITORY_LIMIT = 255  # characters, with the registry


def identifier_problems(flag: str, identifier: str, origin: str = '') -> Problems:
    """Checks that an identifier is 64 hex digits.

    Args:
        flag: the flag that gives it, for messages.
        identifier: the identifier.
        origin: as Identifier.origin.
    """
    if not is_sha256_hex(identifier):
        text = f'{identifier!r}{origin} is not 64 hex digits'
        yield Problem(f'{flag}: {text}: give a SHA-256')


def tag_problems(label: str, tags: Iterable[str]) -> Problems:
    """Checks that Docker takes every tag, and that Podman does.

    Podman's and Skopeo's rules are those of Docker before 23 (seen with Podman 4.3 and 5.8).

    Args:
        label: the flag or the image that has the tags, for messages.
        tags: the tags.
    """
    for tag in tags:
        if '@' in tag:
            text = f'{tag!r}: it has a digest, which cannot be part of a tag'
            yield Problem(f'{label}: {text}: give [registry/]repository:tag')
            continue
        parsed = parse_tag(tag)
        if parsed is None:
            yield Problem(f'{label}: {tag!r}: give a lower-case [registry/]repository:tag')
        elif parsed.has_capital_host:
            text = f'{tag!r}: Podman and Skopeo refuse capitals in a registry without dot and port'
            yield Problem(f'{label}: {text}: give it in lower case', is_error=False)
        elif parsed.host.startswith('['):
            text = f'{tag!r}: Podman and Skopeo refuse an IPv6 address as the registry'
            yield Problem(f'{label}: {text}: give a name', is_error=False)
        elif len(parsed.full_repository) > _REPOSITORY_LIMIT:
            text = f'{tag!r}: Podman and Skopeo refuse over {_REPOSITORY_LIMIT} characters with'
            yield Problem(f'{label}: {text} the registry: shorten it', is_error=False)


def replaced_name_problems(new: Repositories, old: Repositories, path: str) -> Problems:
    """Checks that names in the new `repositories` are not those of other images.

    Args:
        new: the names that --repository and --name give.
        old: the names in the `repositories` of an archive.
        path: the path of the archive.
    """
    for repository, tags in new.items():
        for tag, identifier in tags.items():
            replaced = old.get(repository, {}).get(tag, identifier)
            if replaced != identifier:
                name = f'{repository}:{tag}'
                text = f'{path!r} has another image with the name {name!r}'
                advice = 'give another name'
                yield Problem(f'--repository and --name: {text}: {advice}', is_error=False)
