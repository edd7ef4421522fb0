# SPDX-License-Identifier: Apache-2.0
"""OCI image layouts: archives or directories, and the images that their index leads to."""

import contextlib
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from image_archive import digests
from image_archive.errors import ArchiveError
from image_archive.image.choice import Platform, platform_in
from image_archive.image.docker_manifest import MANIFEST_NAME
from image_archive.image.oci_index import (
    CONFIG_TYPES,
    FULL_NAME,
    INDEX_NAME,
    LAYOUT_NAME,
    LAYOUT_NAMES,
    READ_TYPES,
    REF_NAME,
    REFERENCE_TYPE,
    FoundBlob,
    JsonDescriptor,
    descriptor_problem,
    descriptors_in,
    is_descriptor,
    walk,
)
from image_archive.image.strict_json import load_object
from image_archive.system.inputs import InputDirectory, errors_about
from image_archive.system.progress import Progress
from image_archive.tar.archive import Archive, open_archive
from image_archive.tar.content import BytesInMemory, Source
from image_archive.tar.member import Member

# What is kept of the descriptor of a configuration or a layer.
_KEPT_KEYS = ('mediaType', 'digest', 'size', 'urls')
# BuildKit and Docker give this platform to what belongs to an image, like attestations.
_NO_PLATFORM = Platform('unknown', 'unknown')
_VERSION = '1.0.0'
_SHOWN = 200  # characters of a value, in messages
_FILES_LIMIT = 300_000  # of a directory; as many as members of an archive
_STEPS_LIMIT = 1_000_000  # from descriptors in index.json to the images below them


class IndexedImage(NamedTuple):
    """An image that an index leads to.

    Attributes:
        descriptor: the descriptor of its manifest.
        media_type: what the manifest itself says of its type.
        config: the descriptor of its configuration.
        layers: the descriptors of its layers, bottom layer first.
        names: the names that annotations give it, each once: tags, or parts of them.
        platform: its platform, if a descriptor says it.
    """

    descriptor: JsonDescriptor
    media_type: Any
    config: JsonDescriptor
    layers: tuple[JsonDescriptor, ...]
    names: tuple[str, ...]
    platform: Platform | None


class IndexContent(NamedTuple):
    """What an index leads to.

    Attributes:
        images: the images, in the order in which the index leads to them.
        descriptors: the descriptors of an index of these images alone: those of the index, but
            for one that also leads to artifacts those of its images.
        blobs: the names of the indexes and manifests that these descriptors lead to.
        artifacts: the number of manifests that are of no image, such as attestations.
        missing: the descriptors of indexes and manifests that are not there.
        problems: what is wrong with indexes and manifests, each in words that begin with a name.
    """

    images: list[IndexedImage]
    descriptors: list[JsonDescriptor]
    blobs: list[str]
    artifacts: int
    missing: list[JsonDescriptor]
    problems: list[str]


class _Manifest(NamedTuple):
    """The manifest of an image, as far as it is kept."""

    media_type: Any
    config: JsonDescriptor
    layers: tuple[JsonDescriptor, ...]


def read_content(
    descriptors: list[JsonDescriptor], read: Callable[[str], bytes | None], label: str
) -> IndexContent:
    """Returns what an index leads to.

    Args:
        descriptors: those of the index.
        read: returns the bytes of the member of a name; None if there is none.
        label: what has the index, for messages.

    Raises:
        ArchiveError: the index leads to too much.
        OSError: an index or a manifest cannot be read.
    """
    return _Reader(read, label).read(descriptors)


