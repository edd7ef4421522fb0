#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Assembles a container image archive from parts that a build already has.

In: an image configuration, layer tarballs and, optionally, a base image. Out: the
archive that `docker load` reads, laid out as the Docker image specification v1.2
says ("Combined Image JSON + Filesystem Changeset Format"). create_image() writes it
from the first member to the last.
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

flags.DEFINE_string('output', None, 'The archive to write; - is standard output.')
flags.DEFINE_string(
    'id', None, 'The SHA-256 of the configuration, in hex or as @FILE that holds it.'
)
flags.DEFINE_string('config', None, 'The image configuration, a JSON file.')
flags.DEFINE_multi_string(
    'layer', [], 'ID=FILE: a layer tarball and its SHA-256, in hex or as @FILE; bottom layer first.'
)
flags.DEFINE_multi_string('tag', None, 'A tag of the image, as repository:tag.')
flags.DEFINE_string(
    'base',
    None,
    'An image archive to build on: its last image gives the first layers. Nothing is '
    'copied out of it, see --legacy_base.',
)
flags.DEFINE_string('legacy_base', None, 'An image archive whose files are merged into the output.')
flags.DEFINE_string(
    'legacy_id',
    None,
    'The v1 identifier, in hex or as @FILE, under which Docker before 1.10 finds the layer.',
)
flags.DEFINE_string('metadata', None, 'The v1 JSON of the layer of --legacy_id.')
flags.DEFINE_string('repository', None, 'The repository that `repositories` names.')
flags.DEFINE_string('name', None, 'The tag that `repositories` gives the image.')

# The version of the v1 layout, as Docker wrote it into every layer's folder.
DATA_FORMAT_VERSION = '1.0'

# Not taken from a base. The first three are written anew; containerd and Docker 29
# prefer the other two to manifest.json and would load the base (seen with both).
_REPLACED = ('top', 'repositories', 'manifest.json', 'index.json', 'oci-layout')

