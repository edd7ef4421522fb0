# SPDX-License-Identifier: Apache-2.0
"""What may be wrong with images that are joined: a small function for each clause."""

from collections.abc import Collection

from image_archive.checks import layers as layer_checks
from image_archive.checks.archive_members import left_out_problems
from image_archive.checks.configuration import configuration_problems, history_problems
from image_archive.checks.identifiers import tag_problems
from image_archive.checks.layouts import image_problems, index_problems
from image_archive.checks.members import LowerFiles
from image_archive.checks.problem import Problem, Problems, limited
from image_archive.checks.sizes import descriptor_count_problems, manifest_size_problems
from image_archive.digests import digest_in_blob_name, is_sha256_digest
from image_archive.image.docker_manifest import image_id_of
from image_archive.image.documents import manifest_content
from image_archive.image.layer_file import LayerFile, hash_beside
from image_archive.image.stored import WRITTEN_BY_OLD_DOCKER, ImageArchive
from image_archive.join.images import JoinedImage, manifest_entries
from image_archive.join.plan import Join
from image_archive.system.progress import Progress

_ADVICE = 'replace the archive'


def find_problems(join: Join, verifies: bool, progress: Progress) -> list[Problem]:
    """Looks for what is wrong with the images of archives that are joined.

    Args:
        join: what the archives become together.
        verifies: whether to read every byte of the layers.
        progress: advanced by the bytes that are read.

    Returns:
        The problems: image by image, then those of the layers.

    Raises:
        OSError: an archive cannot be read.
    """
    problems = [*_v1_problems(join), *_artifact_problems(join), *_left_out_problems(join)]
    problems += limited('--layer', layout_problems(join.archives))
    problems += limited('--layer', _image_problems(join, verifies))
    problems += _size_problems(join)
    problems += join.oci_index.problems
    files = _layer_files(join)
    problems += _diff_id_problems(join, files)
    problems += layer_checks.compression_problems(files.values())
    if verifies:
        progress.begin('checking', _bytes_to_check(join, files))
        problems += limited('--layer', content_problems(files.values(), progress))
        problems += _blob_problems(join, files, progress)
    return problems


def layout_problems(archives: list[ImageArchive]) -> Problems:
    """Checks the images of OCI layouts, as far as an index describes them.

    Args:
        archives: the archives that are joined.

    Raises:
        OSError: one cannot be read.
    """
    for archive in archives:
        if archive.is_layout:
            yield from index_problems('--layer', archive)
            for image in archive.images:
                yield from image_problems('--layer', image)


def _left_out_problems(join: Join) -> Problems:
    """Says which members of the archives are not merged, because clients refuse them."""
    by_path: dict[str, dict[str, str]] = {}
    for name, reason in join.left_out.items():
        path = join.files.archive_of(name).path
        by_path.setdefault(path, {})[name] = reason
    for path, left_out in by_path.items():
        yield from left_out_problems('--layer', path, left_out)


def _image_problems(join: Join, verifies: bool) -> Problems:
    """Checks everything about images but the content of their layers."""
    for image in join.images:
        yield from _config_problems(image)
        yield from _layer_number_problems(image)
        yield from tag_problems(image.label, image.tags)
        yield from _missing_layer_problems(image, join)
        yield from layer_checks.layer_name_problems(image.label, image.layers)
        if verifies:
            yield from _config_digest_problems(image)


def content_problems(files: Collection[LayerFile], progress: Progress) -> Problems:
    """Checks that layers are tar archives with their diff IDs, and have the digests in their names.

    Args:
        files: the layers, whose data are at hand; they are read.
        progress: advanced by the bytes that are read.

    Raises:
        OSError: one cannot be read.
    """
    with hash_beside(files, progress):
        for file in files:
            # The layers of an image are in any order here, so each is checked by itself.
            yield from layer_checks.content_problems(file, _ADVICE, progress, LowerFiles())


def _v1_problems(join: Join) -> Problems:
    """Checks that no archive was written by Docker 1.9 or older."""
    for archive in join.archives:
        if archive.is_v1:
            text = f'{archive.archive.path!r} {WRITTEN_BY_OLD_DOCKER}'
            advice = 'only such a Docker can load its images'
            yield Problem(f'--layer: {text}: {advice}', is_error=False)


def _artifact_problems(join: Join) -> Problems:
    """Says how many manifests of OCI layouts are of no image, and are left out."""
    for archive in join.archives:
        if archive.is_layout and archive.index_content.artifacts:
            count = archive.index_content.artifacts
            text = f'{archive.archive.path!r} has {count:,} attestations or other artifacts'
            advice = 'give --oci to keep them'
            yield Problem(f'--layer: {text}, which are left out: {advice}', is_error=False)


