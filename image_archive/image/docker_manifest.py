# SPDX-License-Identifier: Apache-2.0
"""manifest.json and `repositories`, by which Docker names images (Docker image specification)."""

import re
from typing import Any

from image_archive.errors import ArchiveError
from image_archive.image.oci_index import LAYOUT_NAMES
from image_archive.image.strict_json import JsonError, KnownKeys, load_object, loads
from image_archive.tar.archive import Archive
from image_archive.tar.names import is_usable_name, normal_name

MANIFEST_NAME = 'manifest.json'
REPOSITORIES_NAME = 'repositories'
TOP_NAME = 'top'
# Members of a base that are not merged. The first three are written anew; the last two would make
# containerd and Docker 29 load the base instead of the new image (seen).
REPLACED_NAMES = (TOP_NAME, REPOSITORIES_NAME, MANIFEST_NAME, *LAYOUT_NAMES)

# Of an entry in manifest.json, as Docker, Podman and Skopeo read it.
KNOWN_KEYS = KnownKeys(('Config', 'RepoTags', 'Layers', 'Parent', 'LayerSources'))

# The name of a configuration: by the Docker image specification, or of Docker since 25
# (blobs/sha256/HEX) or crane (sha256:HEX), which leave out the .json.
_CONFIG_NAME = r'(?s:(.+))\.json|(?:blobs/sha256/|sha256:)([0-9a-f]{64})'

# {repository: {tag: v1 identifier}}, as Docker 1.9 and older read it.
Repositories = dict[str, dict[str, str]]


def is_merged(name: str) -> bool:
    """Tells whether a member of a base is merged into an image; name is its normal name."""
    if not name.startswith(REPLACED_NAMES):  # as most do not
        return True
    return name.split('/')[0] not in REPLACED_NAMES


def image_id_of(config_name: str) -> str | None:
    """Returns the ID that Parent has for an image; None if the name does not contain it.

    Args:
        config_name: the normal name of the configuration. What precedes .json need not be hex.
    """
    match = re.fullmatch(_CONFIG_NAME, config_name)
    if match is None:
        return None
    return f'sha256:{match[1] or match[2]}'


def read_manifest(archive: Archive) -> list[Any] | None:
    """Returns the list in manifest.json, with known keys in their usual spelling.

    Args:
        archive: the archive.

    Returns:
        The list; None without that member.

    Raises:
        ArchiveError: it is not a list, or a link that leads to no file.
        OSError: it cannot be read.
    """
    content = archive.read_file(MANIFEST_NAME)
    if content is None:
        link = archive.member(MANIFEST_NAME)
        if link is not None and link.is_link:
            raise dangling_link(archive, MANIFEST_NAME)
        if not archive.has_end:
            text = f'is cut off and lacks {MANIFEST_NAME!r}: replace it'
            raise ArchiveError(f'{archive.path!r} {text}')
        return None
    try:
        manifest = KNOWN_KEYS.in_usual_spelling(loads(content))
    except JsonError as error:
        raise ArchiveError(
            f'{archive.path!r}: {MANIFEST_NAME} {error.reason}: replace it'
        ) from error
    if not isinstance(manifest, list):
        raise ArchiveError(f'{archive.path!r}: {MANIFEST_NAME} is not a JSON list: replace it')
    return manifest


def dangling_link(archive: Archive, name: str) -> ArchiveError:
    """Returns the error for a link that leads to no file."""
    return ArchiveError(f'{archive.path!r}: {name!r} is a link that leads to no file: replace it')


def check_entry(path: str, entry: Any) -> dict[str, Any]:
    """Returns an entry of a manifest, if an image can be read by it.

    Args:
        path: the path of the archive, for messages.
        entry: an item of the list in manifest.json.

    Raises:
        ArchiveError: Config is not a string, Layers not a list of strings, or one of them is not
            a name.
    """
    error = ArchiveError(f'{path!r}: {MANIFEST_NAME} lacks a valid Config or Layers: replace it')
    if not isinstance(entry, dict):
        raise error
    layers = entry.get('Layers')
    if layers is None:
        layers = []
    if not isinstance(layers, list):
        raise error
    for name in [entry.get('Config'), *layers]:
        if not isinstance(name, str) or not is_usable_name(name):
            raise error
    return entry


def layers_of(entry: dict[str, Any]) -> tuple[str, ...]:
    """Returns the normal names of the layers in an entry that check_entry() returned."""
    return tuple(normal_name(name) for name in entry.get('Layers') or ())


def tags_of(path: str, entry: dict[str, Any]) -> tuple[str, ...]:
    """Returns the tags in an entry of a manifest.

    Args:
        path: the path of the archive, for messages.
        entry: the entry.

    Raises:
        ArchiveError: they are not a list of strings.
    """
    tags = entry.get('RepoTags')
    if tags is None:
        tags = []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        text = f'{MANIFEST_NAME} has RepoTags that are no list of strings'
        raise ArchiveError(f'{path!r}: {text}: replace it')
    return tuple(tags)


def layer_sources_of(path: str, entry: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns LayerSources of an entry of a manifest: descriptors by diff IDs.

    They say what Docker downloaded: of foreign layers, since Docker 25 of all (ManifestItem in
    image/tarexport of moby).

    Args:
        path: the path of the archive, for messages.
        entry: the entry.

    Raises:
        ArchiveError: they are not an object of objects.
    """
    sources = entry.get('LayerSources')
    if sources is None:
        sources = {}
    if not isinstance(sources, dict) or not all(isinstance(one, dict) for one in sources.values()):
        text = f'{MANIFEST_NAME} has LayerSources that are no object of descriptors'
        raise ArchiveError(f'{path!r}: {text}: replace it')
    return sources


def read_repositories(archive: Archive) -> Repositories:
    """Returns the names in `repositories`; none without that member.

    Args:
        archive: the archive.

    Raises:
        ArchiveError: it is not of that form, or comes twice with different content.
        OSError: it cannot be read.
    """
    archive.check_repeated([REPOSITORIES_NAME])
    content = archive.read_file(REPOSITORIES_NAME)
    if content is None:
        return {}
    repositories = load_object(content)
    if repositories is None or not all(map(_are_names, repositories.values())):
        text = f'{REPOSITORIES_NAME} is not {{"repository": {{"tag": "ID"}}}}'
        raise ArchiveError(f'{archive.path!r}: {text}: replace it')
    return repositories


def _are_names(tags: Any) -> bool:
    if not isinstance(tags, dict):
        return False
    return all(isinstance(identifier, str) for identifier in tags.values())
