# SPDX-License-Identifier: Apache-2.0
"""Reads base images: the manifest of an archive, and what an image can be built on."""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from image_archive.errors import ArchiveError
from image_archive.image import image_config, strict_json
from image_archive.tar import sources, tar_reader
from image_archive.tar.sources import Archive
from image_archive.tar.tar_reader import Member

MANIFEST = 'manifest.json'
_MANIFEST_LIMIT = 4 << 20  # bytes

# How the configuration is named: by the Docker image specification, and by Docker since 25
# (blobs/sha256/<hex>) and crane (sha256:<hex>), which leave the .json out.
_CONFIG_NAME = r'(?s:(.+))\.json|(?:blobs/sha256/|sha256:)([0-9a-f]{64})'


def ExtractValue(value: str) -> str:
    """Returns a value, or the text of the file that it names.

    Args:
        value: anything; '@FILE' names a file in UTF-8.

    Returns:
        The text of the file where value starts with '@', else value.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not UTF-8.
    """
    if not value.startswith('@'):
        return value
    with open(value[1:], encoding='utf-8') as file:
        return file.read()


def GetTarFile(f: str, name: str) -> bytes | None:
    """Reads one file of an archive, plain or compressed, through links.

    Args:
        f: the path of the archive.
        name: the name of the member; './name' and '/name' are looked for in its place.

    Returns:
        The content, of the last member of that name; None if there is none.

    Raises:
        OSError: the archive cannot be read.
        ArchiveError: it is no sound archive, or the member is a link that leads to no file.
    """
    with sources.open_archive(f) as archive:
        return _read_spelled(archive, name)


def _read_spelled(archive: Archive, name: str) -> bytes | None:
    for spelling in (name, f'./{name}', f'/{name}'):
        found = None
        for member in archive.members:
            if member.name == spelling and (member.is_file or member.is_link):
                found = member
        if found is not None:
            return _read_through_links(archive, found)
    return None


def _read_through_links(archive: Archive, member: Member) -> bytes:
    if member.is_file:
        return archive.read(member, limit=None)
    target = sources.target_name(tar_reader.normal_name(member.name), member)
    content = archive.read_file(target, limit=None)
    if content is None:
        raise _dangling(archive, member.name)
    return content


def _dangling(archive: Archive, name: str) -> ArchiveError:
    return ArchiveError(f'{archive.path!r}: {name!r} is a link that leads to no file: replace it')


def GetManifestFromTar(f: str | None = None) -> list[Any]:
    """Reads the manifest of an image archive.

    Args:
        f: the path of the archive; nothing where it is None or empty.

    Returns:
        The list in manifest.json, or [] without a file or without that member.

    Raises:
        OSError: the archive cannot be read.
        ArchiveError: it is no sound archive, or its manifest.json is not a JSON list.
    """
    if not f:
        return []
    with sources.open_archive(f, keep_all=False) as archive:
        return _read_manifest(archive) or []


def GetLatestManifestFromTar(f: str | None = None) -> dict[str, Any] | None:
    """Reads the last entry of the manifest of an image archive.

    Args:
        f: the path of the archive; nothing where it is None or empty.

    Returns:
        The entry, which has a string as Config and a list of strings or null as Layers; None
        without one.

    Raises:
        OSError: the archive cannot be read.
        ArchiveError: as GetManifestFromTar(), and where the entry has no such Config and Layers.
    """
    manifest = GetManifestFromTar(f)
    if not manifest:
        return None
    return check_entry(f or '', manifest[-1])


def _read_manifest(archive: Archive) -> list[Any] | None:
    """Returns the list in manifest.json, or None without that member.

    Raises:
        ArchiveError: it is no list, or a link that leads to no file.
    """
    content = archive.read_file(MANIFEST, _MANIFEST_LIMIT)
    if content is None:
        if any(tar_reader.normal_name(m.name) == MANIFEST and m.is_link for m in archive.members):
            raise _dangling(archive, MANIFEST)
        if not archive.has_end:
            raise ArchiveError(f'{archive.path!r} is cut off and lacks {MANIFEST!r}: replace it')
        return None
    try:
        manifest = strict_json.loads(content)
    except ValueError:
        manifest = None
    if not isinstance(manifest, list):
        raise ArchiveError(f'{archive.path!r}: {MANIFEST} is not a JSON list: replace it')
    return manifest


