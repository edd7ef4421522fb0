# SPDX-License-Identifier: Apache-2.0
"""The functions of 2016 that read values and image archives, for build scripts."""

from typing import Any

from image_archive.image import docker_manifest
from image_archive.system.python_values import PathName, optional_path_of, path_of, text_of
from image_archive.tar.archive import Archive, link_target, open_archive
from image_archive.tar.member import Member
from image_archive.tar.names import normal_name


def ExtractValue(value: str) -> str:
    """Returns a value, or the text of the file that it names.

    Args:
        value: any text; '@FILE' names a file in UTF-8.

    Returns:
        The text of the file if value starts with '@', else value.

    Raises:
        TypeError: an argument is of a wrong type.
        OSError: the file cannot be read.
        ValueError: it is not UTF-8.
    """
    if not text_of('value', value).startswith('@'):
        return value
    with open(value[1:], encoding='utf-8') as file:
        return file.read()


def GetTarFile(f: PathName, name: str) -> bytes | None:
    """Reads one file of an archive, plain or compressed, through links.

    Args:
        f: the path of the archive.
        name: the name of the member; if there is none, './name' and then '/name' are tried.

    Returns:
        The content of the last member of that name; None if there is none.

    Raises:
        TypeError: an argument is of a wrong type.
        OSError: the archive cannot be read.
        ArchiveError: it is not sound, or the member is a link that leads to no file.
    """
    name = text_of('name', name)
    with open_archive(path_of('f', f)) as archive:
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
    target = link_target(normal_name(member.name), member)
    content = archive.read_file(target, limit=None)
    if content is None:
        raise docker_manifest.dangling_link(archive, member.name)
    return content


def GetManifestFromTar(f: PathName | None = None) -> list[Any]:
    """Reads the manifest of an image archive.

    Args:
        f: the path of the archive; None and '' stand for no archive.

    Returns:
        The list in manifest.json, or [] without an archive or without that member.

    Raises:
        TypeError: an argument is of a wrong type.
        OSError: the archive cannot be read.
        ArchiveError: it is not sound, or its manifest.json is not a JSON list.
    """
    path = optional_path_of('f', f)
    if path is None:
        return []
    with open_archive(path, keep_all=False) as archive:
        return docker_manifest.read_manifest(archive) or []


def GetLatestManifestFromTar(f: PathName | None = None) -> dict[str, Any] | None:
    """Reads the last entry of the manifest of an image archive.

    Args:
        f: the path of the archive; None and '' stand for no archive.

    Returns:
        The entry, which has a string as Config and a list of strings or null as Layers; None if
        there is no entry.

    Raises:
        TypeError: an argument is of a wrong type.
        OSError: the archive cannot be read.
        ArchiveError: as GetManifestFromTar(), and if the entry has no such Config and Layers.
    """
    manifest = GetManifestFromTar(f)
    if not manifest:
        return None
    return docker_manifest.check_entry(optional_path_of('f', f) or '', manifest[-1])