def _size_problems(join: Join) -> Problems:
    """Checks that clients read the documents of the archive, as large as they are."""
    size = len(manifest_content(manifest_entries(join.images)))
    yield from manifest_size_problems('--layer', size)
    if join.oci_index.descriptors is not None:
        yield from descriptor_count_problems('--layer', len(join.oci_index.descriptors))


# Configurations.


def _config_problems(image: JoinedImage) -> Problems:
    """Checks that the configuration is there, and is one."""
    config = image.read_config()
    if config is None:
        yield Problem(f'{image.label} is missing from every archive: give a whole image')
        return
    if config.problem is not None:
        yield Problem(f'{image.label} {config.problem}')
        return
    yield from configuration_problems(image.label, config)
    if config.diff_ids is not None:
        yield from history_problems(image.label, config, len(config.diff_ids))


def _config_digest_problems(image: JoinedImage) -> Problems:
    """Checks that the configuration has the SHA-256 in its names."""
    if image.is_missing:
        return
    for stored in image.stored:
        expected = image_id_of(stored.config_name)
        if is_sha256_digest(expected) and expected != f'sha256:{image.id}':
            text = f'{stored.archive.path!r}: {stored.config_name!r} has the SHA-256 {image.id}'
            yield Problem(f'{text}: {_ADVICE}')


# Layers.


def _layer_number_problems(image: JoinedImage) -> Problems:
    """Checks that there are as many layers as diff IDs, and no more than all clients take."""
    count = len(image.layers)
    if image.diff_id_count not in (None, count):
        text = f'rootfs.diff_ids has {image.diff_id_count} entries for {count} layers'
        yield Problem(f'{image.label}: {text}: {_ADVICE}')
    yield from layer_checks.layer_count_problems(image.label, count)


def _missing_layer_problems(image: JoinedImage, join: Join) -> Problems:
    """Checks that every layer is in one of the archives."""
    positions = {name: index for index, name in enumerate(image.layers)}
    layout = None
    if join.oci_index.descriptors is None:
        layout = 'join only archives with an index.json to an OCI layout'
    for name, index in positions.items():
        if join.files.find(name) is not None:
            continue
        if image.has_foreign_layer(index):
            yield from layer_checks.foreign_layer_problems(image.label, name, layout)
        else:
            text = f'no archive has its layer {name!r}: also give the archive of its base'
            yield Problem(f'{image.label}: {text}')


def _layer_files(join: Join) -> dict[str, LayerFile]:
    """Returns the files of all layers that are there, by their names behind links."""
    files = {}
    for name, diff_ids in join.layers.diff_ids.items():
        place = join.files.find(name)
        if place is not None:
            diff_id = diff_ids[0] if diff_ids else None
            label = f'layer {join.files.old_name(name)!r} of {place.archive.path!r}'
            files[name] = LayerFile(label, place.source, diff_id, digest_in_blob_name(name))
    return files


def _diff_id_problems(join: Join, files: dict[str, LayerFile]) -> Problems:
    """Checks that all images give a layer the same diff ID."""
    for name, diff_ids in join.layers.diff_ids.items():
        if len(diff_ids) > 1:
            text = f'{files[name].label} is {diff_ids[0]} in one image'
            yield Problem(f'{text}, and {diff_ids[1]} in another: leave one out')


# The blobs of an OCI image layout.


def _blob_problems(join: Join, files: dict[str, LayerFile], progress: Progress) -> Problems:
    """Checks that each blob that index.json leads to has the size and digest of its descriptor."""
    checked = set(files)
    for image in join.images:
        checked.update(stored.config_name for stored in image.stored)
    layouts = {archive.archive for archive in join.archives if archive.is_layout}
    digests: dict[tuple[str, str], str] = {}  # of files, which many links may lead to
    for blob in join.oci_index.blobs:
        place = join.files.find(blob.name)
        if place is None:
            continue
        label = f'blob {blob.name!r} of {place.archive.path!r}'
        is_checked = place.archive in layouts  # by _layout_problems()
        if not is_checked and blob.size is not None and blob.size != place.member.size:
            text = f'{label} has {place.member.size} bytes, not {blob.size}'
            yield Problem(f'{text}: {_ADVICE}')
        if blob.name == place.name and place.name in checked:
            continue
        algorithm = blob.digest.partition(':')[0]
        key = place.name, algorithm
        if key not in digests:
            digests[key] = f'{algorithm}:{place.source.hash_with(algorithm, progress)}'
        found = digests[key]
        yield from layer_checks.digest_problems(label, blob.digest, found, _ADVICE)


def _bytes_to_check(join: Join, files: dict[str, LayerFile]) -> int:
    size = sum(file.source.size for file in files.values())
    for blob in join.oci_index.blobs:
        place = join.files.find(blob.name)
        if place is not None and place.name not in files:
            size += place.member.size
    return size
