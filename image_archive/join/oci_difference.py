# SPDX-License-Identifier: Apache-2.0
"""The difference between archives: the layers that images have in common are left out.

Clients complete an image from layers that they have only from the bottom upwards, so layers in
common above a different one are not left out.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from image_archive.checks.problem import Problem
from image_archive.digests import new_hash
from image_archive.join.oci_archive import OciJoin
from image_archive.join.oci_images import OciImages, OciManifest


class Difference(NamedTuple):
    """What is left out of an archive.

    Attributes:
        left_out: the digests of the layers.
        problems: warnings of what could not be left out, and of where the archive does not load.
    """

    left_out: frozenset[str]
    problems: list[Problem]


def find_difference(join: OciJoin, old: OciImages, output: str) -> Difference:
    """Returns what to leave out of an archive.

    Args:
        join: what the new archive would be without it.
        old: the images whose layers are left out.
        output: the path of the new archive, for messages.
    """
    old_manifests = [image.manifest for image in old.by_id.values()]
    old_manifests += old.manifests.values()
    digests = _chains(_digests(manifest) for manifest in old_manifests)
    contents = _chains(_diff_ids(manifest) for manifest in old_manifests)
    common: set[str] = set()
    needed: set[str] = set()
    problems = []
    for manifest in join.manifests:
        count = _count_common(_digests(manifest), digests)
        common.update(_digests(manifest)[:count])
        needed.update(_digests(manifest)[count:])
        if _count_common(_diff_ids(manifest), contents) > count:
            text = f'{manifest.image.label}: layer {manifest.layers[count].name!r} stays'
            reason = 'as --base has the same content compressed otherwise, under another digest'
            advice = 'save both with one program'
            problems.append(Problem(f'{text}, {reason}: {advice}', is_error=False))
    left_out = frozenset(common - needed)
    if not left_out:
        text = '--base: no image has its lowest layer: nothing is left out'
        problems.append(Problem(f'{text}: give an older version of an image', is_error=False))
    elif len(join.roots) > 1:
        text = '--base: Podman does not load what has several images or tags and lacks layers'
        name = 'FILE' if output == '-' else output
        advice = f'pull each by `podman pull oci-archive:{name}:TAG`'
        problems.append(Problem(f'{text}: {advice}', is_error=False))
    return Difference(left_out, problems)


def _digests(manifest: OciManifest) -> list[str]:
    return [layer.digest for layer in manifest.layers]


def _diff_ids(manifest: OciManifest) -> list[str]:
    return [layer.diff_id for layer in manifest.layers]


def _chain(names: Iterable[str]) -> Iterator[bytes]:
    """Yields a hash of each layer and all below it, bottom layer first."""
    chain = new_hash()
    for name in names:
        chain.update(f'{name}\n'.encode())
        yield chain.digest()


def _chains(images: Iterable[list[str]]) -> set[bytes]:
    return {chain for names in images for chain in _chain(names)}


def _count_common(names: list[str], chains: set[bytes]) -> int:
    """Returns how many layers an image has in common with another, from the bottom."""
    count = 0
    for chain in _chain(names):
        if chain not in chains:
            break
        count += 1
    return count
