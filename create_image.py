#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Assembles a container image archive from parts that a build already has."""

import contextlib
import errno
import json
import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence

if __name__ == '__main__' and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # lest it ends the imports with a traceback

from absl import app, flags, logging

import archive
import utils

FLAGS = flags.FLAGS
flags.DEFINE_string('output', None, 'the archive to write; - is standard output')
flags.DEFINE_string('id', None, 'the SHA-256 of the configuration, in hex or as @FILE')
flags.DEFINE_string('config', None, 'the image configuration, a JSON file')
flags.DEFINE_multi_string('layer', [], 'ID=FILE: a layer and its SHA-256; bottom layer first')
flags.DEFINE_multi_string('tag', None, 'a tag of the image, repository:tag')
flags.DEFINE_string('base', None, 'an image archive whose last image gives the layers below')
flags.DEFINE_string('legacy_base', None, 'an image archive whose files are merged into the output')
flags.DEFINE_string('legacy_id', None, 'a v1 identifier for the layer, in hex or as @FILE')
flags.DEFINE_string('metadata', None, 'the v1 JSON of the layer of --legacy_id')
flags.DEFINE_string('repository', None, 'the repository to name in `repositories`')
flags.DEFINE_string('name', None, 'the tag to name in `repositories`')
flags.DEFINE_boolean('verify', False, 'check the parts against each other before writing')

DATA_FORMAT_VERSION = '1.0'  # of the v1 layout, in each layer's folder
# Not merged: written anew, or preferred to manifest.json by containerd and Docker 29 (seen).
_REPLACED = ('top', 'repositories', 'manifest.json', 'index.json', 'oci-layout')
# The grammar of github.com/distribution/reference, which Docker parses tags with.
_HOST = r'[a-zA-Z0-9](-*[a-zA-Z0-9])*(\.[a-zA-Z0-9](-*[a-zA-Z0-9])*)*|\[[a-fA-F0-9:]+\]'
_PATH = '[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*'
_TAG = rf'(?P<name>(({_HOST})(:[0-9]+)?/)?{_PATH}(/{_PATH})*):[a-zA-Z0-9_][a-zA-Z0-9_.-]{{0,127}}'


def create_image(
    output: str,
    identifier: str,
    layers: Sequence[dict[str, str]],
    config: str,
    tags: Sequence[str] | None = None,
    base: str | None = None,
    legacy_base: str | None = None,
    metadata_id: str | None = None,
    metadata: str | None = None,
    name: str | None = None,
    repository: str | None = None,
) -> None:
    """Writes an image archive (Docker image specification v1.2) at a path, or to stdout for '-'.

    identifier and metadata_id are the values of --id and --legacy_id, in hex; layers are
    {'name': layer id, 'layer': path of the tarball}, bottom layer first; all else is as the
    flags. Raises ValueError for arguments, OSError for files, TarFileWriter.Error for archives.
    """
    identifiers = [('--id', identifier), ('--legacy_id', metadata_id)]
    identifiers += [(f"--layer of '{layer['layer']}'", layer['name']) for layer in layers]
    for flag, value in identifiers:
        if value is not None and (value in ('', '.', '..') or '/' in value or '\0' in value):
            raise ValueError(f'{flag}: {value!r} is not an identifier: give 64 hex digits or @FILE')
    if metadata_id is not None and not (metadata and len(layers) == 1):
        raise ValueError('--legacy_id: give --metadata and exactly one --layer with it')
    if repository and not name:
        raise ValueError('--repository: give --name with it')
    paths = [layer['layer'] for layer in layers]
    for path in [config, *paths, *filter(None, (base, legacy_base, metadata))]:
        with utils.open_file(path):
            pass
    lower, parent = _read_base(base)
    upper = [f'{identifier}/{layer["name"]}.tar' for layer in layers]
    upper = upper if metadata_id is None else [f'{metadata_id}/layer.tar']
    if taken := {*lower, *_REPLACED} & {*upper, identifier, f'{identifier}.json', metadata_id}:
        raise ValueError(f'--id or --legacy_id: {min(taken)!r} is in --base or reserved: change it')
    with archive.TarFileWriter(output) as tar:
        if base and parent is None:
            logging.warning('%r names no image: images on it load in Docker before 1.10 only', base)
        tar.add_file(f'{identifier}.json', file_content=config)
        if metadata_id is not None:
            tar.add_file('top', content=metadata_id)
            tar.add_file(f'{metadata_id}/VERSION', content=DATA_FORMAT_VERSION)
        for member, path in dict.fromkeys(zip(upper, paths, strict=True)):
            tar.add_file(member, file_content=path)
        if metadata_id is not None:
            tar.add_file(f'{metadata_id}/json', file_content=metadata)
        if legacy_base:
            tar.add_tar(legacy_base, lambda member: member.split('/')[0] not in _REPLACED)
            lost = [member for member in lower if not utils.has_file(tar.members, member)]
            if lost and base and os.path.samefile(base, legacy_base):
                raise tar.Error(f"'{base}' lacks its layer '{lost[0]}': give a whole image")
        manifest = {'Config': f'{identifier}.json', 'Layers': lower + upper}
        manifest |= {'RepoTags': list(tags or [])} | ({'Parent': parent} if parent else {})
        tar.add_file('manifest.json', content=json.dumps([manifest], sort_keys=True))
        if repository:
            repositories = {repository: {name: metadata_id or identifier}}
            tar.add_file('repositories', content=json.dumps(repositories, indent=2))


