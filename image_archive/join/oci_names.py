# SPDX-License-Identifier: Apache-2.0
"""The names of images in an OCI layout, and what each leads to.

Images of one tag whose platforms all differ are one image of several platforms, an index. Of two
images of one tag and one platform the later one keeps the tag.
"""

from functools import cached_property
from typing import NamedTuple

from image_archive.checks.identifiers import tag_problems
from image_archive.checks.problem import Problem
from image_archive.digests import blob_name, digest_of
from image_archive.errors import ArchiveError
from image_archive.image import oci
from image_archive.image.oci import Descriptor
from image_archive.image.oci_index import (
    FULL_NAME,
    INDEX_NAME,
    INDEX_TYPE,
    READ_TYPES,
    REF_NAME,
    REFERENCE_TYPE,
    FoundBlob,
    JsonDescriptor,
    descriptors_in,
)
from image_archive.image.stored import ImageArchive
from image_archive.image.tags import Tag, parse_tag
from image_archive.join.index import key_of
from image_archive.join.oci_images import OciImages, OciManifest, media_type_of
from image_archive.tar.archive import Place

# The digest of what an attestation is about, beside REFERENCE_TYPE.
_REFERENCE_DIGEST = 'vnd.docker.reference.digest'
_STEPS_LIMIT = 200_000  # from descriptors to those below them
_PLATFORMS_LIMIT = 1000  # of one tag, in all archives together


class Member(NamedTuple):
    """What an image of several platforms has, or the one image of a name.

    Attributes:
        descriptor: its descriptor in JSON.
        manifest: the manifest of an image; None for an artifact, and for what is not there.
    """

    descriptor: JsonDescriptor
    manifest: OciManifest | None

    @property
    def digest(self) -> str:
        """Its digest."""
        return str(self.descriptor['digest'])

    def with_platform(self) -> 'Member':
        """Returns the same with a platform in its descriptor, if that is known."""
        if self.manifest is None or 'platform' in self.descriptor:
            return self
        platform = self.manifest.image.platform
        if platform is None:
            return self
        return self._replace(descriptor={**self.descriptor, 'platform': platform})

    @property
    def platform_key(self) -> tuple[str, str, str] | None:
        """What distinguishes its platform from others; None if it is not known."""
        if self.manifest is not None:
            return self.manifest.image.platform_key
        platform = self.descriptor.get('platform')
        if not isinstance(platform, dict) or REFERENCE_TYPE in _annotations(self.descriptor):
            return None
        return oci.platform_key(platform)


class Target:
    """What a name leads to: a manifest, an index, or an artifact.

    Attributes:
        members: the manifest, or all that the index leads to.
        is_index: whether it is an index.
    """

    def __init__(
        self,
        members: tuple[Member, ...],
        is_index: bool,
        kept: tuple[Place, str, str] | None = None,
    ) -> None:
        """Makes a target.

        Args:
            members: the manifest, or all that the index leads to.
            is_index: whether it is an index.
            kept: where the index is, its digest, and its media type; None for a new one.
        """
        self.members = members
        self.is_index = is_index
        self._kept = kept

    @property
    def manifests(self) -> list[OciManifest]:
        """The manifests of its images that are there."""
        return [member.manifest for member in self.members if member.manifest is not None]

    @cached_property
    def image_ids(self) -> frozenset[str]:
        """The IDs of its images."""
        return frozenset(manifest.image.id for manifest in self.manifests)

    @property
    def new_content(self) -> bytes | None:
        """The content of an index that no archive has; None for anything else."""
        if not self.is_index or self._kept is not None:
            return None
        return oci.index([member.descriptor for member in self.members])

    @cached_property
    def descriptor(self) -> JsonDescriptor:
        """Its descriptor in JSON, without a name."""
        if not self.is_index:
            return self.members[0].descriptor
        if self._kept is not None:
            place, digest, media_type = self._kept
            return oci.json_descriptor(Descriptor(media_type, digest, place.member.size))
        content = self.new_content or b''
        return oci.json_descriptor(Descriptor(INDEX_TYPE, digest_of(content), len(content)))

    @property
    def digest(self) -> str:
        """Its digest."""
        return str(self.descriptor['digest'])

    @property
    def annotations(self) -> dict[str, str]:
        """The annotations of a manifest, which its descriptor has, too."""
        if self.is_index or self.members[0].manifest is None:
            return {}
        return self.members[0].manifest.annotations


class Root(NamedTuple):
    """A descriptor in index.json.

    Attributes:
        tag: the name; None without one.
        target: what it leads to.
    """

    tag: Tag | None
    target: Target