class _Reader:
    """Reads what one index leads to: each index and manifest once, then every way to them."""

    def __init__(self, read: Callable[[str], bytes | None], label: str) -> None:
        self._read = read
        self._label = label
        self._absent: set[str] = set()  # names
        self._below: dict[str, list[JsonDescriptor]] = {}  # in each index, by its digest
        self._manifests: dict[str, _Manifest] = {}
        self._artifacts: set[str] = set()
        self._missing: dict[str, JsonDescriptor] = {}
        self._problems: dict[str, str] = {}
        self._steps = 0

    def read(self, descriptors: list[JsonDescriptor]) -> IndexContent:
        for blob in walk(descriptors, self._read_and_note, self._label):
            self._add(blob)
        found: dict[str, JsonDescriptor] = {}
        names: dict[str, dict[str, None]] = {}
        artifacts: set[str] = set()
        kept: list[JsonDescriptor] = []
        blobs: dict[str, None] = {}
        for root in descriptors:
            images = []
            indexes = []
            has_artifacts = False
            for one in self._reach(root):
                digest = one['digest']
                if digest in self._artifacts or is_of_no_image(one):
                    artifacts.add(digest)
                    has_artifacts = True
                elif digest in self._manifests:
                    found.setdefault(digest, one)
                    names.setdefault(digest, {}).update(dict.fromkeys(_names_in(root)))
                    images.append(one)
                elif digest in self._below:
                    indexes.append(one)
            if not has_artifacts and images:
                kept.append(root)
                images += indexes
            elif images:
                kept += [_named_like(root, image) for image in images]
            for one in images:
                blobs[digests.blob_name(one['digest'])] = None
        return IndexContent(
            images=[self._image(one, tuple(names[digest])) for digest, one in found.items()],
            descriptors=kept,
            blobs=list(blobs),
            artifacts=len(artifacts),
            missing=list(self._missing.values()),
            problems=list(self._problems.values()),
        )

    def _read_and_note(self, name: str) -> bytes | None:
        content = self._read(name)
        if content is None:
            self._absent.add(name)
        return content

    def _add(self, blob: FoundBlob) -> None:
        """Keeps what is needed of an index or a manifest."""
        descriptor, digest, value = blob
        if is_of_no_image(descriptor):
            return
        name = digests.blob_name(digest)
        if name in self._absent:
            self._missing[digest] = descriptor
        elif blob.is_manifest:
            self._add_manifest(name, digest, value)
        elif isinstance(value.get('manifests'), list):
            self._below[digest] = descriptors_in(value, 'manifests')
            for item in value['manifests']:
                self._check_descriptor(name, digest, item)
        elif not value:
            self._problems[digest] = f'{name!r} is no JSON object that has the digest in its name'
        else:
            self._problems[digest] = f'{name!r} is neither an index nor a manifest'

    def _add_manifest(self, name: str, digest: str, value: dict[str, Any]) -> None:
        config = value['config']
        if value.get('artifactType') or config.get('mediaType') not in CONFIG_TYPES:
            self._artifacts.add(digest)
            return
        layers = value.get('layers')
        if layers is None:
            layers = []
        if not isinstance(layers, list):
            self._problems[digest] = f'{name!r} has layers that are no list'
            return
        if all(self._check_descriptor(name, digest, item) for item in [config, *layers]):
            self._manifests[digest] = _Manifest(
                value.get('mediaType'), _kept(config), tuple(_kept(layer) for layer in layers)
            )

    def _check_descriptor(self, name: str, digest: str, value: Any) -> bool:
        """Tells whether a value in an index or manifest is a descriptor; keeps what is wrong."""
        if is_descriptor(value):
            return True
        self._problems.setdefault(digest, f'{name!r} {descriptor_problem(value)}')
        return False

    def _reach(self, descriptor: JsonDescriptor) -> Iterator[JsonDescriptor]:
        """Yields a descriptor of the index and those below it, each blob once.

        Raises:
            ArchiveError: these are too many steps, with those before.
        """
        seen: set[str] = set()
        pending = [descriptor]
        while pending:
            one = pending.pop()
            self._steps += 1
            if self._steps > _STEPS_LIMIT:
                text = f'{INDEX_NAME} leads to its images in over {_STEPS_LIMIT:,} steps'
                raise ArchiveError(f'{self._label}: {text}: leave some out')
            if one['digest'] in seen:
                continue
            seen.add(one['digest'])
            yield one
            if not is_of_no_image(one):
                pending += reversed(self._below.get(one['digest'], []))

    def _image(self, descriptor: JsonDescriptor, names: tuple[str, ...]) -> IndexedImage:
        media_type, config, layers = self._manifests[descriptor['digest']]
        platform = platform_in(descriptor.get('platform'))
        return IndexedImage(descriptor, media_type, config, layers, names, platform)


def is_of_no_image(descriptor: JsonDescriptor) -> bool:
    """Tells whether a descriptor says itself that it is not of an image."""
    if descriptor.get('mediaType') not in READ_TYPES or descriptor.get('artifactType'):
        return True
    if REFERENCE_TYPE in (descriptor.get('annotations') or {}):
        return True
    return platform_in(descriptor.get('platform')) == _NO_PLATFORM


def _names_in(descriptor: JsonDescriptor) -> Iterable[str]:
    """Returns the names in the annotations of a descriptor in index.json."""
    annotations = descriptor.get('annotations') or {}
    values = [annotations.get(key) for key in (FULL_NAME, REF_NAME)]
    return [value for value in values if isinstance(value, str) and value]


def _named_like(root: JsonDescriptor, image: JsonDescriptor) -> JsonDescriptor:
    """Returns the descriptor of an image with the names of the one in index.json above it."""
    annotations = dict(image.get('annotations') or {})
    for key in (FULL_NAME, REF_NAME):
        if key in (root.get('annotations') or {}):
            annotations[key] = root['annotations'][key]
    if not annotations:
        return image
    return {**image, 'annotations': annotations}