def _read_base(path: str | None) -> tuple[list[str], str | None]:
    """Returns the names of the base's layers, and its image ID or ''; None without an image."""
    entry = utils.GetLatestManifestFromTar(path)
    if not entry:
        return [], None
    # The Docker image specification's <id>.json, or as Docker since 25 or crane name it.
    names = r'(.+)\.json|(?:blobs/sha256/|sha256:)([0-9a-f]{64})'
    match = re.fullmatch(names, utils.member_name(entry['Config']))
    layers = [utils.member_name(name) for name in entry.get('Layers') or ()]
    return layers, f'sha256:{match[1] or match[2]}' if match else ''


def _find_problems(identifier: str, layers: Sequence[dict[str, str]]) -> list[str]:
    """Returns a line for each way in which what the flags name does not fit together."""
    import hashlib  # here, for it would add to every start

    problems: list[str] = []
    parts = [('--id: the SHA-256', identifier, FLAGS.config)]
    parts += [('--layer: the diff ID', layer['name'], layer['layer']) for layer in layers]
    for what, name, path in dict.fromkeys(parts):
        with _noting(problems), utils.open_archive(path) as reader:
            digest = hashlib.sha256()
            while block := reader.stream.read(utils.BLOCK_SIZE):
                digest.update(block)
            if (found := digest.hexdigest()) != name:
                problems.append(f"{what} of '{path}' is {found}: correct the ID or the file")
    lower, members = None, dict[str, bytes | str]()
    with _noting(problems):
        lower, _ = _read_base(FLAGS.base)
    with _noting(problems):
        if FLAGS.legacy_base:
            with utils.open_archive(FLAGS.legacy_base) as reader:
                for m in reader:  # of two with one name, the first is merged
                    members.setdefault(utils.member_name(m.name), utils.kind_or_target(m))
        if lost := ', '.join(repr(n) for n in lower or () if not utils.has_file(members, n)):
            raise ValueError(f'--base: the output lacks {lost}: give a whole --legacy_base')
    with _noting(problems), utils.open_file(FLAGS.config) as file:
        config, own = f"--config: '{FLAGS.config}'", [f'sha256:{name}' for _, name, _ in parts[1:]]
        try:  # int() refuses NaN and its like, which are not JSON
            diff_ids = list(json.load(file, parse_constant=int)['rootfs']['diff_ids'] or ())
        except (ValueError, RecursionError, LookupError, TypeError) as error:
            raise ValueError(f'{config} is not JSON with rootfs.diff_ids: add them') from error
        start = len(diff_ids) - len(own) if lower is None else len(lower)
        if start > len(diff_ids) or diff_ids[start:] != own:
            raise ValueError(f"{config}: rootfs.diff_ids must be the base's, then --layer's IDs")
    for tag in FLAGS.tag or ():
        if not _is_tag(tag):
            problems.append(f'--tag: {tag!r}: give a lower-case [registry/]repository:tag')
    return problems