def check_entry(path: str, entry: Any) -> dict[str, Any]:
    """Returns an entry of a manifest, if it is one of an image.

    Args:
        path: the path of the archive, for errors.
        entry: what the list in manifest.json holds.

    Raises:
        ArchiveError: Config is no string, Layers no list of strings, or one of them no name.
    """
    error = ArchiveError(f'{path!r}: {MANIFEST} lacks a valid Config or Layers: replace it')
    if not isinstance(entry, dict):
        raise error
    layers = entry.get('Layers')
    if layers is None:
        layers = []
    if not isinstance(layers, list):
        raise error
    for name in [entry.get('Config'), *layers]:
        if not isinstance(name, str) or not tar_reader.is_usable_name(name):
            raise error
    return entry


class BaseImage(NamedTuple):
    """The last image of an archive, which other images are built on.

    Attributes:
        archive: the archive, open.
        is_v1: whether it is of before Docker 1.10; it then adds no layers and has no parent.
        images: the number of images in the archive.
        config_name: the normal name of the configuration.
        config: the configuration; None where it is missing or no JSON object.
        layers: the normal names of the layers, bottom layer first.
        parent: the image's ID as `sha256:<hex>`; None where its name does not tell.
    """

    archive: Archive
    is_v1: bool = False
    images: int = 0
    config_name: str = ''
    config: dict[str, Any] | None = None
    layers: tuple[str, ...] = ()
    parent: str | None = None

    @property
    def diff_ids(self) -> list[str] | None:
        """The diff IDs in the configuration; None where they cannot be known."""
        if self.config is None or image_config.type_problems(self.config):
            return None
        return image_config.diff_ids(image_config.with_usual_keys(self.config))


def read_image_manifest(archive: Archive, what: str) -> list[Any] | None:
    """Returns the manifest of an archive of images; None for one of before Docker 1.10.

    Args:
        archive: the archive.
        what: what the archive is taken for, for errors.

    Raises:
        ArchiveError: it holds no image, or its manifest comes twice with different content.
    """
    check_twice(archive, [MANIFEST])
    manifest = _read_manifest(archive)
    if manifest or (manifest is None and _is_v1(archive)):
        return manifest
    state, advice = _describe(archive, manifest)
    raise ArchiveError(f'{archive.path!r} is no {what}: it {state}: {advice}')


def read_base(archive: Archive) -> BaseImage:
    """Returns the image that an archive holds; the last one, where it holds several.

    Args:
        archive: the archive, open.

    Raises:
        ArchiveError: it holds no image, or one that clients would read otherwise each.
    """
    manifest = read_image_manifest(archive, 'base image')
    if manifest is None:
        return BaseImage(archive, is_v1=True)
    entry = check_entry(archive.path, manifest[-1])
    images = len(manifest)
    del manifest  # it may take much memory, and so may the configuration
    config_name = tar_reader.normal_name(entry['Config'])
    layers = tuple(tar_reader.normal_name(name) for name in entry.get('Layers') or ())
    check_twice(archive, [config_name, *layers])
    return BaseImage(
        archive=archive,
        images=images,
        config_name=config_name,
        config=_read_config(archive, config_name),
        layers=layers,
        parent=image_id(config_name),
    )


def image_id(config_name: str) -> str | None:
    """Returns `sha256:` and what the name of a configuration says of its digest, or None.

    Args:
        config_name: the normal name of the configuration.
    """
    match = re.fullmatch(_CONFIG_NAME, config_name)
    if match is None:
        return None
    return f'sha256:{match[1] or match[2]}'


