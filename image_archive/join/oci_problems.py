# SPDX-License-Identifier: Apache-2.0
"""What may be wrong with archives that become one OCI image layout: a function for each clause."""

from image_archive.checks import layers as layer_checks
from image_archive.checks.configuration import configuration_problems, history_problems
from image_archive.checks.problem import Problem, Problems, limited
from image_archive.checks.sizes import descriptor_count_problems, manifest_size_problems
from image_archive.digests import blob_name
from image_archive.image.documents import manifest_content
from image_archive.image.layer_file import LayerFile
from image_archive.join.oci_archive import OciJoin, manifest_entries
from image_archive.join.oci_images import OciManifest
from image_archive.join.problems import content_problems, layout_problems
from image_archive.system.progress import Progress

_ADVICE = 'replace the archive'


def find_oci_problems(join: OciJoin, verifies: bool, progress: Progress) -> list[Problem]:
    """Looks for what is wrong with the images of archives that are joined.

    Args:
        join: what the archives become together.
        verifies: whether to read every byte.
        progress: advanced by the bytes that are read.

    Raises:
        OSError: an archive cannot be read.
    """
    problems = list(limited('--layer', iter(join.problems)))
    problems += limited('--layer', layout_problems(join.archives))
    problems += limited('--layer', _image_problems(join))
    problems += manifest_size_problems('--layer', len(manifest_content(manifest_entries(join))))
    problems += descriptor_count_problems('--layer', len(join.roots) + len(join.artifacts))
    files = _layer_files(join)
    problems += layer_checks.compression_problems(files)
    if verifies:
        others = [blob.source for blob in join.blobs if blob.is_hashed and blob.source is not None]
        size = sum(source.size for source in [*others, *(file.source for file in files)])
        progress.begin('checking', size)
        problems += limited('--layer', content_problems(files, progress))
        problems += limited('--layer', _digest_problems(join, progress))
    return problems


def _image_problems(join: OciJoin) -> Problems:
    """Checks everything about images but the content of their layers."""
    for manifest in join.manifests:
        image = manifest.image
        config = image.read_config()
        yield from configuration_problems(image.label, config)
        yield from history_problems(image.label, config, len(image.diff_ids))
        yield from layer_checks.layer_count_problems(image.label, len(manifest.layers))
        yield from _layer_problems(manifest, join)


def _layer_problems(manifest: OciManifest, join: OciJoin) -> Problems:
    """Checks that the layers are there, and of the sizes that the manifest says."""
    label = manifest.image.label
    told: set[str] = set(join.left_out)
    for layer in manifest.layers:
        if layer.digest in told:
            continue
        told.add(layer.digest)
        if layer.file is None and layer.foreign is not None:
            yield from layer_checks.foreign_layer_problems(label, layer.name, None)
        elif layer.file is None:
            # The manifest says which layers are missing: the image loads where they are.
            text = f'{label}: no archive has its layer {layer.name!r}'
            yield Problem(f'{text}: also give the archive of its base', is_error=False)
        elif layer.size not in (None, layer.file.source.size):
            text = f'{layer.file.label} has {layer.file.source.size} bytes, not {layer.size}'
            yield Problem(f'{text}: {_ADVICE}')


def _layer_files(join: OciJoin) -> list[LayerFile]:
    """Returns the files of all layers that are written, each once."""
    files: dict[LayerFile, None] = {}
    for manifest in join.manifests:
        for layer in manifest.layers:
            if layer.file is not None and layer.digest not in join.left_out:
                files[layer.file] = None
    return list(files)


def _digest_problems(join: OciJoin, progress: Progress) -> Problems:
    """Checks that configurations and what is no image have their digests.

    Manifests and indexes were compared with theirs when they were read.
    """
    for blob in join.blobs:
        if blob.source is None or not blob.is_hashed:
            continue
        algorithm = blob.digest.partition(':')[0]
        found = f'{algorithm}:{blob.source.hash_with(algorithm, progress)}'
        label = f'blob {blob_name(blob.digest)!r} of {blob.source.name!r}'
        yield from layer_checks.digest_problems(label, blob.digest, found, _ADVICE)
