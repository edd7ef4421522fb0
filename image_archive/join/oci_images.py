# SPDX-License-Identifier: Apache-2.0
"""The images of several archives, each with the OCI manifest that it has in an OCI layout.

It is the manifest that an archive has, byte for byte, or else a new one. So an image is the same,
whichever program saved it under whatever names.
"""

import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

from image_archive.checks import layers as layer_checks
from image_archive.digests import blob_name, digest_in_blob_name, is_sha256_digest, sha256
from image_archive.errors import ArchiveError
from image_archive.image import oci
from image_archive.image.configuration import Configuration, read_configuration
from image_archive.image.layer_file import LayerFile, describe_file
from image_archive.image.layout import is_of_no_image
from image_archive.image.oci import Descriptor
from image_archive.image.oci_index import (
    CONFIG_TYPES,
    MANIFEST_TYPE,
    NAME_ANNOTATIONS,
    READ_TYPES,
    REFERENCE_TYPE,
    FoundBlob,
    JsonDescriptor,
    descriptors_in,
    is_descriptor,
    walk,
)
from image_archive.image.stored import (
    OLD_DOCKER_ADVICE,
    WRITTEN_BY_OLD_DOCKER,
    ImageArchive,
    StoredImage,
)
from image_archive.system.progress import Progress
from image_archive.tar.archive import Archive, Place


class OciLayer(NamedTuple):
    """A layer of an image.

    Attributes:
        digest: its digest as it is stored.
        size: its bytes as it is stored; None if no manifest says it.
        diff_id: its diff ID.
        foreign: its descriptor in JSON, if it is foreign: clients may download it.
        descriptor: its descriptor in a new manifest; None if an archive has the manifest.
        file: its file; None if no archive has it.
    """

    digest: str
    size: int | None
    diff_id: str
    foreign: JsonDescriptor | None
    descriptor: Descriptor | None
    file: LayerFile | None

    @property
    def name(self) -> str:
        """The name of its blob."""
        return blob_name(self.digest)


class OciManifest:
    """The manifest of an image.

    Attributes:
        image: the image.
        media_type: its media type.
        config_digest: the digest of the configuration in it.
        layers: the layers, bottom layer first.
        annotations: its annotations.
        place: where it is; None for a new one.
        digest: its digest.
        size: its bytes.
    """

    def __init__(
        self,
        image: 'OciImage',
        media_type: str,
        config_digest: str,
        layers: list[OciLayer],
        annotations: dict[str, str],
        kept: tuple[Place, str] | None = None,
    ) -> None:
        """Makes a manifest.

        Args:
            image: the image.
            media_type: its media type.
            config_digest: the digest of the configuration in it.
            layers: the layers, bottom layer first.
            annotations: its annotations.
            kept: where it is, and its digest; None for a new one.
        """
        self.image = image
        self.media_type = media_type
        self.config_digest = config_digest
        self.layers = layers
        self.annotations = annotations
        self.place: Place | None = None
        if kept is None:
            described = oci.describe_manifest(self.content)
            self.digest, self.size = described.digest, described.size
        else:
            self.place, self.digest = kept
            self.size = self.place.member.size

    @property
    def content(self) -> bytes:
        """Its bytes, which are not kept; raises what Place.read() raises."""
        if self.place is not None:
            return self.place.read()
        config = oci.describe_config_of(f'sha256:{self.image.id}', self.image.place.member.size)
        descriptors = [one.descriptor for one in self.layers if one.descriptor is not None]
        return oci.manifest(config, descriptors)

    @property
    def descriptor(self) -> JsonDescriptor:
        """Its descriptor, with the platform of the image."""
        described = Descriptor(self.media_type, self.digest, self.size)
        return oci.json_descriptor(described, self.image.platform)


