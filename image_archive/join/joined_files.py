# SPDX-License-Identifier: Apache-2.0
"""The files of several archives that are joined: of one name there is one."""

from typing import NamedTuple

from image_archive.create.image import is_merged
from image_archive.errors import ArchiveError
from image_archive.image import bases as utils
from image_archive.system.progress import Progress
from image_archive.tar import sources, tar_reader
from image_archive.tar.sources import Archive, Source
from image_archive.tar.tar_reader import Member


class FoundFile(NamedTuple):
    """A file of one of the archives.

    Attributes:
        name: its normal name, behind all links.
        archive: the archive.
        member: the member.
    """

    name: str
    archive: Archive
    member: Member

    def source(self) -> Source:
        """Returns the content of the file."""
        return self.archive.source(self.member)

    def head(self) -> bytes:
        """Returns the first bytes, from which the compression is told."""
        return self.archive.head(self.member)


class JoinedFiles:
    """What is merged of all archives, by normal name; the first of a name counts."""

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}
        self._archives: dict[str, Archive] = {}

    def add(self, archive: Archive, progress: Progress) -> None:
        """Adds the members of the next archive.

        Args:
            archive: the archive.
            progress: is told of the bytes that are compared.

        Raises:
            ArchiveError: it has a member of the same name as an archive before it, and of
                different content.
            OSError: one of them cannot be read.
        """
        for member in archive.members:
            name = tar_reader.normal_name(member.name)
            if not is_merged(name):
                continue
            other = self._archives.setdefault(name, archive)
            first = self._members.setdefault(name, member)
            # Two of one name in one archive are the matter of whoever merges it.
            if other is not archive and not _are_same(other, first, archive, member, progress):
                both = f'{other.path!r} and {archive.path!r}'
                advice = 'leave one of them out'
                raise ArchiveError(f'{both} have {name!r} with different content: {advice}')

    def is_first_in(self, name: str, archive: Archive) -> bool:
        """Tells whether it is this archive that gives a member.

        Args:
            name: the normal name of the member.
            archive: one of the archives.
        """
        return self._archives.get(name) is archive

    def member(self, name: str) -> Member | None:
        """Returns the member of a name, or None.

        Args:
            name: the normal name of the member.
        """
        return self._members.get(name)

    def find(self, name: str) -> FoundFile | None:
        """Returns the file of a name, through links, or None.

        Args:
            name: the normal name of the file.
        """
        member = sources.find_file(self._members, name)
        if member is None:
            return None
        found_name = tar_reader.normal_name(member.name)
        return FoundFile(found_name, self._archives[found_name], member)

    def read(self, name: str) -> bytes | None:
        """Returns the bytes of a small file, or None.

        Args:
            name: the normal name of the file.

        Raises:
            ArchiveError: it is too large.
            OSError: it cannot be read.
        """
        found = self.find(name)
        if found is None:
            return None
        return found.archive.read(found.member)


def _are_same(
    archive: Archive, member: Member, other_archive: Archive, other: Member, progress: Progress
) -> bool:
    """Tells whether two members of one name are as good as each other.

    Docker writes a link in place of a layer that is in the archive already under another name.
    """
    file = _behind_links(archive, member)
    other_file = _behind_links(other_archive, other)
    if file is None or other_file is None:
        return utils.are_equal(archive, member, other_archive, other)
    one_source = archive.source(file)
    return sources.have_same_content(one_source, other_archive.source(other_file), progress)


def _behind_links(archive: Archive, member: Member) -> Member | None:
    if member.is_file:
        return member
    if not member.is_link:
        return None
    return archive.find(sources.target_name(tar_reader.normal_name(member.name), member))