# The files.


class _LayoutDirectory(Archive):
    """A layout in a directory, as an archive with its files as members."""

    def __init__(self, directory: InputDirectory, members: list[Member]) -> None:
        super().__init__(directory, BytesInMemory(b''), members, True, {})
        self._directory = directory

    def source(self, member: Member) -> Source:
        path = self._directory.path_of(member.name)
        return Source(path, self._directory.open(member.name), 0, member.size)


@contextlib.contextmanager
def open_image_archive(
    path: str, keep_all: bool = True, beside: str = '-', progress: Progress | None = None
) -> Iterator[Archive]:
    """Opens an archive of images, which may be a layout in a directory.

    Args:
        path: the path of a regular file or a directory.
        keep_all, beside, progress: as open_archive() takes them.

    Yields:
        The archive, which is open as long as the context lasts.

    Raises:
        OSError: as open_archive(); a file of the directory cannot be read.
        ArchiveError: it is not a sound archive, or the directory is no layout.
    """
    if not os.path.isdir(path):
        with open_archive(path, keep_all, beside, progress) as archive:
            yield archive
        return
    directory = InputDirectory(path)
    with contextlib.closing(directory):
        members = []
        for name in _names_in_directory(path):
            size = directory.add(name)
            if size is not None:
                members.append(_member(name, size))
        opened = _LayoutDirectory(directory, members)
        if not is_layout(opened):
            text = 'is a directory, but not an OCI image layout'
            advice = 'give an archive of an image, or the directory with index.json and oci-layout'
            raise ArchiveError(f'{path!r} {text}: {advice}')
        yield opened


def files_of(path: str) -> list[str]:
    """Returns the paths of all files that an archive of images is: of a directory those in it.

    Args:
        path: the path of a file or a directory.

    Raises:
        ArchiveError: the directory has too many files.
        OSError: it cannot be read.
    """
    if not os.path.isdir(path):
        return [path]
    return [os.path.join(path, name) for name in _names_in_directory(path)]


def files_of_bases(
    bases: Mapping[str, str | None],
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Returns the files of bases: those that no output replaces, and those that one may.

    A file is replaced as a whole, while it is open; a directory is not.

    Args:
        bases: the paths of bases by their flags; None for one that is not given.

    Raises:
        ArchiveError, OSError: as files_of().
    """
    kept: dict[str, list[str]] = {}
    replaceable: dict[str, list[str]] = {}
    for flag, path in bases.items():
        if path is None:
            continue
        found = kept if os.path.isdir(path) else replaceable
        found[flag] = files_of(path)
    return kept, replaceable


def _names_in_directory(path: str) -> list[str]:
    """Returns the names that files of a layout have in a directory, sorted."""
    names = list(LAYOUT_NAMES)
    for algorithm in digests.ALGORITHMS:
        blobs = os.path.join(path, digests.blob_name(algorithm))
        try:
            with errors_about(blobs), os.scandir(blobs) as entries:
                for entry in entries:
                    if digests.algorithm_of(f'{algorithm}:{entry.name}') is not None:
                        names.append(digests.blob_name(f'{algorithm}:{entry.name}'))
                    if len(names) > _FILES_LIMIT:
                        text = f'has over {_FILES_LIMIT:,} blobs'
                        raise ArchiveError(f'{path!r} {text}: give a smaller one')
        except FileNotFoundError:
            continue
    return sorted(names)


def _member(name: str, size: int) -> Member:
    return Member(
        name=name,
        kind=tarfile.REGTYPE,
        mode=0o644,
        uid=0,
        gid=0,
        uname='',
        gname='',
        target='',
        size=size,
        offset=0,
        pieces=None,
    )


def is_layout(archive: Archive) -> bool:
    """Tells whether an archive is an OCI image layout, and nothing else."""
    names = set(archive.names)
    return names.issuperset(LAYOUT_NAMES) and MANIFEST_NAME not in names


def check_version(archive: Archive) -> None:
    """Checks that a layout has the version of the specification that there is.

    Args:
        archive: the layout.

    Raises:
        ArchiveError: it has another one.
        OSError: it cannot be read.
    """
    archive.check_repeated([LAYOUT_NAME])
    content = archive.read_file(LAYOUT_NAME)
    value = load_object(content or b'') or {}
    version = value.get('imageLayoutVersion')
    if version != _VERSION:
        text = f'{LAYOUT_NAME} has the version {str(version)[:_SHOWN]!r}, not {_VERSION!r}'
        raise ArchiveError(f'{archive.path!r}: {text}: replace it')


def _kept(descriptor: JsonDescriptor) -> JsonDescriptor:
    return {key: descriptor[key] for key in _KEPT_KEYS if key in descriptor}
