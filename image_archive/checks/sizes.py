# SPDX-License-Identifier: Apache-2.0
"""What clients limit of the documents of an image archive."""

from image_archive.checks.problem import Problem, Problems

# What Podman and Skopeo read (internal/iolimits in containers/image).
_CONFIG_LIMIT = 4 << 20  # bytes
_MANIFEST_LIMIT = 1 << 20  # bytes of manifest.json
# What containerd takes in an index (seen with containerd 2.1).
_DESCRIPTORS_LIMIT = 10_000


def config_size_problems(label: str, size: int) -> Problems:
    """Checks that clients read a configuration of its size.

    Args:
        label: the name of the configuration in messages.
        size: its bytes.
    """
    if size > _CONFIG_LIMIT:
        text = f'has over {_CONFIG_LIMIT >> 20} MiB, which Podman and Skopeo do not read'
        yield Problem(f'{label} {text}: make it smaller')


def manifest_size_problems(label: str, size: int) -> Problems:
    """Checks that clients read the new manifest.json.

    Args:
        label: what makes it large, in messages.
        size: its bytes.
    """
    if size > _MANIFEST_LIMIT:
        text = f'manifest.json has over {_MANIFEST_LIMIT >> 20} MiB, which Podman does not read'
        yield Problem(f'{label}: {text}: give fewer or shorter tags')


def descriptor_count_problems(label: str, count: int) -> Problems:
    """Checks that clients read the new index.json.

    Args:
        label: what makes it large, in messages.
        count: the number of its descriptors.
    """
    if count > _DESCRIPTORS_LIMIT:
        text = f'index.json has over {_DESCRIPTORS_LIMIT:,} descriptors, which containerd refuses'
        yield Problem(f'{label}: {text}: give fewer')