class OciImage:
    """An image: what several archives have with the same configuration.

    The configuration is read again whenever it is needed: together they take too much memory.

    Attributes:
        label: its name in messages.
        place: where its configuration is.
        id: the SHA-256 of the configuration, in hex.
        diff_ids: the diff IDs of its layers, bottom layer first.
        platform: its platform, as oci.platform() returns it.
        stored: the image in each manifest.json that has it.
        kept: the manifests that archives have for it; the first one is used.
        made: the manifest that was made, as no archive has one.
    """

    def __init__(self, place: Place, content: bytes, label: str) -> None:
        """Makes an image.

        Args:
            place: where its configuration is.
            content: the configuration.
            label: its name in messages.

        Raises:
            ArchiveError: the configuration is none, or has no valid diff IDs.
        """
        self.label = label
        self.place = place
        self.id = sha256(content)
        config = read_configuration(content)
        if config.problem is not None:
            raise ArchiveError(f'{label} {config.problem}')
        diff_ids = config.diff_ids
        if diff_ids is None:
            raise ArchiveError(f'{label} has no list of diff IDs: replace the archive')
        for diff_id in diff_ids:
            if not is_sha256_digest(diff_id):
                text = f'has a diff ID that is no SHA-256, {diff_id[:200]!r}'
                raise ArchiveError(f'{label} {text}: replace the archive')
        self.diff_ids = tuple(sys.intern(diff_id) for diff_id in diff_ids)
        self.platform = oci.platform(config.keys)
        self.stored: list[StoredImage] = []
        self.kept: list[OciManifest] = []
        self.made: OciManifest | None = None

    @property
    def manifest(self) -> OciManifest:
        """The manifest of the image, once all archives were read."""
        if self.kept:
            return self.kept[0]
        if self.made is None:
            raise AssertionError('an image has no manifest yet')
        return self.made

    @property
    def platform_key(self) -> tuple[str, str, str] | None:
        """What distinguishes its platform from others; None if it is not known."""
        return oci.platform_key(self.platform or {})

    @property
    def layer_sources(self) -> dict[str, dict[str, Any]]:
        """LayerSources of its foreign layers: those of the archives, else of its manifest."""
        sources = {
            layer.diff_id: layer.foreign
            for layer in self.manifest.layers
            if layer.foreign is not None
        }
        return {**sources, **self.foreign_sources}

    @property
    def foreign_sources(self) -> dict[str, dict[str, Any]]:
        """The foreign layers in LayerSources of the archives; of one layer the first counts."""
        sources: dict[str, dict[str, Any]] = {}
        for stored in self.stored:
            for diff_id, source in stored.foreign_sources.items():
                sources.setdefault(diff_id, source)
        return sources

    def read_config(self) -> Configuration:
        """Returns the configuration; raises what Place.read() raises."""
        return read_configuration(self.place.read())


class StoredBlobs:
    """The files of all archives: blobs by their digests, and layers by their diff IDs, too."""

    def __init__(self, archives: list[ImageArchive]) -> None:
        self._archives = [images.archive for images in archives]
        self._files: dict[tuple[Archive, str], LayerFile] = {}
        self._by_diff_id: dict[str, list[LayerFile]] = {}
        # The files of a diff ID by their digests, by the diff ID and an algorithm.
        self._by_digest: dict[tuple[str, str], dict[str, LayerFile]] = {}

    def find(self, digest: str) -> Place | None:
        """Returns where the blob of a digest is, in the first archive that has it."""
        name = blob_name(digest)
        for archive in self._archives:
            place = archive.find(name)
            if place is not None:
                return place
        return None

    def read(self, name: str) -> bytes | None:
        """Returns the bytes of a small blob of a name; None if there is none.

        Args:
            name: the name of the blob.

        Raises:
            ArchiveError: it is too large.
            OSError: it cannot be read.
        """
        place = self.find(digest_in_blob_name(name) or '')
        if place is None:
            return None
        return place.read()

    def add_layer(self, place: Place, diff_id: str) -> LayerFile:
        """Returns the file of a layer, which is then known by its diff ID.

        Args:
            place: where it is.
            diff_id: its diff ID in the configuration of an image.

        Raises:
            ArchiveError: another image gives it another diff ID.
            OSError: it cannot be read.
        """
        key = place.archive, place.name
        file = self._files.get(key)
        if file is None:
            label = f'layer {place.name!r} of {place.archive.path!r}'
            file = LayerFile(label, place.source, diff_id, digest_in_blob_name(place.name))
            self._files[key] = file
            self._by_diff_id.setdefault(diff_id, []).append(file)
        if file.diff_id != diff_id:
            text = f'{file.label} is {file.diff_id} in one image, and {diff_id} in another'
            raise ArchiveError(f'{text}: leave one out')
        return file

    def find_layer(self, digest: str, diff_id: str, progress: Progress) -> LayerFile | None:
        """Returns the file of a layer; None if no archive has it as it is stored there.

        Args:
            digest: its digest as it is stored.
            diff_id: its diff ID.
            progress: advanced by the bytes of compressed layers that are read.

        Raises:
            ArchiveError: as add_layer().
            OSError: a layer cannot be read.
        """
        place = self.find(digest)
        if place is not None:
            return self.add_layer(place, diff_id)
        key = diff_id, digest.partition(':')[0]
        if key not in self._by_digest:
            self._by_digest[key] = {}
            for file in self._by_diff_id.get(diff_id, []):
                stored = diff_id
                if file.compression is not None or not is_sha256_digest(digest):
                    stored = file.stored_digest(digest, progress)
                self._by_digest[key].setdefault(stored, file)
        return self._by_digest[key].get(digest)

    def find_content(self, diff_id: str) -> LayerFile | None:
        """Returns the first file of a layer, however it is compressed; None if there is none."""
        files = self._by_diff_id.get(diff_id)
        if not files:
            return None
        return files[0]


