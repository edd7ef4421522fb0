# SPDX-License-Identifier: Apache-2.0
"""Images that exist already: in the archive of a base, and in archives that are joined."""

from functools import cached_property
from typing import Any

from image_archive.digests import blob_name, digest_of
from image_archive.errors import ArchiveError
from image_archive.image import docker_manifest, oci
from image_archive.image.choice import Choice, ImageLabel, Platform, choose, platform_in
from image_archive.image.configuration import Configuration, read_configuration
from image_archive.image.docker_manifest import MANIFEST_NAME, Repositories, check_entry
from image_archive.image.layout import (
    IndexContent,
    IndexedImage,
    check_version,
    is_layout,
    read_content,
)
from image_archive.image.oci_index import JsonDescriptor, read_index, usable_index, walk
from image_archive.image.tags import parse_tag
from image_archive.tar.archive import Archive, Place
from image_archive.tar.names import normal_name

WRITTEN_BY_OLD_DOCKER = 'was written by Docker 1.9 or older'
OLD_DOCKER_ADVICE = 'load it with Docker 1.10 to 28 and save it again'

# The layers of images, as far as they are foreign, as OCI manifests describe them: by the digest
# of the configuration, a list for each manifest.
_ForeignLayers = dict[str, list[list[JsonDescriptor | None]]]


class StoredImage:
    """An image in an archive.

    Attributes:
        images: the archive and what it says of its images.
        archive: the archive, open.
        entry: the entry of the image in manifest.json; what it would be for an image of an index.
        indexed: the image as an index has it; None for an image of manifest.json.
        config_name: the normal name of its configuration.
        layers: the normal names of its layers, bottom layer first.
        tags: its tags.
    """

    def __init__(
        self, images: 'ImageArchive', entry: dict[str, Any], indexed: IndexedImage | None = None
    ) -> None:
        self.archive = images.archive
        self.entry = entry
        self.indexed = indexed
        self.images = images
        self.config_name = normal_name(entry['Config'])
        self.layers = docker_manifest.layers_of(entry)

    @cached_property
    def tags(self) -> tuple[str, ...]:
        return docker_manifest.tags_of(self.archive.path, self.entry)

    @cached_property
    def config(self) -> Configuration | None:
        """The configuration, read when it is first asked for; None if the archive lacks it.

        Raises:
            ArchiveError: it is too large.
            OSError: it cannot be read.
        """
        content = self.archive.read_file(self.config_name)
        if content is None:
            return None
        return read_configuration(content)

    @cached_property
    def layer_sources(self) -> dict[str, dict[str, Any]]:
        """LayerSources of the entry; raises what layer_sources_of() raises.

        Those of an image of an index are the descriptors of its foreign layers.
        """
        if self.indexed is None:
            return docker_manifest.layer_sources_of(self.archive.path, self.entry)
        foreign = [layer if oci.is_foreign(layer) else None for layer in self.indexed.layers]
        if not any(foreign):  # then the configuration is not needed
            return {}
        pairs = zip(self.diff_id_of_each_layer, foreign, strict=True)
        return {diff_id: layer for diff_id, layer in pairs if diff_id is not None and layer}

    @property
    def foreign_sources(self) -> dict[str, dict[str, Any]]:
        """The descriptors of foreign layers in LayerSources, by diff IDs."""
        sources = self.layer_sources.items()
        return {diff_id: source for diff_id, source in sources if oci.is_foreign(source)}

    @cached_property
    def foreign_layers(self) -> tuple[JsonDescriptor | None, ...]:
        """The descriptor of each layer in JSON; None for a layer that is not foreign.

        The descriptors are those in LayerSources, or else in an OCI manifest of the archive.

        Raises:
            ArchiveError: a file is too large, or LayerSources are not valid.
            OSError: the archive cannot be read.
        """
        if self.indexed is not None:
            return tuple(layer if oci.is_foreign(layer) else None for layer in self.indexed.layers)
        found: list[JsonDescriptor | None] = [None] * len(self.layers)
        if self.config is None:
            return tuple(found)
        described = list(self.images.foreign_layers.get(digest_of(self.config.content), []))
        sources = self.foreign_sources
        described.append([sources.get(one or '') for one in self.diff_id_of_each_layer])
        for layers in described:
            if len(layers) == len(found):
                found = [new or old for old, new in zip(found, layers, strict=True)]
        return tuple(found)

    @property
    def diff_ids(self) -> tuple[str, ...] | None:
        """The diff IDs in the configuration; None if they cannot be known."""
        if self.config is None or self.config.type_problems:
            return None
        return self.config.diff_ids

    @property
    def diff_id_of_each_layer(self) -> tuple[str | None, ...]:
        """The diff ID of each layer; None for each if the configuration does not give them."""
        count = len(self.layers)
        if self.config is None or self.config.type_problems:
            return (None,) * count
        return self.config.diff_ids_of(count)


