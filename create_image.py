#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Assembles a container image archive from parts that a build already has.

In: an image configuration, layer tarballs and, optionally, a base image. Out: the archive
that `docker load` reads, as the Docker image specification v1.2 lays it out ("Combined
Image JSON + Filesystem Changeset Format"). create_image() writes it first member to last.
"""

import contextlib
import errno
import json
import os
import re
import signal
import stat
import sys
import tarfile
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from absl import app, flags, logging

import archive
import utils

FLAGS = flags.FLAGS

flags.DEFINE_string('output', None, 'the archive to write; - is standard output')
flags.DEFINE_string('id', None, 'the SHA-256 of the configuration, in hex or as @FILE')
flags.DEFINE_string('config', None, 'the image configuration, a JSON file')
flags.DEFINE_multi_string(
    'layer', [], 'ID=FILE: a layer tarball and its SHA-256, in hex or as @FILE; bottom first'
)
flags.DEFINE_multi_string('tag', None, 'a tag of the image, repository:tag')
flags.DEFINE_string('base', None, 'an image archive whose last image gives the layers below')
flags.DEFINE_string('legacy_base', None, 'an image archive whose files are merged into the output')
flags.DEFINE_string('legacy_id', None, 'a v1 identifier for the layer, in hex or as @FILE')
flags.DEFINE_string('metadata', None, 'the v1 JSON of the layer of --legacy_id')
flags.DEFINE_string('repository', None, 'the repository to name in `repositories`')
flags.DEFINE_string('name', None, 'the tag to name in `repositories`')
flags.DEFINE_boolean('verify', False, 'check the parts against each other before writing')

# The version of the v1 layout, as Docker wrote it into every layer's folder.
DATA_FORMAT_VERSION = '1.0'

# Not taken from a base. The first three are written anew; containerd and Docker 29 prefer
# the other two to manifest.json and would load the base (seen with both).
_REPLACED = ('top', 'repositories', 'manifest.json', 'index.json', 'oci-layout')

# The grammar of github.com/distribution/reference, which Docker parses tags with.
_HOST_PART = '[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?'
_HOST = rf'(?:{_HOST_PART}(?:\.{_HOST_PART})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?'
_PATH_PART = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*'
_PATH_AND_TAG = rf'({_PATH_PART}(?:/{_PATH_PART})*):[a-zA-Z0-9_][a-zA-Z0-9_.-]{{0,127}}'

# What to do about the system's errors; a look at the path for all others.
_ADVICE = {
    errno.EINVAL: 'write it to a regular file',
    errno.EISDIR: 'name a file',
    errno.ENOSPC: 'make room',
    errno.EPIPE: 'let its reader read to the end',
    errno.ESTALE: 'let nothing write to it meanwhile',
}


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
    """Writes an image archive.

    Args:
      output: path of the archive; '-' is standard output.
      identifier: the image's identifier, the SHA-256 of its configuration in hex.
      layers: {'name': layer id, 'layer': path of the tarball}, bottom layer first.
      config: path of the configuration.
      tags: the image's tags, each repository:tag.
      base: path of the image archive that gives the layers below and the parent.
      legacy_base: path of the image archive whose files are merged.
      metadata_id: the v1 identifier of the one layer, for Docker before 1.10.
      metadata: path of the v1 JSON of that layer.
      name, repository: the tag and the repository that `repositories` gives the image.

    Raises:
      ValueError: the arguments do not fit each other, or an identifier is no name.
      OSError: a file cannot be read or written.
      TarFileWriter.Error: a base is no sound image archive.
    """
    _check_identifier('--id', identifier)
    files = [('--config', config), ('--base', base), ('--legacy_base', legacy_base)]
    for layer in layers:
        _check_identifier('--layer', layer['name'])
        files.append(('--layer', layer['layer']))
    if metadata_id is not None:
        _check_identifier('--legacy_id', metadata_id)
        if not metadata or len(layers) != 1:
            raise ValueError('--legacy_id: give --metadata and just one --layer with it')
        files.append(('--metadata', metadata))
    if repository and not name:
        raise ValueError('--repository: give --name with it')
    for flag, path in files:
        if path:
            _check_file(flag, path)
    entry = utils.GetLatestManifestFromTar(base)
    if base and not entry:
        logging.warning(
            "--base: '%s' has no image in a manifest.json, so it adds no layers and no parent: "
            'images built on it load in Docker before 1.10 only',
            base,
        )
    lower, upper = _base_layers(entry), _own_layers(identifier, layers, metadata_id)
    with archive.TarFileWriter(output) as tar:
        tar.add_file(f'{identifier}.json', file_content=config)
        if metadata_id is not None:
            tar.add_file('top', content=metadata_id)
            tar.add_file(metadata_id, tarfile.DIRTYPE)
            tar.add_file(f'{metadata_id}/VERSION', content=DATA_FORMAT_VERSION)
            tar.add_file(upper[0], file_content=layers[0]['layer'])
            tar.add_file(f'{metadata_id}/json', file_content=metadata)
        else:
            # A layer given twice is stored once.
            paths = [layer['layer'] for layer in layers]
            for member, path in dict.fromkeys(zip(upper, paths, strict=True)):
                tar.add_file(member, file_content=path)
        if legacy_base:
            tar.add_tar(legacy_base, lambda member: member not in _REPLACED)
            if base and os.path.samefile(base, legacy_base):
                for member in lower:
                    if member not in tar:
                        raise tar.Error(f"'{base}' lacks its layer '{member}': give a whole image")
        manifest: dict[str, object] = {
            'Config': f'{identifier}.json',
            'Layers': lower + upper,
            'RepoTags': list(tags or []),
        }
        if parent := _parent(entry):
            manifest['Parent'] = f'sha256:{parent}'
        tar.add_file('manifest.json', content=json.dumps([manifest], sort_keys=True))
        if repository:
            repositories = {repository: {name: metadata_id or identifier}}
            tar.add_file('repositories', content=json.dumps(repositories, indent=2))


def find_problems(
    identifier: str,
    layers: Sequence[dict[str, str]],
    config: str,
    tags: Sequence[str] | None = None,
    base: str | None = None,
    legacy_base: str | None = None,
    metadata_id: str | None = None,
    **_: str | None,
) -> list[str]:
    """Checks the parts of an image against each other.

    Takes what create_image takes, and raises what it raises for unreadable files.
    Returns a line for each problem: none for parts that make a good image.
    """
    import hashlib  # here, for it would add to every start

    problems = []
    own = {layer['layer']: hashlib.sha256() for layer in layers}
    for path, digest in own.items():
        with contextlib.closing(utils.UncompressedFile(path)) as file:
            while block := file.read(utils.BLOCK_SIZE):
                digest.update(block)
    for layer in layers:
        if (found := own[layer['layer']].hexdigest()) != layer['name']:
            problems.append(f"--layer: the SHA-256 of '{layer['layer']}' is {found}: give it as ID")
    with open(config, 'rb') as f:
        content = f.read()
    if (found := hashlib.sha256(content).hexdigest()) != identifier:
        problems.append(f"--id: the SHA-256 of '{config}' is {found}: give that")

    lower = _base_layers(utils.GetLatestManifestFromTar(base))
    upper = _own_layers(identifier, layers, metadata_id)
    try:
        diff_ids = json.loads(content)['rootfs']['diff_ids'] or []
        own_ids = diff_ids[len(diff_ids) - len(layers) :]
    except (ValueError, RecursionError, LookupError, TypeError):
        problems.append(f"--config: '{config}' is no JSON with a list in rootfs.diff_ids: add it")
    else:
        if len(diff_ids) != len(lower + upper):
            problems.append(
                f"--config: '{config}' has {len(diff_ids)} rootfs.diff_ids, the image "
                f'{len(lower + upper)} layers: give one for each'
            )
        if own_ids != [f'sha256:{layer["name"]}' for layer in layers]:
            problems.append(f"--config: end rootfs.diff_ids of '{config}' in the ids of --layer")
    present = set(upper)
    if legacy_base and lower:
        present.update(utils.member_name(member.name) for member in utils.TarReader(legacy_base))
    if missing := [member for member in lower if member not in present]:
        problems.append(
            f"--base: the image is partial, without '{missing[0]}' and {len(missing) - 1} more "
            f'layers: complete it with --legacy_base={base}'
        )
    problems += [
        f'--tag: {tag!r} is not [registry/]repository:tag, in lower case: change it'
        for tag in tags or ()
        if not _is_tag(tag)
    ]
    return problems


def _is_tag(tag: str) -> bool:
    """Tells whether Docker takes the tag; 255 bytes of name are its limit."""
    host, slash, path = tag.partition('/')
    if not slash or not (host == 'localhost' or '.' in host or ':' in host):
        host, path = 'docker.io', tag if slash else f'library/{tag}'
    match = re.fullmatch(_PATH_AND_TAG, path)
    return bool(match and re.fullmatch(_HOST, host) and len(f'{host}/{match[1]}') <= 255)


def _check_identifier(flag: str, identifier: str) -> None:
    if identifier in ('', '.', '..') or '/' in identifier or '\0' in identifier:
        raise ValueError(f'{flag}: {identifier!r} is no identifier: give the hex of a SHA-256')


def _check_file(flag: str, path: str) -> None:
    """Raises OSError unless path is a regular file that can be read."""
    with _naming(flag):
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise OSError(errno.EINVAL, 'Not a regular file', path)
        with open(path, 'rb'):  # refuses a directory
            pass


@contextlib.contextmanager
def _naming(flag: str) -> Iterator[None]:
    """Has an OSError name the flag that gave the file."""
    try:
        yield
    except OSError as error:
        error.strerror = f'{error.strerror} (see {flag})'
        raise


def _own_layers(
    identifier: str, layers: Sequence[dict[str, str]], metadata_id: str | None
) -> list[str]:
    """Returns the member names of the image's own layers."""
    if metadata_id is not None:
        return [f'{metadata_id}/layer.tar']
    return [f'{identifier}/{layer["name"]}.tar' for layer in layers]


def _base_layers(entry: dict[str, Any] | None) -> list[str]:
    """Returns the member names of the layers that a manifest entry names."""
    return [utils.member_name(name) for name in (entry or {}).get('Layers') or ()]


def _parent(entry: dict[str, Any] | None) -> str | None:
    """Returns the image ID of a manifest entry, without sha256:, or None.

    `Config` is `<id>.json` in the Docker image specification v1.2, `blobs/sha256/<id>` as
    Docker writes it since 25, and `sha256:<id>` as crane does.
    """
    config = utils.member_name(entry['Config']) if entry else ''
    match = re.fullmatch(r'(.+)\.json|(?:blobs/sha256/|sha256:)([0-9a-f]{64})', config)
    return match and (match[1] or match[2])


def _read_identifier(flag: str, value: str) -> str:
    """Returns the identifier itself, or the first word of the file at @FILE."""
    try:
        with _naming(flag):
            text = utils.ExtractValue(value)
    except UnicodeDecodeError as error:
        raise ValueError(f"{flag}: '{value[1:]}' is no text: give another file") from error
    text = ' '.join(text.split()[:1]) if value.startswith('@') else _text(text)
    _check_identifier(f'{flag}={value}', text)
    return text


def _read_layer(value: str) -> dict[str, str]:
    """Returns what create_image takes for the ID=FILE of --layer."""
    identifier, _, path = value.partition('=')
    if not identifier or not path:
        raise ValueError(f'--layer: {value!r} is not ID=FILE: give both')
    return {'name': _read_identifier('--layer', identifier), 'layer': path}


def _text(value: str) -> str:
    """Returns the bytes of an argument read as UTF-8, whatever the locale."""
    return os.fsencode(value).decode('utf-8', 'surrogateescape')


def _exit(problems: Sequence[str]) -> NoReturn:
    """Writes a line for each problem and ends with status 1."""
    sys.exit('\n'.join('create_image: ' + ' '.join(text.split('\n')) for text in problems))


def _stop(number: int, _: object) -> NoReturn:
    raise KeyboardInterrupt(number)


def _parse_flags(argv: Sequence[str]) -> list[str]:
    try:
        arguments = FLAGS(argv)
    except (flags.Error, UnicodeDecodeError) as error:
        _exit([f'{error}: see --help'])
    if FLAGS['verbosity'].using_default_value:
        # app.run would make it INFO.
        FLAGS.verbosity = logging.WARNING  # type: ignore[assignment]
    return arguments


def main(argv: Sequence[str]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)
    try:
        if len(argv) > 1:
            raise ValueError(f'{argv[1]!r} is no flag: begin every argument with --')
        for flag in ('output', 'id', 'config'):
            if not FLAGS[flag].value:
                raise ValueError(f'--{flag} is missing: give {FLAGS[flag].help}')
        optional = {
            'base': FLAGS.base,
            'legacy_base': FLAGS.legacy_base,
            'metadata': FLAGS.metadata,
            'name': FLAGS.name and _text(FLAGS.name),
            'repository': FLAGS.repository and _text(FLAGS.repository),
        }
        if FLAGS.legacy_id:
            optional['metadata_id'] = _read_identifier('--legacy_id', FLAGS.legacy_id)
        identifier = _read_identifier('--id', FLAGS.id)
        layers = [_read_layer(value) for value in FLAGS.layer]
        tags = [_text(tag) for tag in FLAGS.tag or ()]
        if FLAGS.verify:
            problems = find_problems(identifier, layers, FLAGS.config, tags, **optional)
            if problems:
                _exit(problems)
        create_image(FLAGS.output, identifier, layers, FLAGS.config, tags, **optional)
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, 'check the path and its permissions')
        _exit([f"'{error.filename}': {error.strerror}: {advice}"])
    except (ValueError, archive.TarFileWriter.Error) as error:
        _exit([str(error)])
    except KeyboardInterrupt as stop:
        # Nothing is left behind: die of the signal, as the caller expects.
        signal.signal(stop.args[0], signal.SIG_DFL)
        signal.raise_signal(stop.args[0])


if __name__ == '__main__':
    app.run(main, flags_parser=_parse_flags)
