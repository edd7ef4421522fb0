# SPDX-License-Identifier: Apache-2.0
"""Which image of an archive is meant, where there are several."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from image_archive.errors import ArgumentError
from image_archive.image import oci
from image_archive.image.config_schema import is_platform_value
from image_archive.image.tags import parse_tag

_SHOWN = 20  # names in a message
_SHOWN_CHARACTERS = 200  # of each
# containerd's package platforms: the variant that an architecture has when none is given.
_DEFAULT_VARIANTS = {'arm64': 'v8'}


class Platform(NamedTuple):
    """A platform, in Go's names.

    Attributes:
        os: the operating system.
        architecture: the architecture.
        variant: its variant; empty if none is given.
    """

    os: str
    architecture: str
    variant: str = ''

    @property
    def text(self) -> str:
        """The platform as Docker writes it: OS/ARCHITECTURE, and /VARIANT if there is one."""
        return '/'.join(part for part in self if part)

    def is_same(self, other: 'Platform') -> bool:
        """Tells whether another platform is this one: linux/arm64 is linux/arm64/v8."""
        return self._with_variant() == other._with_variant()

    def _with_variant(self) -> 'Platform':
        default = _DEFAULT_VARIANTS.get(self.architecture, '')
        return self._replace(variant=self.variant or default)


class Choice(NamedTuple):
    """The image that is meant; without both, the only one or the last one.

    Attributes:
        tag: its tag.
        platform: its platform.
    """

    tag: str | None = None
    platform: Platform | None = None

    @property
    def is_given(self) -> bool:
        return self.tag is not None or self.platform is not None

    def has_tag(self, names: Iterable[str]) -> bool:
        """Tells whether the tag is one of some names, in any spelling that Docker takes for it."""
        if self.tag is None:
            return True
        return _full_name(self.tag) in map(_full_name, names)

    def has_platform(self, platform: Platform | None) -> bool:
        """Tells whether the platform is the one that is meant; None is no platform."""
        if self.platform is None:
            return True
        return platform is not None and self.platform.is_same(platform)


class ImageLabel(NamedTuple):
    """By what an image is told from others.

    Attributes:
        names: its tags, and other names that an index gives it.
        platform: its platform; None if that is not known.
    """

    names: Sequence[str]
    platform: Platform | None

    @property
    def platform_text(self) -> str:
        return 'no platform' if self.platform is None else self.platform.text


def choose(archive: str, images: Sequence[ImageLabel], choice: Choice) -> int:
    """Returns the index of the one image that is meant.

    Args:
        archive: the archive, for messages.
        images: its images.
        choice: the choice.

    Raises:
        ArgumentError: none or more than one is meant.
    """
    tagged = [index for index, image in enumerate(images) if choice.has_tag(image.names)]
    if not tagged:
        names = [name for image in images for name in image.names]
        if not names:
            raise ArgumentError(f'--base_tag: {archive} has no image with a tag: leave it out')
        raise ArgumentError(f'--base_tag: {archive} has {listed(names)}: give one')
    meant = [index for index in tagged if choice.has_platform(images[index].platform)]
    if len(meant) == 1:
        return meant[0]
    platforms = [images[index].platform_text for index in meant or tagged]
    if not meant or (choice.platform is None and len(set(platforms)) > 1):
        raise ArgumentError(f'--platform: {archive} has {listed(platforms)}: give one')
    names = [name for index in meant for name in images[index].names]
    if choice.tag is None and len(set(map(_full_name, names))) > 1:
        raise ArgumentError(f'--base_tag: {archive} has {listed(names)}: give one')
    text = f'{archive} has {len(meant)} images that no tag and no platform tells apart'
    raise ArgumentError(f'--base: {text}: give an archive of one of them')


def choice_of(tag: str | None, platform: str | None) -> Choice:
    """Returns the choice that two flags make.

    Args:
        tag: the value of --base_tag; None if it is not given.
        platform: the value of --platform; None if it is not given.

    Raises:
        ArgumentError: the platform is none.
    """
    if platform is None:
        return Choice(tag)
    parts = platform.split('/')
    if len(parts) not in (2, 3) or not all(part and is_platform_value(part) for part in parts):
        text = f'{platform[:_SHOWN_CHARACTERS]!r} is not OS/ARCHITECTURE[/VARIANT]'
        raise ArgumentError(f'--platform: {text}: give one such as linux/arm64')
    return Choice(tag, Platform(*parts))


def check_choice(choice: Choice, bases: Iterable[str | None]) -> None:
    """Checks that there is a base of which an image can be chosen.

    Args:
        choice: the choice.
        bases: the paths of the bases; None for one that is not given.

    Raises:
        ArgumentError: there is none.
    """
    if not choice.is_given or any(base is not None for base in bases):
        return
    flag = '--platform' if choice.tag is None else '--base_tag'
    raise ArgumentError(f'{flag}: only an image of a base is chosen: give --base')


def platform_in(keys: Any) -> Platform | None:
    """Returns the platform in a configuration, or in a descriptor; None if it is not known.

    Args:
        keys: the object, with values of any type; anything else has no platform.
    """
    if not isinstance(keys, dict):
        return None
    found = oci.platform(keys)
    if found is None:
        return None
    return Platform(found['os'], found['architecture'], found.get('variant', ''))


def listed(names: Iterable[str]) -> str:
    """Returns names for a message, each once, and how many more there are."""
    by_full_name: dict[str, str] = {}
    for name in names:
        by_full_name.setdefault(_full_name(name), name)
    different = list(by_full_name.values())
    text = ', '.join(_printable(name) for name in different[:_SHOWN])
    if len(different) > _SHOWN:
        text = f'{text} and {len(different) - _SHOWN:,} more'
    return text


def _printable(name: str) -> str:
    shown = name[:_SHOWN_CHARACTERS]
    return shown if shown.isprintable() and shown.isascii() else repr(shown)


def _full_name(name: str) -> str:
    tag = parse_tag(name)
    return name if tag is None else tag.full_name
