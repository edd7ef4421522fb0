# SPDX-License-Identifier: Apache-2.0
"""Joins archives into one that is an OCI image layout as well, and the same whoever saved them."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from image_archive.checks.problem import Problem
from image_archive.digests import blob_name
from image_archive.errors import ArchiveError, ArgumentError
from image_archive.image import oci
from image_archive.image.docker_manifest import Repositories
from image_archive.image.documents import Documents, add_documents
from image_archive.image.oci_index import descriptors_in
from image_archive.image.stored import ImageArchive
from image_archive.join.oci_images import OciImages, OciManifest, blobs_of_artifact
from image_archive.join.oci_names import Root, Target, name_images
from image_archive.system.beside import call_both
from image_archive.system.command_line import Run
from image_archive.system.outputs import OutputFile
from image_archive.system.progress import Progress
from image_archive.tar.content import Source
from image_archive.tar.writer import TarFileWriter


class OciBlob(NamedTuple):
    """A blob of the new archive.

    Attributes:
        digest: its digest.
        source: where it is copied from; None for a manifest or index that is made.
        manifest: the manifest that is made; else None.
        content: the index that is made; else None.
        is_hashed: whether --verify compares it with its digest: what is no layer, manifest or
            index of an image.
    """

    digest: str
    source: Source | None
    manifest: OciManifest | None = None
    content: bytes | None = None
    is_hashed: bool = False


class OciJoin(NamedTuple):
    """What several archives become together.

    Attributes:
        archives: the archives, in the order in which they are joined.
        roots: the descriptors of images in index.json.
        artifacts: its other descriptors.
        manifests: the manifests of all images.
        blobs: the blobs, in their order.
        left_out: the digests of layers that are left out.
        problems: what is wrong with the names, and what was replaced.
    """

    archives: list[ImageArchive]
    roots: list[Root]
    artifacts: list[dict[str, Any]]
    manifests: list[OciManifest]
    blobs: list[OciBlob]
    left_out: frozenset[str]
    problems: list[Problem]


def plan_oci_join(archives: list[ImageArchive], progress: Progress) -> OciJoin:
    """Returns what archives become together, as an OCI image layout.

    Args:
        archives: the archives, in the order in which they are joined.
        progress: advanced by the bytes of compressed layers that are read.

    Raises:
        ArchiveError: two archives do not go together, or one cannot become an OCI image layout.
        OSError: an archive cannot be read.
    """
    images = OciImages(archives, progress)
    names = name_images(archives, images)
    targets = list({root.target.digest: root.target for root in names.roots}.values())
    manifests = {one.digest: one for target in targets for one in target.manifests}
    blobs: dict[str, OciBlob] = {}
    for blob in _all_blobs(targets, names.artifacts, images):
        blobs.setdefault(blob.digest, blob)
    _check_files(blobs.values())
    return OciJoin(
        archives=archives,
        roots=names.roots,
        artifacts=names.artifacts,
        manifests=list(manifests.values()),
        blobs=list(blobs.values()),
        left_out=frozenset(),
        problems=names.problems,
    )


def _all_blobs(
    targets: Iterable[Target], artifacts: list[dict[str, Any]], images: OciImages
) -> Iterator[OciBlob]:
    """Yields the blobs of an archive, some of them again and again."""
    seen: set[str] = set()
    for target in targets:
        for member in target.members:
            if member.manifest is not None:
                yield from _blobs_of_image(member.manifest)
            else:
                yield from _blobs_below(member.descriptor, images, seen)
        if target.new_content is not None:
            yield OciBlob(target.digest, None, content=target.new_content)
        elif target.is_index:
            yield from _blobs_below(target.descriptor, images, seen)
    for descriptor in artifacts:
        yield from _blobs_below(descriptor, images, seen)


def _blobs_of_image(manifest: OciManifest) -> Iterator[OciBlob]:
    """Yields the blobs of an image that are there: configuration, layers, manifest."""
    yield OciBlob(manifest.config_digest, manifest.image.place.source, is_hashed=True)
    for layer in manifest.layers:
        if layer.file is not None:
            yield OciBlob(layer.digest, layer.file.source)
    if manifest.place is None:
        yield OciBlob(manifest.digest, None, manifest=manifest)
    else:
        yield OciBlob(manifest.digest, manifest.place.source)


def _blobs_below(
    descriptor: dict[str, Any], images: OciImages, seen: set[str]
) -> Iterator[OciBlob]:
    """Yields what a descriptor leads to, as far as it is there and no image; each blob once.

    Args:
        descriptor: the descriptor.
        images: the images of the archives.
        seen: the digests of what was yielded before; it is changed.
    """
    pending = [descriptor]
    while pending:
        digest = pending.pop()['digest']
        blob = images.found.get(digest)
        if digest in seen or digest in images.manifests or blob is None:
            continue
        seen.add(digest)
        pending += descriptors_in(blob.value, 'manifests')[::-1]
        for one in blobs_of_artifact(blob):
            place = images.blobs.find(one)
            if place is not None:
                yield OciBlob(one, place.source, is_hashed=True)


def _check_files(blobs: Iterable[OciBlob]) -> None:
    """Checks that no file is several blobs: links could lead to it from any number of names.

    Raises:
        ArchiveError: one is.
    """
    digests: dict[tuple[int, int, str], str] = {}
    for blob in blobs:
        source = blob.source
        if source is None or source.size == 0:
            continue
        key = id(source.file), source.file_offset, blob.digest.partition(':')[0]
        first = digests.setdefault(key, blob.digest)
        if first != blob.digest:
            text = f'{source.name!r} has one file as the blobs {first} and {blob.digest}'
            raise ArchiveError(f'{text}: replace the archive')


def oci_documents(join: OciJoin, top: str | None, repositories: Repositories) -> Documents:
    """Returns what is written after all blobs.

    Args:
        join: what is written.
        top: the v1 identifier to write to `top`.
        repositories: the names for Docker 1.9 and older.
    """
    return Documents(
        oci_index=oci.index(index_descriptors(join)),
        manifest=manifest_entries(join),
        top=top,
        repositories=repositories,
    )


def write_oci_join(
    output: str,
    join: OciJoin,
    documents: Documents,
    run: Run,
    digest_file: str | None,
    check: Callable[[], None] | None = None,
) -> None:
    """Writes the archive, and the file with the digest of its image.

    Args:
        output: the path of the archive; '-' is stdout.
        join: what is written.
        documents: what is written after it.
        run: the run of the program.
        digest_file: the path of the file for the digest; None for no such file.
        check: checks the images, while the members are written, before the archive is in its
            place; None if that was done.

    Raises:
        ArgumentError: there are several images, and a file for one digest.
        OSError: a file cannot be read or was changed, or an output cannot be written.
    """
    digests = list(dict.fromkeys(root.target.digest for root in join.roots))
    if digest_file is not None and len(digests) != 1:
        text = f'the output has {len(digests)} images'
        raise ArgumentError(f'--digest_file: {text}: leave it out')
    blobs = [blob for blob in join.blobs if blob.digest not in join.left_out]
    size = sum(blob.source.size for blob in blobs if blob.source is not None)
    progress = run.progress if check is None else Progress()  # the checks show theirs
    progress.begin('writing', size)
    with contextlib.ExitStack() as stack:
        tar = stack.enter_context(TarFileWriter(output, run.partial_files, progress))
        others = []
        if digest_file is not None:
            others.append(stack.enter_context(OutputFile(digest_file, run.partial_files)))

        def add_members() -> None:
            for blob in blobs:
                _add_blob(tar, blob)
            add_documents(tar, documents)

        call_both(check, add_members)
        for images in join.archives:
            images.archive.check_unchanged()  # since it was checked, and since it was copied
        for other in others:
            other.write(f'{digests[0]}\n'.encode())
        tar.close(others)


def _add_blob(tar: TarFileWriter, blob: OciBlob) -> None:
    name = blob_name(blob.digest)
    if blob.source is not None:
        tar.add_source(name, blob.source)
    elif blob.manifest is not None:
        tar.add_file(name, content=blob.manifest.content)
    else:
        tar.add_file(name, content=blob.content)


def index_descriptors(join: OciJoin) -> list[dict[str, Any]]:
    """Returns the descriptors in the new index.json."""
    descriptors = [
        oci.named_descriptor(root.target.descriptor, root.tag, root.target.annotations)
        for root in join.roots
    ]
    return descriptors + join.artifacts


def manifest_entries(join: OciJoin) -> list[dict[str, Any]]:
    """Returns the entries of the new manifest.json.

    An image of several platforms has one for the first of them, as Docker saves it: of two entries
    with one tag Skopeo reads none, and Docker's older store the last.
    """
    entries: dict[str, dict[str, Any]] = {}
    for root in join.roots:
        manifest = root.target.manifests[0]
        image = manifest.image
        if image.id not in entries:
            entry: dict[str, Any] = {
                'Config': blob_name(manifest.config_digest),
                'Layers': [layer.name for layer in manifest.layers],
                'RepoTags': [],
            }
            if image.layer_sources:
                entry['LayerSources'] = image.layer_sources
            entries[image.id] = entry
        if root.tag is not None:
            entries[image.id]['RepoTags'].append(root.tag.full_name)
    return list(entries.values())