def _is_tag(tag: str) -> bool:
    """Tells whether Docker takes the tag, the name in it as long as Docker completes it."""
    host, slash, path = tag.partition('/')
    if not slash or not (host == 'localhost' or '.' in host or ':' in host):
        host, path = 'docker.io', tag
    if host in ('docker.io', 'index.docker.io'):
        host, path = 'docker.io', path if '/' in path else f'library/{path}'
    match = re.fullmatch(_TAG, f'{host}/{path}')
    return bool(match and len(match['name']) <= 255 and match['name'] != 'docker.io/library/sha256')


def _read_identifier(flag: str, value: str) -> str:
    """Returns the identifier itself, or the first word of the file at @FILE."""
    try:
        text = utils.ExtractValue(value)
        return text.split()[0] if value.startswith('@') else _text(value)
    except (UnicodeDecodeError, IndexError) as error:
        raise ValueError(f"{flag}: '{value[1:]}' has no identifier: give another file") from error


def _text(value: str | None) -> str:
    """Returns the bytes of an argument read as UTF-8, whatever the locale."""
    return os.fsencode(value or '').decode('utf-8', 'surrogateescape')


@contextlib.contextmanager
def _noting(problems: list[str]) -> Iterator[None]:
    """Adds what is raised to problems, as one line."""
    try:
        yield
    except OSError as error:
        advice = {errno.ENOSPC: 'make room', errno.EPIPE: 'read it all', errno.ESTALE: 'try again'}
        text = advice.get(error.errno or 0, 'check the path, its permissions and limits')
        problems.append(f"'{error.filename}': {error.strerror}: {text}")
    except (flags.Error, ValueError, archive.TarFileWriter.Error) as error:
        problems.append(str(error))


def _parse_flags(argv: Sequence[str]) -> list[str]:
    FLAGS['verbosity'].using_default_value = False  # else app.run makes it INFO
    try:
        return FLAGS(argv)
    except (flags.Error, ValueError) as error:
        sys.exit(f'create_image: {" ".join(str(error).split())}: see --help')


def _stop(number: int, _: object) -> None:
    with contextlib.suppress(OSError):
        os.unlink(archive.TarFileWriter.partial)
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)  # to die of it, as the caller expects


def main(argv: Sequence[str]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)
    problems: list[str] = []
    with _noting(problems):
        if len(argv) > 1:
            raise ValueError(f'{argv[1]!r} is not a flag: begin every argument with --')
        for flag in ('output', 'id', 'config'):
            if not FLAGS[flag].value:
                raise ValueError(f'--{flag} is missing: give {FLAGS[flag].help}')
        identifier = _read_identifier('--id', FLAGS.id)
        layers = []
        for value in FLAGS.layer:
            name, _, path = value.partition('=')
            if not name or not path:
                raise ValueError(f'--layer: {value!r} is not ID=FILE: give both')
            layers.append({'name': _read_identifier('--layer', name), 'layer': path})
        legacy_id = FLAGS.legacy_id and _read_identifier('--legacy_id', FLAGS.legacy_id)
        if FLAGS.verify:
            problems += _find_problems(identifier, layers)
        if not problems:
            name, repository, *tags = map(_text, (FLAGS.name, FLAGS.repository, *(FLAGS.tag or ())))
            image = identifier, layers, FLAGS.config, tags, FLAGS.base, FLAGS.legacy_base, legacy_id
            create_image(FLAGS.output, *image, FLAGS.metadata, name, repository)
    if problems:
        lines = (''.join(c if c.isprintable() else repr(c)[1:-1] for c in p) for p in problems)
        sys.exit('\n'.join(f'create_image: {line}' for line in dict.fromkeys(lines)))


if __name__ == '__main__':
    app.run(main, flags_parser=_parse_flags)