# What to do about errors of the system, beyond a look at the path.
_ADVICE = {
    errno.EISDIR: 'name a file',
    errno.ENOSPC: 'make room',
    errno.EFBIG: 'raise the limit on file sizes',
    errno.EPIPE: 'let the reader read to the end',
    errno.ESTALE: 'let nothing write to it meanwhile',
    errno.EINVAL: 'write it to one',
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
      name: the tag that `repositories` gives the image.
      repository: the repository that `repositories` names.

    Raises:
      ValueError: the arguments do not fit each other, or an identifier is no name.
      OSError: a file cannot be read or written.
      TarFileWriter.Error: a base is no sound image archive.
    """
    _check_identifier('--id', identifier)
    for layer in layers:
        _check_identifier('--layer', layer['name'])
        _check_file('--layer', layer['layer'])
    if metadata_id is not None:
        _check_identifier('--legacy_id', metadata_id)
        if metadata is None or len(layers) != 1:
            raise ValueError('--legacy_id: give --metadata and just one --layer with it')
        _check_file('--metadata', metadata)
    if repository and not name:
        raise ValueError('--repository: give --name with it')
    for flag, path in ('--config', config), ('--base', base), ('--legacy_base', legacy_base):
        if path:
            _check_file(flag, path)
    base_entry = utils.GetLatestManifestFromTar(base)
    if base and not base_entry:
        logging.warning(
            "--base: '%s' names no image in a manifest.json, so it adds no layers and no parent: "
            'images built on it load in Docker before 1.10 only',
            base,
        )
    lower, upper = _base_layers(base_entry), _own_layers(identifier, layers, metadata_id)
    with archive.TarFileWriter(output) as tar:
        config_name = identifier + '.json'
        tar.add_file(config_name, file_content=config)
        if metadata_id is not None:
            tar.add_file('top', content=metadata_id)
            tar.add_file(metadata_id, tarfile.DIRTYPE)
            tar.add_file(metadata_id + '/VERSION', content=DATA_FORMAT_VERSION)
            tar.add_file(upper[0], file_content=layers[0]['layer'])
            tar.add_file(metadata_id + '/json', file_content=metadata)
        else:
            paths = [layer['layer'] for layer in layers]
            # A layer given twice is stored once.
            for layer_name, path in dict.fromkeys(zip(upper, paths, strict=True)):
                tar.add_file(layer_name, file_content=path)
        if legacy_base:
            tar.add_tar(legacy_base, lambda member: member not in _REPLACED)
            if base and os.path.samefile(base, legacy_base):
                for layer_name in lower:
                    if layer_name not in tar:
                        raise tar.Error(
                            f"'{base}' names the layer '{layer_name}' in its "
                            'manifest.json and does not hold it: give a whole image'
                        )
        manifest: dict[str, object] = {
            'Config': config_name,
            'Layers': lower + upper,
            'RepoTags': list(tags or []),
        }
        if parent := _parent(base_entry):
            manifest['Parent'] = 'sha256:' + parent
        tar.add_file('manifest.json', content=json.dumps([manifest], sort_keys=True))
        if repository:
            entry = {repository: {name: metadata_id or identifier}}
            tar.add_file('repositories', content=json.dumps(entry, indent=2))


def _check_identifier(flag: str, identifier: str) -> None:
    if identifier in ('', '.', '..') or '/' in identifier or '\0' in identifier:
        raise ValueError(f'{flag}: {identifier!r} is no identifier: give the hex of a SHA-256')


def _check_file(flag: str, path: str) -> None:
    """Raises OSError unless path is a regular file that can be read."""
    with _naming(flag):
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise OSError(errno.EINVAL, 'it is no regular file', path)
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
        return [metadata_id + '/layer.tar']
    return [f'{identifier}/{layer["name"]}.tar' for layer in layers]


def _base_layers(entry: dict[str, Any] | None) -> list[str]:
    """Returns the member names of the layers that a manifest entry names."""
    return [utils.member_name(name) for name in (entry or {}).get('Layers') or ()]


def _parent(entry: dict[str, Any] | None) -> str | None:
    """Returns the image ID of a manifest entry, without sha256:, or None.

    `Config` is `<id>.json` in the Docker image specification v1.2,
    `blobs/sha256/<id>` as Docker since 25 writes it, `sha256:<id>` as crane does.
    """
    config = utils.member_name(entry['Config']) if entry else ''
    match = re.fullmatch(
        r'(?P<name>.+)\.json|(?:blobs/sha256/|sha256:)(?P<hex>[0-9a-f]{64})', config
    )
    return match and (match['name'] or match['hex'])


def _read_identifier(flag: str, value: str) -> str:
    """Returns the identifier itself, or the first word of the file at @FILE."""
    try:
        with _naming(flag):
            text = utils.ExtractValue(value)
    except UnicodeDecodeError as error:
        raise ValueError(f"{flag}: '{value[1:]}' is no text: {error}") from error
    return ' '.join(text.split()[:1]) if value.startswith('@') else text


def _read_layer(value: str) -> dict[str, str]:
    """Returns what create_image takes for the ID=FILE of --layer."""
    identifier, _, path = value.partition('=')
    if not identifier or not path:
        raise ValueError(f'--layer: {value!r} is not ID=FILE: give both')
    return {'name': _read_identifier('--layer', identifier), 'layer': path}


def _text(value: str) -> str:
    """Returns an argument's bytes read as UTF-8, whatever the locale."""
    return os.fsencode(value).decode('utf-8', 'surrogateescape')


def _message(error: Exception) -> str:
    """Returns one line that says what is wrong and what to do."""
    if isinstance(error, OSError) and error.filename is not None:
        advice = _ADVICE.get(error.errno or 0, 'check the path and its permissions')
        return f"'{error.filename}': {error.strerror}: {advice}"
    return str(error)


def _stop(number: int, _: object) -> None:
    raise KeyboardInterrupt(number)


def _parse_flags(argv: Sequence[str]) -> list[str]:
    try:
        arguments = FLAGS(argv)
    except (flags.Error, UnicodeDecodeError) as error:
        _exit([str(error)])
    if FLAGS['verbosity'].using_default_value:
        FLAGS.verbosity = logging.WARNING  # app.run would make it INFO
    return arguments


def _exit(problems: Sequence[str]) -> NoReturn:
    """Writes a line for each problem and ends with status 1."""
    sys.exit('\n'.join('create_image: ' + ' '.join(x.split('\n')) for x in problems))


def main(argv: Sequence[str]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)
    try:
        if len(argv) > 1:
            raise ValueError(f'{argv[1]!r} is no flag: every argument begins with --')
        for flag in ('output', 'id', 'config'):
            if not FLAGS[flag].value:
                raise ValueError(f'--{flag} is missing: give {FLAGS[flag].help}')
        create_image(
            output=FLAGS.output,
            identifier=_read_identifier('--id', _text(FLAGS.id)),
            layers=[_read_layer(value) for value in FLAGS.layer],
            config=FLAGS.config,
            tags=[_text(tag) for tag in FLAGS.tag or ()],
            base=FLAGS.base,
            legacy_base=FLAGS.legacy_base,
            metadata_id=FLAGS.legacy_id and _read_identifier('--legacy_id', _text(FLAGS.legacy_id)),
            metadata=FLAGS.metadata,
            name=FLAGS.name and _text(FLAGS.name),
            repository=FLAGS.repository and _text(FLAGS.repository),
        )
    except (ValueError, OSError, archive.TarFileWriter.Error) as error:
        _exit([_message(error)])
    except KeyboardInterrupt as stop:
        # Die of the signal, as the caller expects, now that nothing is left behind.
        signal.signal(stop.args[0], signal.SIG_DFL)
        signal.raise_signal(stop.args[0])


if __name__ == '__main__':
    app.run(main, flags_parser=_parse_flags)