class ImageArchive:
    """An archive of images, and what it says of them.

    Attributes:
        archive: the archive, open.
        is_layout: whether it is an OCI image layout, and has no manifest.json.
        is_v1: whether Docker 1.9 or older wrote it: it has neither.
        image_count: the number of images in manifest.json.
    """

    def __init__(self, archive: Archive, entries: list[Any], is_layout: bool = False) -> None:
        self.archive = archive
        self.is_layout = is_layout
        self.is_v1 = not entries and not is_layout
        self.image_count = len(entries)
        self._entries = entries
        self._chosen: dict[Choice, StoredImage] = {}

    def image_for(self, choice: Choice) -> StoredImage:
        """Returns the image that is meant: without a choice, the only one or the last one.

        Of an index it is the only one, of manifest.json the last one; others there need not be
        sound. With a choice, the images of both count.

        Args:
            choice: the choice.

        Raises:
            ArgumentError: not exactly one image is meant.
            ArchiveError: the image is not valid, or clients read it differently.
            OSError: the archive cannot be read.
        """
        if choice not in self._chosen:
            self._chosen[choice] = self._choose(choice)
        return self._chosen[choice]

    def _choose(self, choice: Choice) -> StoredImage:
        if not choice.is_given and not self.is_layout:
            return self._read_images(self._entries[-1:])[0]
        candidates = self._candidates()
        if not candidates:  # no entry is valid: the last one says why
            return self._read_images(self._entries[-1:])[0]
        labels = [ImageLabel(one.names, one.platform) for one in candidates]
        chosen = candidates[choose(repr(self.archive.path), labels, choice)]
        image = StoredImage(self, chosen.entry, chosen.indexed)
        names = [image.config_name, *image.layers]
        if image.indexed is not None:
            names += self.index_content.blobs
        self.archive.check_repeated(names)
        return image

    def base_for(self, choice: Choice) -> StoredImage:
        """Returns the image that is meant, for a layer or a configuration on it.

        Args:
            choice: the choice.

        Raises:
            ArgumentError, ArchiveError, OSError: as image_for(), and if Docker 1.9 or older wrote
                the archive.
        """
        if self.is_v1:
            text = f'{self.archive.path!r} {WRITTEN_BY_OLD_DOCKER}'
            raise ArchiveError(f'--base: {text}: {OLD_DOCKER_ADVICE}')
        return self.image_for(choice)

    @cached_property
    def images(self) -> list[StoredImage]:
        """All images: those of manifest.json, or of the index of a layout.

        Raises:
            ArchiveError: one is not valid, or clients read it differently.
            OSError: the archive cannot be read.
        """
        if self.is_layout:
            found = self.index_content.images
            images = [StoredImage(self, _entry_for(indexed), indexed) for indexed in found]
            self.archive.check_repeated(self._names_needed_by(images))
            return images
        return self._read_images(self._entries)

    @cached_property
    def repositories(self) -> Repositories:
        """The names that Docker 1.9 and older use; raises what read_repositories() raises."""
        if self.is_layout:
            return {}
        return docker_manifest.read_repositories(self.archive)

    @cached_property
    def descriptors(self) -> list[JsonDescriptor] | None:
        """The descriptors in index.json, None without it; raises what read_index() raises.

        Those of a layout lead to its images alone.
        """
        if self.is_layout:
            return self.index_content.descriptors
        return read_index(self.archive)

    def is_merged(self, name: str) -> bool:
        """Tells whether a member is merged when all images are; name is its normal name.

        Of a layout nothing is but what its images need.
        """
        if self.is_layout:
            return name in self._names_in_layout
        return docker_manifest.is_merged(name)

    @cached_property
    def _names_in_layout(self) -> frozenset[str]:
        return frozenset(self.archive.with_targets(self._names_needed_by(self.images)))

    def _names_needed_by(self, images: list[StoredImage]) -> list[str]:
        """Returns the names of everything that images of the index consist of."""
        names = list(self.index_content.blobs)
        for image in images:
            names += [image.config_name, *image.layers]
        return names

    @cached_property
    def foreign_layers(self) -> _ForeignLayers:
        """The foreign layers in the OCI manifests of the archive, which may have none.

        Raises:
            ArchiveError: an index or a manifest is too large.
            OSError: the archive cannot be read.
        """
        found: _ForeignLayers = {}
        label = repr(self.archive.path)
        for blob in walk(usable_index(self.archive), self.archive.read_file, label):
            layers = blob.value.get('layers')
            if not blob.is_manifest or not isinstance(layers, list):
                continue
            foreign = [one if oci.is_foreign(one) else None for one in layers]
            if any(foreign):
                found.setdefault(str(blob.value['config'].get('digest')), []).append(foreign)
        return found

    def _candidates(self) -> list['_Candidate']:
        """Returns the images of manifest.json and of the index, each once."""
        configs = _Configurations(self.archive)
        found: dict[str, _Candidate] = {}
        for entry in self._entries:
            try:
                name = normal_name(check_entry(self.archive.path, entry)['Config'])
                tags = docker_manifest.tags_of(self.archive.path, entry)
            except ArchiveError:
                continue
            digest, platform = configs.read(name)
            candidate = found.setdefault(digest or name, _Candidate(platform, entry))
            candidate.names += tags
            candidate.entry = entry
        for indexed in self.index_content.images:
            digest = indexed.config['digest']
            platform = indexed.platform
            if platform is None:
                platform = configs.read(blob_name(digest))[1]
            if digest in found:
                found[digest].platform = platform
            else:
                digest = indexed.descriptor['digest']
                found[digest] = _Candidate(platform, _entry_for(indexed), indexed)
            found[digest].names += indexed.names
        return list(found.values())

    @cached_property
    def index_content(self) -> IndexContent:
        """What the index of the archive leads to; without manifest.json it must be valid.

        Raises:
            ArchiveError: it is not valid, or leads to too much.
            OSError: the archive cannot be read.
        """
        if self.is_layout:
            descriptors = read_index(self.archive) or []
        else:
            descriptors = usable_index(self.archive)
        return read_content(descriptors, self.archive.read_file, repr(self.archive.path))

    def read_all(self) -> None:
        """Reads everything that the archive says of its images, so that errors come here.

        Raises:
            ArchiveError, OSError: as the attributes.
        """
        for image in self.images:
            _ = image.tags, image.layer_sources
        _ = self.repositories, self.descriptors

    def _read_images(self, entries: list[Any]) -> list[StoredImage]:
        images = []
        counting = []
        for entry in entries:
            image = StoredImage(self, check_entry(self.archive.path, entry))
            images.append(image)
            counting += [image.config_name, *image.layers]
        self.archive.check_repeated(counting)
        return images


