# SPDX-License-Identifier: Apache-2.0
"""What is wrong with images that are joined: a small function for each clause, as in verify.py."""

from image_archive.create import verify
from image_archive.create.verify import Problem, Problems
from image_archive.digests import new_sha256
from image_archive.errors import ArchiveError
from image_archive.image import bases as utils
from image_archive.image import image_config, names
from image_archive.join.joined_archives import Join
from image_archive.join.joined_files import FoundFile
from image_archive.join.joined_images import JoinedImage
from image_archive.system.progress import Progress
from image_archive.tar import streams

_BLOB_PREFIX = 'blobs/sha256/'


def find_problems(join: Join, reads_everything: bool, progress: Progress) -> list[Problem]:
    """Looks for what is wrong with the images of archives that are joined.

    Args:
        join: what the archives make together.
        reads_everything: whether to read every byte of the layers.
        progress: is told of the bytes that are read.

    Returns:
        The problems, image by image, then those of the layers.

    Raises:
        OSError: an archive cannot be read.
    """
    problems = list(_v1_problems(join))
    for image in join.images:
        problems += _config_problems(image)
        problems += _layer_number_problems(image)
        problems += verify.tag_problems(image.label, image.tags)
        problems += _missing_layer_problems(image, join)
        found = [name for name in image.layers if join.files.find(name) is not None]
        problems += verify.link_problems(image.label, found, join.files.member)
        if reads_everything:
            problems += _config_digest_problems(image)
    problems += _diff_id_problems(join)
    problems += _layer_compression_problems(join)
    if reads_everything:
        progress.begin('checking', _bytes_to_check(join))
        problems += _layer_content_problems(join, progress)
        problems += _blob_problems(join, progress)
    return problems


def _v1_problems(join: Join) -> Problems:
    """Every archive has a manifest."""
    for archive in join.v1_archives:
        text = f'{archive.path!r} is of before Docker 1.10: its images load in such a Docker only'
        yield Problem(f'--layer: {text}', is_error=False)


# Configurations.


def _config_problems(image: JoinedImage) -> Problems:
    """The configuration is there, and is one."""
    if image.content is None:
        yield Problem(f'{image.label} is a configuration that no archive has: give a whole image')
        return
    try:
        config = image_config.parse(image.content)
    except image_config.ConfigError as error:
        yield Problem(f'{image.label} {error}')
        return
    yield from verify.config_type_problems(image.label, config)
    if image.config is not None and image.diff_ids is not None:
        yield from verify.history_problems(image.label, image.config, len(image.diff_ids))


def _config_digest_problems(image: JoinedImage) -> Problems:
    """The configuration has the digest that its names tell."""
    if image.content is None:
        return
    for stored in image.stored:
        expected = utils.image_id(stored.config_name)
        if expected is None or not names.is_hex_id(expected.removeprefix('sha256:')):
            continue
        if expected != f'sha256:{image.id}':
            text = f'{stored.archive.path!r}: {stored.config_name!r} has the SHA-256 {image.id}'
            yield Problem(f'{text}: replace the archive')


# Layers.


def _layer_number_problems(image: JoinedImage) -> Problems:
    """There are as many layers as diff IDs, and no more than all clients take."""
    count = len(image.layers)
    if image.diff_ids is not None and len(image.diff_ids) != count:
        text = f'rootfs.diff_ids has {len(image.diff_ids)} entries for {count} layers'
        yield Problem(f'{image.label}: {text}: replace the archive')
    yield from verify.layer_count_problems(image.label, count)


def _missing_layer_problems(image: JoinedImage, join: Join) -> Problems:
    """Every layer is in one of the archives."""
    for name in dict.fromkeys(image.layers):
        if join.files.find(name) is None:
            text = f'no archive has its layer {name!r}: give that of its base, too'
            yield Problem(f'{image.label}: {text}')


def _diff_id_problems(join: Join) -> Problems:
    """No two images say of one layer that it is another one each."""
    for name, diff_ids in join.layers.diff_ids.items():
        if len(diff_ids) > 1:
            text = f'{_layer_label(join, name)} is {diff_ids[0]} in one image'
            yield Problem(f'{text}, and {diff_ids[1]} in another: leave one out')


def _layer_compression_problems(join: Join) -> Problems:
    """No layer has a compression that some clients do not read."""
    for name in join.layers.diff_ids:
        found = join.files.find(name)
        if found is not None:
            label = _layer_label(join, name)
            yield from verify.compression_problems(label, streams.detect(found.head()))


def _layer_content_problems(join: Join, progress: Progress) -> Problems:
    """Each layer is what the configurations, and its name, say."""
    for name, diff_ids in join.layers.diff_ids.items():
        found = join.files.find(name)
        if found is not None:
            diff_id = diff_ids[0] if diff_ids else None
            yield from _content_problems(found, _layer_label(join, name), diff_id, progress)


def _content_problems(
    found: FoundFile, label: str, diff_id: str | None, progress: Progress
) -> Problems:
    source = found.source()
    compression_name = streams.detect(source.head())
    if compression_name is not None and not streams.can_inflate(compression_name):
        yield from _blob_digest_problems(found.name, found, label, progress)
        yield verify.not_read(label)
        return
    file_digest = new_sha256()
    try:
        content = verify.read_layer(
            source, label, progress, file_digest if compression_name else None
        )
    except ArchiveError as error:
        yield Problem(str(error))
        return
    if content.has_more:
        yield verify.more_behind_the_end(label)
    content_digest = content.sha256
    if diff_id is not None and diff_id != f'sha256:{content_digest}':
        text = f'{label} has the diff ID sha256:{content_digest}, not {diff_id}'
        yield Problem(f'{text}: replace the archive')
        return
    digest = file_digest.hexdigest() if compression_name else content_digest
    yield from _digest_problems(found.name, label, digest)


def _layer_label(join: Join, name: str) -> str:
    found = join.files.find(name)
    path = '' if found is None else found.archive.path
    return f'layer {name!r} of {path!r}'


# The blobs of an OCI image layout.


def _blob_problems(join: Join, progress: Progress) -> Problems:
    """Each blob that index.json leads to is what its descriptor says."""
    checked = set(join.layers.diff_ids)
    checked.update(stored.config_name for image in join.images for stored in image.stored)
    for blob in join.blobs:
        found = join.files.find(blob.name)
        if found is None:
            continue
        label = f'blob {blob.name!r} of {found.archive.path!r}'
        if blob.size is not None and blob.size != found.member.size:
            text = f'{label} has {found.member.size} bytes, not {blob.size}'
            yield Problem(f'{text}: replace the archive')
        if blob.name != found.name or found.name not in checked:
            yield from _blob_digest_problems(blob.name, found, label, progress)


def _blob_digest_problems(name: str, found: FoundFile, label: str, progress: Progress) -> Problems:
    """A file has the digest that its name, or that of a link to it, tells."""
    digest = new_sha256()
    for block in found.source().blocks():
        digest.update(block)
        progress.advance(len(block))
    yield from _digest_problems(name, label, digest.hexdigest())


def _digest_problems(name: str, label: str, digest: str) -> Problems:
    expected = name.removeprefix(_BLOB_PREFIX)
    if name != expected and names.is_hex_id(expected) and digest != expected:
        yield Problem(f'{label} has the digest {digest}: replace the archive')


def _bytes_to_check(join: Join) -> int:
    found_names = dict.fromkeys([*join.layers.diff_ids, *(blob.name for blob in join.blobs)])
    found_files = [join.files.find(name) for name in found_names]
    return sum(found.member.size for found in found_files if found is not None)
