# SPDX-License-Identifier: Apache-2.0
"""Images of one tag for several platforms."""

from support.images import Parts, configuration
from support.running import build

TAG = 'example/app:1.0'
PLATFORMS = ['linux/amd64', 'linux/arm64/v8', 'linux/arm/v7']


class PlatformImage:
    """An image for a platform, in an archive.

    Attributes:
        path: the path of the archive.
        id: the SHA-256 of the configuration.
        platform: the platform in descriptors.
        files: the files of the image, as {name: content}.
    """

    def __init__(self, directory, platform, flags=(), tag=TAG, name=None):
        """Writes the archive.

        Args:
            directory: a directory for the archive's own.
            platform: OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT; '' for none.
            flags: more flags of create_image.
            tag: the tag of the image; None for none.
            name: a word that makes the image another one; by default the platform.
        """
        name = name or platform or 'none'
        directory /= name.replace('/', '-')
        parts_of_name = platform.split('/') if platform else []
        keys = dict(zip(['os', 'architecture', 'variant'], parts_of_name, strict=False))
        self.platform = keys
        directory.mkdir()
        self.files = {'srv/shared': b'shared' * 20000, 'srv/name': name.encode()}
        layers = [{key: value} for key, value in self.files.items()]
        parts = Parts(directory, layers)
        config = configuration(parts.diff_ids, {'Labels': {'name': name}})
        if not platform:
            keys = {'os': '', 'architecture': ''}
        parts.configure({**config, **keys})
        tags = [] if tag is None else [f'--tag={tag}']
        build(*parts.flags, *tags, *flags, warnings=not platform)
        self.path = parts.output
        self.id = parts.id


def several(directory, platforms=PLATFORMS, word='', **options):
    """Returns an image for each platform; a word makes all of them other images."""
    return [
        PlatformImage(directory, platform, name=f'{word}{platform}', **options)
        for platform in platforms
    ]