class _Candidate:
    """An image that may be meant.

    Attributes:
        platform: its platform; None if that is not known.
        entry, indexed: as StoredImage has them.
        names: its tags, and other names that an index gives it.
    """

    def __init__(
        self, platform: Platform | None, entry: dict[str, Any], indexed: IndexedImage | None = None
    ) -> None:
        self.platform = platform
        self.entry = entry
        self.indexed = indexed
        self.names: list[str] = []


class _Configurations:
    """The configurations in an archive: their digests and platforms, each read once."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._found: dict[str, tuple[str | None, Platform | None]] = {}  # by names behind links

    def read(self, name: str) -> tuple[str | None, Platform | None]:
        """Returns the digest and the platform of the configuration of a name.

        Both are None if it is missing or too large; the platform also if it does not have one.
        """
        place = self._archive.find(name)
        if place is None:
            return None, None
        if place.name not in self._found:
            self._found[place.name] = self._read(place)
        return self._found[place.name]

    def _read(self, place: Place) -> tuple[str | None, Platform | None]:
        try:
            content = place.read()
        except ArchiveError:
            return None, None
        return digest_of(content), platform_in(read_configuration(content).keys)


def _entry_for(indexed: IndexedImage) -> dict[str, Any]:
    """Returns what manifest.json would have for an image of an index."""
    tags: dict[str, str] = {}  # by full names
    for name in indexed.names:
        tag = parse_tag(name)
        if tag is not None:
            tags.setdefault(tag.full_name, name)
    return {
        'Config': blob_name(indexed.config['digest']),
        'Layers': [blob_name(layer['digest']) for layer in indexed.layers],
        'RepoTags': list(tags.values()),
    }


def read_image_archive(archive: Archive, what: str) -> ImageArchive:
    """Returns what an archive of images says of them.

    Args:
        archive: the archive, open.
        what: what it should be, for messages.

    Raises:
        ArchiveError: it holds no image, or its manifest.json comes twice with different content.
        OSError: it cannot be read.
    """
    if is_layout(archive):
        return _read_layout(archive, what)
    archive.check_repeated([MANIFEST_NAME])
    entries = docker_manifest.read_manifest(archive)
    if entries or (entries is None and _is_v1(archive)):
        return ImageArchive(archive, entries or [])
    state, advice = _describe(archive, entries)
    raise ArchiveError(f'{archive.path!r} is not a valid {what}: it {state}: {advice}')


def _read_layout(archive: Archive, what: str) -> ImageArchive:
    """Returns what a layout says of its images; raises what read_image_archive() raises."""
    check_version(archive)
    images = ImageArchive(archive, [], is_layout=True)
    content = images.index_content
    if not content.images:
        state = 'its index.json leads to no image'
        if content.problems:
            state = content.problems[0]
        elif content.missing:
            state = f'it lacks {blob_name(content.missing[0]["digest"])!r}'
        elif content.artifacts:
            state = f'{state}, but to attestations or other artifacts alone'
        text = f'is not a valid {what}: {state}'
        raise ArchiveError(f'{archive.path!r} {text}: save the image again')
    return images


def lacks_layer(path: str, layer: str) -> str:
    """Returns the message for a base that lacks a layer.

    Args:
        path: the path of the base.
        layer: the name of the layer in the manifest of the base.
    """
    return f'{path!r} lacks its layer {layer!r}: give a whole image'


def _is_v1(archive: Archive) -> bool:
    """Tells whether Docker 1.9 or older wrote an archive."""
    names = set(archive.names)
    if any(name.endswith(f'/{MANIFEST_NAME}') for name in names):
        return False
    directories = {name.partition('/')[0] for name in names}
    return any(f'{name}/json' in names and f'{name}/layer.tar' in names for name in directories)


def _describe(archive: Archive, entries: list[Any] | None) -> tuple[str, str]:
    """Returns what an archive without an image is, and what to do."""
    names = set(archive.names)
    if entries is not None:
        return f'has an empty {MANIFEST_NAME}', 'save it again, with an image'
    if not names:
        return 'has no members', 'give what `docker save` writes'
    for name in sorted(names):
        directory, _, rest = name.rpartition('/')
        if rest == MANIFEST_NAME:
            return f'has its image in a directory, {directory!r}', 'pack its contents'
    if '.dockerenv' in names:
        return 'has the files of a container, as `docker export` writes them', 'use `docker save`'
    return f'has no {MANIFEST_NAME}, like a layer', 'give what `docker save` writes'
