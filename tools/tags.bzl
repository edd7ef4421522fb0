# SPDX-License-Identifier: Apache-2.0
"""Tags of images, as far as docker.bzl has to know them."""

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_DIGITS = "0123456789"
_PATH_LIMIT = 255 - len("library/")
_TAG_LIMIT = 128

def _has_only(text, characters):
    return all([character in characters for character in text.elems()])

def _is_component(text):
    """Tells whether a text may stand between two slashes of a repository."""
    if not text or text[0] not in _LETTERS + _DIGITS:
        return False
    separator = ""
    for character in text.elems():
        if character not in _LETTERS + _DIGITS:
            separator += character
            continue
        if separator.strip("-") and separator not in [".", "_", "__"]:
            return False
        separator = ""
    return not separator

def is_tag(repository, tag):
    """Tells whether Docker takes a repository and a tag; of a host only its characters count.

    Args:
      repository: what is before the colon.
      tag: what is behind it.
    """
    components = repository.split("/")
    host = components[0]
    if len(components) > 1 and ("." in host or ":" in host or host != host.lower()):
        components = components[1:]
        if not _has_only(host.lower(), _LETTERS + _DIGITS + ".:-[]"):
            return False
    if repository == "sha256" or len("/".join(components)) > _PATH_LIMIT:
        return False
    return (
        all([_is_component(component) for component in components]) and
        tag != "" and
        len(tag) <= _TAG_LIMIT and
        tag[0] not in ".-" and
        _has_only(tag, _LETTERS + _LETTERS.upper() + _DIGITS + "_.-")
    )