class Names(NamedTuple):
    """All names of an OCI layout.

    Attributes:
        roots: the descriptors in index.json.
        artifacts: the descriptors of what is no image, as the archives have them.
        problems: what is wrong with the names, and what was replaced.
    """

    roots: list[Root]
    artifacts: list[JsonDescriptor]
    problems: list[Problem]


def name_images(archives: list[ImageArchive], images: OciImages) -> Names:
    """Returns the names that archives give their images.

    Args:
        archives: the archives, in their order.
        images: their images.

    Raises:
        ArchiveError: an index leads to its images in too many ways.
        OSError: an archive cannot be read.
    """
    return _Namer(images).name(archives)


class _Namer:
    def __init__(self, images: OciImages) -> None:
        self._images = images
        self._count = 0  # of names so far, by which they are ordered
        self._tagged: dict[str, tuple[int, Root]] = {}
        self._untagged: list[tuple[int, Root]] = []
        self._artifacts: dict[str, JsonDescriptor] = {}
        self._problems: list[Problem] = []
        self._indexes: dict[str, Target] = {}  # by their digests
        self._replaced_manifests: set[str] = set()
        self._steps = 0

    def name(self, archives: list[ImageArchive]) -> Names:
        for archive in archives:
            self._add_index(archive)
            self._add_stored(archive)
        return Names(self._ordered(), list(self._artifacts.values()), self._problems)

    def _add_index(self, archive: ImageArchive) -> None:
        """Adds what index.json of an archive leads to."""
        path = archive.archive.path
        for descriptor in archive.descriptors or ():
            place = archive.archive.find(blob_name(descriptor['digest']))
            if place is None:
                continue
            blob = self._images.found[descriptor['digest']]
            if blob.descriptor.get('mediaType') in READ_TYPES and not blob.value:
                text = f'{path!r}: {place.name!r} is no JSON object with the digest in its name'
                self._problems.append(Problem(f'{text}: replace the archive'))
                continue
            target = self._target_of(blob, place, path)
            if target is None:
                self._artifacts.setdefault(blob.digest, descriptor)
                continue
            kind, name = key_of(descriptor)
            if kind == FULL_NAME:
                self._add(parse_tag(name), target, path)
                continue
            if kind == REF_NAME:
                text = f'{path!r}: the name {name[:200]!r} has no repository: it is left out'
                self._problems.append(Problem(text, is_error=False))
            self._add(None, target, path)

    def _add_stored(self, archive: ImageArchive) -> None:
        """Adds the images that manifest.json names."""
        path = archive.archive.path
        for stored in archive.images:
            image = self._images.image_of(stored)
            target = _single(image.manifest)
            problems = tag_problems(f'{path!r}: {stored.config_name!r}', stored.tags)
            self._problems += [one._replace(is_fatal=one.is_error) for one in problems]
            tags = [parse_tag(tag) for tag in stored.tags]
            for tag in tags or [None]:
                self._add(tag, target, path)

    def _target_of(self, blob: FoundBlob, place: Place, path: str) -> Target | None:
        """Returns what a descriptor of index.json leads to; None if that is no image."""
        manifest = self._images.manifests.get(blob.digest)
        if manifest is not None:
            self._warn_of_another(manifest, path)
            return _single(manifest.image.manifest)
        if not isinstance(blob.value.get('manifests'), list):
            return None
        if blob.digest not in self._indexes:
            members = self._members_of(blob, path)
            kept = place, blob.digest, media_type_of(blob, INDEX_TYPE)
            self._indexes[blob.digest] = Target(members, True, kept)
        target = self._indexes[blob.digest]
        return target if target.image_ids else None

    def _warn_of_another(self, manifest: OciManifest, path: str) -> None:
        """Warns of a manifest that is not used, as an archive before has one of the same image."""
        used = manifest.image.manifest
        if used is manifest or manifest.digest in self._replaced_manifests:
            return
        self._replaced_manifests.add(manifest.digest)
        text = f'{path!r}: nothing leads to the manifest {manifest.digest} any more'
        reason = f'as the same image has {used.digest}'
        self._problems.append(
            Problem(f'{text}, {reason}: join this archive by itself', is_error=False)
        )

    def _members_of(self, index: FoundBlob, path: str) -> tuple[Member, ...]:
        """Returns what an index leads to, also through other indexes; each blob once."""
        members: dict[str, Member] = {}
        seen = {index.digest}
        pending = descriptors_in(index.value, 'manifests')[::-1]
        while pending:
            descriptor = pending.pop()
            self._steps += 1
            if self._steps > _STEPS_LIMIT:
                text = f'{INDEX_NAME} leads to its images in over {_STEPS_LIMIT:,} steps'
                raise ArchiveError(f'{path!r}: {text}: leave some out')
            digest = descriptor['digest']
            if digest in seen:
                continue
            seen.add(digest)
            below = self._images.found.get(digest)
            if below is not None and isinstance(below.value.get('manifests'), list):
                pending += descriptors_in(below.value, 'manifests')[::-1]
                continue
            members[digest] = Member(descriptor, self._images.manifests.get(digest))
        return tuple(members.values())

    def _add(self, tag: Tag | None, target: Target, path: str) -> None:
        """Adds a name."""
        self._count += 1
        if tag is None:
            self._untagged.append((self._count, Root(None, target)))
            return
        name = tag.full_name
        position, root = self._tagged.get(name, (self._count, Root(tag, target)))
        merged = self._merge(name, position, root.target, target, path)
        if merged is target and root.target.image_ids.isdisjoint(target.image_ids):
            position = self._count
        self._tagged[name] = position, Root(tag, merged)

    def _merge(self, name: str, position: int, old: Target, new: Target, path: str) -> Target:
        """Returns what a name leads to that two archives give to something.

        Args:
            name: the name.
            position: the place of the name among all.
            old: what it leads to so far.
            new: what it leads to in the next archive.
            path: the path of that archive.
        """
        if new.image_ids <= old.image_ids and len(new.members) <= len(old.members):
            return old
        if old.image_ids <= new.image_ids:
            return new
        members = {member.digest: member for member in old.members}
        for member in new.members:
            if member.manifest is None or member.digest in members:
                continue
            for replaced in _replace(members, member):
                self._untagged.append((position, Root(None, _single(replaced))))
                text = f'{path!r} has another image with the tag {name!r}'
                key = replaced.image.platform_key
                if key is not None and key == member.platform_key:
                    text = f'{text} for {"/".join(part for part in key if part)}'
                self._problems.append(Problem(f'{text}: it keeps the tag', is_error=False))
        for member in new.members:
            members.setdefault(member.digest, member)
        if len(members) > _PLATFORMS_LIMIT:
            text = f'the tag {name!r} has over {_PLATFORMS_LIMIT:,} platforms'
            raise ArchiveError(f'{path!r}: {text}: leave some out')
        if members.keys() == {member.digest for member in new.members}:
            return new
        left = tuple(member.with_platform() for member in members.values())
        return Target(left, len(left) > 1)

    def _ordered(self) -> list[Root]:
        """Returns all names: those of one target together, and none without need."""
        names = list(self._tagged.values())
        targets = {root.target.digest: root.target for _, root in names}
        reached = {one.digest for target in targets.values() for one in target.manifests}
        for position, root in self._untagged:
            if root.target.digest in targets:
                continue
            digests = {manifest.digest for manifest in root.target.manifests}
            if digests <= reached and len(digests) == 1:
                continue
            targets[root.target.digest] = root.target
            reached.update(digests)
            names.append((position, root))
        names.sort(key=lambda name: name[0])
        by_digest: dict[str, list[Root]] = {}
        for _, root in names:
            by_digest.setdefault(root.target.digest, []).append(root)
        ordered = []
        for roots in by_digest.values():
            ordered += sorted(roots, key=lambda root: root.tag or ())
        return ordered


def _replace(members: dict[str, Member], new: Member) -> list[OciManifest]:
    """Adds an image in place of what is for the same platform.

    Args:
        members: what an index leads to, by digests; it is changed.
        new: the image.

    Returns:
        The manifests of images that were replaced.
    """
    kept: dict[str, Member] = {}
    gone: dict[str, Member] = {}
    for digest, old in members.items():
        is_unknown = old.manifest is not None and None in (new.platform_key, old.platform_key)
        if not is_unknown and (old.platform_key != new.platform_key or old.platform_key is None):
            kept[digest] = old
            continue
        if not gone:
            kept[new.digest] = new
        gone[digest] = old
    kept.setdefault(new.digest, new)
    members.clear()
    for digest, one in kept.items():
        # What is about an image that is no longer there goes with it.
        reference = _annotations(one.descriptor).get(_REFERENCE_DIGEST)
        if not isinstance(reference, str) or reference not in gone:
            members[digest] = one
    return [old.manifest for old in gone.values() if old.manifest is not None]


def _single(manifest: OciManifest) -> Target:
    return Target((Member(manifest.descriptor, manifest),), False)


def _annotations(descriptor: JsonDescriptor) -> dict[str, object]:
    return descriptor.get('annotations') or {}
