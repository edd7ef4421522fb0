# SPDX-License-Identifier: Apache-2.0
"""The files of several archives that are joined: one for each name."""

import posixpath
from collections.abc import Iterable

from image_archive.checks.archive_members import refused_members
from image_archive.digests import digest_in_blob_name
from image_archive.errors import ArchiveError
from image_archive.image.stored import ImageArchive
from image_archive.system.progress import Progress
from image_archive.tar.archive import Archive, Place, find_file, link_target
from image_archive.tar.compression import detect_compression
from image_archive.tar.content import are_same_entries, have_same_content
from image_archive.tar.member import Member

_CONFIG_ENDING = '.json'
# By compression, as detect_compression() returns it.
_LAYER_ENDINGS = {
    None: '.tar',
    'gzip': '.tar.gz',
    'bzip2': '.tar.bz2',
    'xz': '.tar.xz',
    'zstd': '.tar.zst',
}


class JoinedFiles:
    """The members of all archives that are merged; of two with one name the first counts.

    jib calls the configuration of every image config.json. Such a file, which manifest.json names,
    is stored under its digest if its name is another file's.
    """

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}
        self._archives: dict[str, Archive] = {}
        # Of files that are stored under their digests: the new names, and what is stored there.
        self._new_names: dict[tuple[Archive, str], str] = {}
        self._renamed: dict[str, Place] = {}
        self._digests: dict[tuple[Archive, str], str] = {}

    def add(self, images: ImageArchive, progress: Progress) -> None:
        """Adds the members of the next archive.

        Args:
            images: the archive.
            progress: advanced by the bytes that are compared.

        Raises:
            ArchiveError: an archive before it has a member of the same name and different content,
                and not both can be kept.
            OSError: one of them cannot be read.
        """
        archive = images.archive
        clashing: dict[str, None] = {}
        for name, member in zip(archive.names, archive.members, strict=True):
            if not images.is_merged(name):
                continue
            other = self._archives.setdefault(name, archive)
            first = self._members.setdefault(name, member)
            # The writer deals with two members of one name in one archive.
            if other is archive:
                continue
            if not self._are_same(name, other, first, archive, member, progress):
                clashing[name] = None
        if clashing:
            self._rename(images, list(clashing), progress)

    def _rename(self, images: ImageArchive, clashing: list[str], progress: Progress) -> None:
        """Gives files of an archive other names.

        Args:
            images: the archive.
            clashing: the names that an archive before it has for other files.
            progress: advanced by the bytes that are read.

        Raises:
            ArchiveError: one of them is neither a configuration nor a layer.
            OSError: one cannot be read.
        """
        archive = images.archive
        configs = archive.with_targets(image.config_name for image in images.images)
        layers = archive.with_targets(name for image in images.images for name in image.layers)
        renamed = set(configs).union(layers)
        links = self._links_of(archive)
        for clash in clashing:
            if self._members[clash].is_directory:
                raise different_content(self._archives[clash], archive, clash)
            for name in [clash, *_links_to(clash, links)]:
                place = archive.find(name)
                # The name of a blob is its digest, so one of the two is damaged.
                if place is None or name not in renamed or digest_in_blob_name(clash) is not None:
                    raise different_content(self._archives[clash], archive, clash)
                ending = _CONFIG_ENDING
                if name not in configs:
                    ending = _LAYER_ENDINGS[detect_compression(place.source.head())]
                if self._archives.get(name) is archive:  # a link, which would lead elsewhere
                    del self._archives[name], self._members[name]
                new_name = self._digest(place, progress) + ending
                self._new_names[archive, name] = new_name
                self._add_renamed(new_name, place, progress)

    def _links_of(self, archive: Archive) -> dict[str, list[str]]:
        """Returns the links of an archive that no archive before it has, by their targets."""
        links: dict[str, list[str]] = {}
        for name, member in zip(archive.names, archive.members, strict=True):
            if member.is_link and self._archives.get(name) is archive:
                links.setdefault(link_target(name, member), []).append(name)
        return links

    def _add_renamed(self, new_name: str, place: Place, progress: Progress) -> None:
        """Adds a file under its digest, unless it is there already."""
        there = self.find(new_name)
        if there is not None and have_same_content(there.source, place.source, progress):
            return
        if new_name in self._archives:
            raise different_content(self._archives[new_name], place.archive, new_name)
        self._members[new_name] = place.member
        self._archives[new_name] = place.archive
        self._renamed[new_name] = place

    def check_directories(self) -> None:
        """Checks that no file of an archive is a directory of another one.

        Raises:
            ArchiveError: one is.
        """
        checked = ''
        for name, archive in self._archives.items():
            parent = posixpath.dirname(name)
            if parent == checked:
                continue
            checked = parent
            while parent:
                member = self._members.get(parent)
                if member is not None and not member.is_directory:
                    self._check_directory(parent, name, archive)
                parent = posixpath.dirname(parent)

    def _check_directory(self, parent: str, name: str, archive: Archive) -> None:
        other = self._archives[parent]
        if other is not archive:  # the writer deals with two members of one archive
            text = f'{other.path!r} has {parent!r} and {archive.path!r} has {name!r}'
            raise ArchiveError(f'{text}, but a file is no directory: leave one of them out')

    def new_name(self, archive: Archive, name: str) -> str:
        """Returns the name in the new archive of a file that an archive calls by a normal name."""
        return self._new_names.get((archive, name), name)

    def old_name(self, name: str) -> str:
        """Returns the name in its own archive of a file, by its name in the new one."""
        if name in self._renamed:
            return self._renamed[name].name
        return name

    def renamed_in(self, archive: Archive) -> list[tuple[str, Place]]:
        """Returns the new names and the places of files of an archive that get other names."""
        return [item for item in self._renamed.items() if item[1].archive is archive]

    def _are_same(
        self,
        name: str,
        archive: Archive,
        member: Member,
        other_archive: Archive,
        other: Member,
        progress: Progress,
    ) -> bool:
        """Tells whether two members of one name are the same, of whatever kind they are.

        Docker writes a link instead of a layer that is in the archive under another name already.
        """
        place = _behind_links(name, archive, member)
        other_place = _behind_links(name, other_archive, other)
        if place is None or other_place is None:
            return are_same_entries(archive.entry(member), other_archive.entry(other))
        if member.is_file and other.is_file:
            return have_same_content(place.source, other_place.source, progress)
        # Many links may lead to one file, which is read once for all of them.
        if place.member.size != other_place.member.size:
            return False
        return self._digest(place, progress) == self._digest(other_place, progress)

    def _digest(self, place: Place, progress: Progress) -> str:
        """Returns the SHA-256 of a file, which is read when it is first asked for."""
        key = place.archive, place.name
        if key not in self._digests:
            self._digests[key] = place.source.hash_with('sha256', progress)
        return self._digests[key]

    def is_first_in(self, name: str, archive: Archive) -> bool:
        """Tells whether an archive is the one whose member of a normal name counts."""
        return self._archives.get(name) is archive

    def member(self, name: str) -> Member | None:
        """Returns the member of a normal name; None if there is none."""
        return self._members.get(name)

    def left_out(self, needed: Iterable[str]) -> dict[str, str]:
        """Returns which members are not merged: clients refuse them, and no image needs them.

        Args:
            needed: the normal names of the files that images need.

        Returns:
            Why each is left out, by its name.
        """
        refused = refused_members(self._members.items(), self.member)
        needed_names = set(needed)
        return {name: reason for name, reason in refused.items() if name not in needed_names}

    def archive_of(self, name: str) -> Archive:
        """Returns the archive whose member of a normal name counts."""
        return self._archives[name]

    def find(self, name: str) -> Place | None:
        """Returns where the file of a normal name is, through links; None if there is none."""
        found = find_file(self._members, name)
        if found is None:
            return None
        return Place(found, self._archives[found], self._members[found])

    def read(self, name: str) -> bytes | None:
        """Returns the bytes of a small file; None if there is none.

        Args:
            name: the normal name of the file.

        Raises:
            ArchiveError: it is too large.
            OSError: it cannot be read.
        """
        place = self.find(name)
        if place is None:
            return None
        return place.read()


def different_content(one: Archive, other: Archive, name: str) -> ArchiveError:
    """Returns the error for two archives that have different files of one name."""
    both = f'{one.path!r} and {other.path!r}'
    return ArchiveError(f'{both} have {name!r} with different content: leave one of them out')


def _links_to(name: str, links: dict[str, list[str]]) -> list[str]:
    """Returns the links that lead to a file, also through other links.

    Args:
        name: the normal name of the file.
        links: links by their targets.
    """
    found: dict[str, None] = {}
    pending = [name]
    while pending:
        for link in links.get(pending.pop(), []):
            if link not in found:
                found[link] = None
                pending.append(link)
    return list(found)


def _behind_links(name: str, archive: Archive, member: Member) -> Place | None:
    if member.is_file:
        return Place(name, archive, member)
    if member.is_link:
        return archive.find(link_target(name, member))
    return None