class OciImages:
    """The images of several archives.

    Attributes:
        blobs: the files of the archives.
        by_id: the images by their IDs, in their order.
        manifests: the manifests that archives have, by their digests.
        found: what the indexes of all archives lead to, by the digests.
    """

    def __init__(self, archives: list[ImageArchive], progress: Progress) -> None:
        """Reads the images.

        Args:
            archives: the archives, in their order.
            progress: advanced by the bytes of compressed layers that are read.

        Raises:
            ArchiveError: an archive is of Docker 1.9 or older, or lacks what a manifest needs, or
                contradicts itself.
            OSError: an archive cannot be read.
        """
        self.blobs = StoredBlobs(archives)
        self.by_id: dict[str, OciImage] = {}
        self.manifests: dict[str, OciManifest] = {}
        self.found: dict[str, FoundBlob] = {}
        self._by_config: dict[tuple[Archive, str], OciImage] = {}  # by the names in manifest.json
        self._by_place: dict[tuple[Archive, str], OciImage] = {}  # by the names behind links
        for archive in archives:
            if archive.is_v1:
                text = f'{archive.archive.path!r} {WRITTEN_BY_OLD_DOCKER}'
                raise ArchiveError(f'{text}: {OLD_DOCKER_ADVICE}')
            for stored in archive.images:
                self._add_stored(stored)
        for archive in archives:
            self._read_index(archive)
        progress.begin('reading compressed layers', 0)
        for manifest in self.manifests.values():
            manifest.layers = [self._with_file(layer, progress) for layer in manifest.layers]
        for image in self.by_id.values():
            if not image.kept:
                image.made = self._make_manifest(image, progress)

    def image_of(self, stored: StoredImage) -> OciImage:
        """Returns the image that an archive has."""
        return self._by_config[stored.archive, stored.config_name]

    def _add_stored(self, stored: StoredImage) -> None:
        """Adds an image of a manifest.json, and its layers that are there."""
        label = f'{stored.archive.path!r}: {stored.config_name!r}'
        key = stored.archive, stored.config_name
        if key not in self._by_config:
            place = stored.archive.find(stored.config_name)
            if place is None:
                raise ArchiveError(f'{label} is missing: give a whole image')
            self._by_config[key] = self._image_at(place, label)
        image = self._by_config[key]
        if len(stored.layers) != len(image.diff_ids):
            count = len(image.diff_ids)
            text = f'rootfs.diff_ids has {count} entries for {len(stored.layers)} layers'
            raise ArchiveError(f'{label}: {text}: replace the archive')
        image.stored.append(stored)
        for name, diff_id in zip(stored.layers, image.diff_ids, strict=True):
            place = stored.archive.find(name)
            if place is not None:
                self.blobs.add_layer(place, diff_id)

    def _image_at(self, place: Place, label: str) -> OciImage:
        """Returns the image of a configuration, which is added if it is new."""
        key = place.archive, place.name
        if key not in self._by_place:
            image = OciImage(place, place.read(), label)
            self._by_place[key] = self.by_id.setdefault(image.id, image)
        return self._by_place[key]

    def _read_index(self, archive: ImageArchive) -> None:
        """Adds the manifests that the index of an archive leads to, and their images."""
        label = repr(archive.archive.path)
        for blob in walk(archive.descriptors or (), archive.archive.read_file, label):
            if blob.value or blob.digest not in self.found:
                self.found[blob.digest] = blob
            if blob.digest not in self.manifests and is_image_manifest(blob):
                self._add_manifest(archive.archive, blob)

    def _add_manifest(self, archive: Archive, blob: FoundBlob) -> None:
        """Adds a manifest, if its configuration is there."""
        config_digest = str(blob.value['config']['digest'])
        config = self.blobs.find(config_digest)
        place = archive.find(blob_name(blob.digest))
        if config is None or place is None:
            return
        image = self._image_at(config, f'{config.archive.path!r}: {config.name!r}')
        layers = blob.value.get('layers') or []
        label = f'{archive.path!r} has an OCI manifest'
        own = [stored for stored in image.stored if stored.archive is archive]
        names = [''] * len(image.diff_ids)
        if own and len(own[0].layers) == len(names):
            names = list(own[0].layers)
        problem = oci.contradiction(layers, names, image.diff_ids)
        if problem is None and len(descriptors_in(blob.value, 'layers')) != len(layers):
            problem = 'a layer without a valid digest'
        if problem is not None:
            raise ArchiveError(f'{label} with {problem}: replace the archive')
        manifest = OciManifest(
            image=image,
            media_type=media_type_of(blob, MANIFEST_TYPE),
            config_digest=config_digest,
            layers=[
                _described_layer(layer, diff_id)
                for layer, diff_id in zip(layers, image.diff_ids, strict=True)
            ],
            annotations=_annotations_of(blob.value),
            kept=(place, blob.digest),
        )
        self.manifests[blob.digest] = manifest
        image.kept.append(manifest)

    def _with_file(self, layer: OciLayer, progress: Progress) -> OciLayer:
        file = self.blobs.find_layer(layer.digest, layer.diff_id, progress)
        return layer._replace(file=file)

    def _make_manifest(self, image: OciImage, progress: Progress) -> OciManifest:
        """Returns a new manifest of an image that no archive has one for."""
        layers = []
        foreign_sources = image.foreign_sources
        for index, diff_id in enumerate(image.diff_ids):
            foreign = foreign_sources.get(diff_id)
            file = self._own_layer(image, index) or self.blobs.find_content(diff_id)
            if file is None:
                layers.append(_missing_layer(image, index, foreign))
                continue
            for problem in layer_checks.compression_problems([file]):
                raise ArchiveError(problem.text)
            descriptor = describe_file(file, diff_id, progress)
            if foreign is not None:
                descriptor = oci.describe_foreign_layer(descriptor, file.compression, foreign)
            layers.append(
                OciLayer(descriptor.digest, descriptor.size, diff_id, foreign, descriptor, file)
            )
        return OciManifest(image, MANIFEST_TYPE, f'sha256:{image.id}', layers, {})

    def _own_layer(self, image: OciImage, index: int) -> LayerFile | None:
        """Returns the file of a layer in the first archive that has it under the image's name."""
        for stored in image.stored:
            place = stored.archive.find(stored.layers[index])
            if place is not None:
                return self.blobs.add_layer(place, image.diff_ids[index])
        return None