def _read_config(archive: Archive, name: str) -> dict[str, Any] | None:
    content = archive.read_file(name)
    if content is None:
        return None
    return image_config.parse_or_none(content)


def with_targets(archive: Archive, names: Iterable[str]) -> set[str]:
    """Returns names, and what the members of these names lead to if they are links.

    Args:
        archive: the archive.
        names: normal names of members, which need not be there.
    """
    links = {
        tar_reader.normal_name(member.name): member for member in archive.members if member.is_link
    }
    found = set(names)
    pending = list(found)
    while pending:
        name = pending.pop()
        if name not in links:
            continue
        target = sources.target_name(name, links[name])
        if target not in found:
            found.add(target)
            pending.append(target)
    return found


def check_twice(archive: Archive, names: list[str]) -> None:
    """Raises ArchiveError if a member that counts is there twice with different content.

    Docker takes the last of two members of a name, Podman and Skopeo the first.

    Args:
        archive: the archive.
        names: the normal names of what counts; what they lead to counts, too.
    """
    counting = with_targets(archive, names)
    by_name: dict[str, list[Member]] = {}
    for member in archive.members:
        name = tar_reader.normal_name(member.name)
        if name in counting:
            by_name.setdefault(name, []).append(member)
    twice = {name: members for name, members in by_name.items() if len(members) > 1}
    if all(archive.has_content(member) for members in twice.values() for member in members):
        _check_equal(archive, twice)
        return
    with sources.open_archive(archive.path) as whole:
        _check_equal(whole, twice)


def _check_equal(archive: Archive, by_name: dict[str, list[Member]]) -> None:
    """Raises ArchiveError if two members of a name are not the same."""
    for name, members in by_name.items():
        for member in members[1:]:
            if not are_equal(archive, members[0], archive, member):
                text = f'{name!r} comes twice with different content: replace it'
                raise ArchiveError(f'{archive.path!r}: {text}')


def are_equal(archive: Archive, one: Member, other_archive: Archive, other: Member) -> bool:
    """Tells whether two members are the same: files by their content, links by their target.

    Args:
        archive: the archive of the first member.
        one: that member.
        other_archive: the archive of the other one.
        other: that member.

    Raises:
        OSError: a file cannot be read.
    """
    if one.kind != other.kind:
        return False
    if not one.is_file:
        return one.target == other.target
    return sources.have_same_content(archive.source(one), other_archive.source(other))


def _is_v1(archive: Archive) -> bool:
    """Tells whether an archive was written by Docker before 1.10."""
    names = {tar_reader.normal_name(member.name) for member in archive.members}
    if any(name.endswith(f'/{MANIFEST}') for name in names):
        return False
    folders = {name.partition('/')[0] for name in names}
    return any({f'{folder}/json', f'{folder}/layer.tar'} <= names for folder in folders)


def _describe(archive: Archive, manifest: list[Any] | None) -> tuple[str, str]:
    """Returns what an archive without an image is, and what to do."""
    names = {tar_reader.normal_name(member.name) for member in archive.members}
    if manifest is not None:
        return f'has an empty {MANIFEST}', 'save it again, with an image'
    if not names:
        return 'has no members', 'give what `docker save` writes'
    if {'index.json', 'oci-layout'} <= names:
        import shlex  # here, for it takes time at every start

        source = shlex.quote(f'oci-archive:{archive.path}')
        command = f'skopeo copy {source} docker-archive:base.tar:name:tag'
        return f'is an OCI image layout without {MANIFEST}', f'convert it by `{command}`'
    for name in sorted(names):
        folder, _, rest = name.rpartition('/')
        if rest == MANIFEST:
            return f'has its image in a folder, {folder!r}', 'pack what is in that folder'
    if '.dockerenv' in names:
        return 'has the files of a container, as `docker export` writes them', 'use `docker save`'
    return f'has no {MANIFEST}, as a layer has none', 'give what `docker save` writes'
