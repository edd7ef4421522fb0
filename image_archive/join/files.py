# SPDX-License-Identifier: Apache-2.0
"""The files of several archives that are joined: one for each name."""

from collections.abc import Iterable

from image_archive.checks.archive_members import refused_members
from image_archive.errors import ArchiveError
from image_archive.image.docker_manifest import is_merged
from image_archive.system.progress import Progress
from image_archive.tar.archive import Archive, Place, find_file, link_target
from image_archive.tar.content import are_same_entries, have_same_content
from image_archive.tar.reader import Member


class JoinedFiles:
    """The members of all archives that are merged; of two with one name the first counts."""

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}
        self._archives: dict[str, Archive] = {}

    def add(self, archive: Archive, progress: Progress) -> None:
        """Adds the members of the next archive.

        Args:
            archive: the archive.
            progress: advanced by the bytes that are compared.

        Raises:
            ArchiveError: an archive before it has a member of the same name and different content.
            OSError: one of them cannot be read.
        """
        for name, member in zip(archive.names, archive.members, strict=True):
            if not is_merged(name):
                continue
            other = self._archives.setdefault(name, archive)
            first = self._members.setdefault(name, member)
            # The writer deals with two members of one name in one archive.
            if other is archive:
                continue
            if not _are_same(name, other, first, archive, member, progress):
                both = f'{other.path!r} and {archive.path!r}'
                advice = 'leave one of them out'
                raise ArchiveError(f'{both} have {name!r} with different content: {advice}')

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


def _are_same(
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
    return have_same_content(place.source, other_place.source, progress)


def _behind_links(name: str, archive: Archive, member: Member) -> Place | None:
    if member.is_file:
        return Place(name, archive, member)
    if member.is_link:
        return archive.find(link_target(name, member))
    return None