def is_image_manifest(blob: FoundBlob) -> bool:
    """Tells whether what an index leads to is the manifest of an image, and not an artifact."""
    if not blob.is_manifest or is_of_no_image(blob.descriptor) or blob.value.get('artifactType'):
        return False
    config = blob.value['config']
    return is_descriptor(config) and config.get('mediaType') in CONFIG_TYPES


def media_type_of(blob: FoundBlob, default: str) -> str:
    """Returns the media type of an index or a manifest.

    Args:
        blob: what an index leads to.
        default: the media type if nothing says it.
    """
    for value in (blob.value.get('mediaType'), blob.descriptor.get('mediaType')):
        if value is not None and value in READ_TYPES:
            return str(value)
    return default


def _described_layer(descriptor: JsonDescriptor, diff_id: str) -> OciLayer:
    """Returns a layer as a manifest describes it; its file is not known yet."""
    size = descriptor.get('size')
    foreign = descriptor if oci.is_foreign(descriptor) else None
    return OciLayer(
        digest=sys.intern(descriptor['digest']),
        size=size if isinstance(size, int) else None,
        diff_id=diff_id,
        foreign=foreign,
        descriptor=None,
        file=None,
    )


def _missing_layer(image: OciImage, index: int, foreign: JsonDescriptor | None) -> OciLayer:
    """Returns a layer that no archive has: clients may download a foreign one."""
    descriptor = oci.read_layer(foreign)
    if descriptor is None:
        name = image.stored[0].layers[index]
        text = f'{image.label}: no archive has its layer {name!r}'
        reason = 'and no OCI manifest describes it'
        raise ArchiveError(f'{text}, {reason}: also give the archive of its base')
    diff_id = image.diff_ids[index]
    return OciLayer(descriptor.digest, descriptor.size, diff_id, foreign, descriptor, None)


def _annotations_of(value: dict[str, Any]) -> dict[str, str]:
    """Returns the annotations of a manifest that its descriptor can have, too.

    In a descriptor some mean a name, or that it is of an attestation.
    """
    annotations = value.get('annotations')
    if not isinstance(annotations, dict):
        return {}
    reserved = (*NAME_ANNOTATIONS, REFERENCE_TYPE)
    return {
        name: text
        for name, text in annotations.items()
        if isinstance(text, str) and name not in reserved
    }


def blobs_of_artifact(blob: FoundBlob) -> Iterator[str]:
    """Yields the digests of the blobs that belong to what an index leads to, itself the last."""
    config = blob.value.get('config')
    if is_descriptor(config) and isinstance(config, dict):
        yield config['digest']
    for layer in descriptors_in(blob.value, 'layers'):
        yield layer['digest']
    yield blob.digest
