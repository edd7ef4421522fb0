# SPDX-License-Identifier: Apache-2.0
"""What may be wrong with the layers of an image."""

from collections.abc import Iterable

from image_archive.checks.members import LowerFiles, MemberChecks
from image_archive.checks.problem import Problem, Problems
from image_archive.errors import ArchiveError
from image_archive.image.layer_file import LayerFile
from image_archive.system.progress import Progress
from image_archive.tar.names import has_long_component

_MOST_LAYERS = 125  # Docker's older image store refuses more ("max depth exceeded")
# containerd, and Docker with its image store, do not read these (seen with containerd 2.1).
_RARELY_READ = ('bzip2', 'xz')


def layer_count_problems(label: str, count: int) -> Problems:
    """Checks that an image has no more layers than all clients take.

    Args:
        label: the name of the image in messages.
        count: the number of its layers.
    """
    if count > _MOST_LAYERS:
        text = f'the image has {count} layers, but some versions of Docker take {_MOST_LAYERS}'
        yield Problem(f'{label}: {text}: merge some', is_error=False)


def foreign_layer_problems(label: str, name: str, layout: str | None) -> Problems:
    """Warns of a foreign layer that no archive has.

    No client but Podman downloads it, and only from an OCI layout (seen with 4.3).

    Args:
        label: the name of the image in messages.
        name: the name of the layer.
        layout: how the new archive becomes an OCI layout; None if it is one.
    """
    text = f'no archive has its foreign layer {name!r}'
    advice = 'load it with Podman, which downloads it'
    if layout is not None:
        advice = f'{layout}, from which Podman downloads it'
    yield Problem(f'{label}: {text}: {advice}', is_error=False)


def compression_problems(layers: Iterable[LayerFile]) -> Problems:
    """Checks that all clients read the compression of each layer."""
    for layer in layers:
        if layer.compression in _RARELY_READ:
            text = f'compressed by {layer.compression}, which containerd and Docker 29 do not read'
            yield Problem(f'{layer.label} is {text}: use gzip', is_error=False)


def layer_name_problems(label: str, names: Iterable[str]) -> Problems:
    """Checks that no layer has a name that Docker cannot unpack.

    Args:
        label: the name of the image in messages.
        names: the names of its layers in the archive.
    """
    for name in dict.fromkeys(names):
        if has_long_component(name):
            text = f'the name of layer {name[:200]!r} is longer than file systems take'
            yield Problem(f'{label}: {text}: save the image again')


def content_problems(
    layer: LayerFile, advice: str, progress: Progress, lower: LowerFiles
) -> Problems:
    """Checks that a layer is a tar archive with its diff ID, and has the digest in its name.

    Args:
        layer: the layer, whose data are at hand; it is read.
        advice: what to do if it is not.
        progress: advanced by the bytes that are read.
        lower: the files of the layers below it; gets those of this one.

    Raises:
        OSError: it cannot be read.
    """
    if layer.can_be_read:
        yield from reading_problems(layer, is_own=False, progress=progress, lower=lower)
        if layer.content_sha256 is None:
            return
        found = f'sha256:{layer.content_sha256}'
        if layer.diff_id is not None and found != layer.diff_id:
            text = f'has the diff ID {found}, not {layer.diff_id}'
            yield Problem(f'{layer.label} {text}: {advice}')
            return
    if layer.named_digest is not None:
        found = layer.stored_digest(layer.named_digest, progress)
        yield from digest_problems(layer.label, layer.named_digest, found, advice)
    if not layer.can_be_read:
        yield from reading_problems(layer, is_own=False, progress=progress, lower=lower)


def reading_problems(
    layer: LayerFile, is_own: bool, progress: Progress, lower: LowerFiles
) -> Problems:
    """Checks that a layer is a tar archive that clients can unpack.

    Args:
        layer: the layer, which is read unless this Python cannot.
        is_own: whether it is a new layer. Members of others are what they are: a warning.
        progress: advanced by the bytes that are read.
        lower: the files of the layers below it; gets those of this one.

    Raises:
        OSError: it cannot be read.
    """
    if not layer.can_be_read:
        lower.forget()
        text = 'is zstd, which this Python cannot read: its content was not checked'
        yield Problem(
            f'{layer.label} {text}: install backports.zstd, or use Python 3.14', is_error=False
        )
        return
    members = MemberChecks(lower)
    try:
        layer.read(members.add, progress)
    except ArchiveError as error:
        lower.forget()
        yield Problem(str(error))
        return
    if layer.has_more:
        text = 'data after the end of the archive are ignored'
        yield Problem(f'{layer.label}: {text}: remove them', is_error=False)
    for text in layer.leniences:
        advice = 'pack the layer again'
        yield Problem(f'{layer.label} {text}: {advice}', is_error=is_own)
    yield from members.problems(layer.label, is_own, layer.has_label)


def digest_problems(label: str, named: str, found: str, advice: str) -> Problems:
    """Checks that a file has the digest in its name.

    Args:
        label: the name of the file in messages.
        named: the digest in its name.
        found: the digest that it has.
        advice: what to do if they differ.
    """
    if named != found:
        yield Problem(f'{label} has the digest {found.partition(":")[2]}: {advice}')
