#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Assembles a container image archive from parts that a build already has.

The archive is what `docker load` reads (Docker image specification v1.2, "Combined Image
JSON + Filesystem Changeset Format"); create_image() writes it first member to last.
"""

import errno
import json
import os
import re
import signal
import stat
import sys
import tarfile
from collections.abc import Iterator, Sequence

from absl import app, flags, logging

import archive
import utils

FLAGS = flags.FLAGS

flags.DEFINE_string('output', None, 'the archive to write; - is standard output')
flags.DEFINE_string('id', None, 'the SHA-256 of the configuration, in hex or as @FILE')
flags.DEFINE_string('config', None, 'the image configuration, a JSON file')
flags.DEFINE_multi_string(
    'layer', [], 'ID=FILE: a layer tarball, its SHA-256 as in --id; bottom first'
)
flags.DEFINE_multi_string('tag', None, 'a tag of the image, repository:tag')
flags.DEFINE_string('base', None, 'an image archive whose last image gives the layers below')
flags.DEFINE_string('legacy_base', None, 'an image archive whose files are merged into the output')
flags.DEFINE_string('legacy_id', None, 'a v1 identifier for the layer, in hex or as @FILE')
flags.DEFINE_string('metadata', None, 'the v1 JSON of the layer of --legacy_id')
flags.DEFINE_string('repository', None, 'the repository to name in `repositories`')
flags.DEFINE_string('name', None, 'the tag to name in `repositories`')
flags.DEFINE_boolean('verify', False, 'check the parts against each other before writing')

DATA_FORMAT_VERSION = '1.0'  # of the v1 layout, in each layer's folder
# Not taken from a base. The first three are written anew; containerd and Docker 29 prefer
# the other two to manifest.json and would load the base (seen with both).
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
    """Writes an image archive at the path output; '-' is standard output.

    identifier and metadata_id are the values of --id and --legacy_id, in hex; layers are
    {'name': layer id, 'layer': path of the tarball}, bottom layer first; all else is as the
    flags of these names. Raises ValueError for arguments that do not fit each other, OSError
    for a file that cannot be read or written, TarFileWriter.Error for an unsound base.
    """
    _check_identifier('--id', identifier)
    for layer in layers:
        _check_identifier('--layer', layer['name'])
    if metadata_id is not None:
        _check_identifier('--legacy_id', metadata_id)
        if not metadata or len(layers) != 1:
            raise ValueError('--legacy_id: give --metadata and just one --layer with it')
    if repository and not name:
        raise ValueError('--repository: give --name with it')
    paths = [layer['layer'] for layer in layers]
    for path in [config, *paths, *filter(None, (base, legacy_base, metadata))]:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise OSError(errno.EINVAL, 'Not a regular file', path)
    lower, parent = _read_base(base)
    upper = [f'{identifier}/{layer["name"]}.tar' for layer in layers]
    with archive.TarFileWriter(output) as tar:
        tar.add_file(f'{identifier}.json', file_content=config)
        if metadata_id is not None:
            upper = [f'{metadata_id}/layer.tar']
            tar.add_file('top', content=metadata_id)
            tar.add_file(metadata_id, tarfile.DIRTYPE)
            tar.add_file(f'{metadata_id}/VERSION', content=DATA_FORMAT_VERSION)
        if shared := set(lower) & set(upper):
            raise ValueError(f'--id or --legacy_id: the base has {min(shared)!r} too: change it')
        for member, path in dict.fromkeys(zip(upper, paths, strict=True)):
            tar.add_file(member, file_content=path)
        if metadata_id is not None:
            tar.add_file(f'{metadata_id}/json', file_content=metadata)
        if legacy_base:
            tar.add_tar(legacy_base, lambda member: member not in _REPLACED)
            if base and os.path.samefile(base, legacy_base):
                for member in lower:
                    if not tar.holds_file(member):
                        raise tar.Error(f"'{base}' lacks its layer '{member}': give a whole image")
        manifest = {'Config': f'{identifier}.json', 'Layers': lower + upper}
        manifest |= {'RepoTags': list(tags or [])} | ({'Parent': parent} if parent else {})
        tar.add_file('manifest.json', content=json.dumps([manifest], sort_keys=True))
        if repository:
            repositories = {repository: {name: metadata_id or identifier}}
            tar.add_file('repositories', content=json.dumps(repositories, indent=2))


def _check_identifier(flag: str, identifier: str) -> None:
    if identifier in ('', '.', '..') or '/' in identifier or '\0' in identifier:
        raise ValueError(f'{flag}: {identifier!r} is no identifier: give the hex of a SHA-256')


def _read_base(path: str | None) -> tuple[list[str], str | None]:
    """Returns the member names of the base's layers, and its image ID or None."""
    entry = utils.GetLatestManifestFromTar(path)
    if path and not entry:
        text = "'%s' has no image in a manifest.json: images on it load in Docker before 1.10 only"
        logging.log_first_n(logging.WARNING, text, 1, path)
    if not entry:
        return [], None
    # The Docker image specification's <id>.json, or as Docker since 25 or crane name it.
    names = r'(.+)\.json|(?:blobs/sha256/|sha256:)([0-9a-f]{64})'
    try:
        match = re.fullmatch(names, utils.member_name(entry['Config']))
        layers = [utils.member_name(name) for name in entry.get('Layers') or ()]
    except utils.ArchiveError as error:
        raise utils.ArchiveError(f"'{path}': manifest.json: {error}") from error
    return layers, match and f'sha256:{match[1] or match[2]}'


def _find_problems(identifier: str, layers: list[dict[str, str]]) -> Iterator[str]:
    """Yields a line for each way in which what the flags name does not fit together."""
    import hashlib  # here, for it would add to every start

    for name, path in dict.fromkeys((layer['name'], layer['layer']) for layer in layers):
        digest = hashlib.sha256()
        for block in utils.TarReader(path).blocks():
            digest.update(block)
        if digest.hexdigest() != name:
            yield f"--layer: the SHA-256 of '{path}' is {digest.hexdigest()}: give it as ID"
    with open(FLAGS.config, 'rb') as file:
        content = file.read()
    config = f"--config: '{FLAGS.config}'"
    if (found := hashlib.sha256(content).hexdigest()) != identifier:
        yield f"--id: the SHA-256 of '{FLAGS.config}' is {found}: give that"
    lower, _ = _read_base(FLAGS.base)
    try:
        diff_ids = list(json.loads(content)['rootfs']['diff_ids'] or ())
    except (ValueError, RecursionError, LookupError, TypeError):
        yield f'{config} is no JSON with a list in rootfs.diff_ids: add it'
    else:
        if len(diff_ids) != (count := len(lower) + len(layers)):
            yield f'{config} has {len(diff_ids)} rootfs.diff_ids for {count} layers: give as many'
        own = [f'sha256:{layer["name"]}' for layer in layers]
        if diff_ids[len(diff_ids) - len(own) :] != own:
            yield f'{config} does not end in the ids of --layer in rootfs.diff_ids: add them'
    merged = utils.TarReader(FLAGS.legacy_base) if lower and FLAGS.legacy_base else ()
    names = {utils.member_name(member.name) for member in merged}
    if lost := [member for member in lower if member not in names]:
        yield f"--base: the image lacks '{lost[0]}': complete it with --legacy_base={FLAGS.base}"
    for tag in FLAGS.tag or ():
        if not _is_tag(tag):
            yield f'--tag: {tag!r} is not [registry/]repository:tag, in lower case: change it'


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
    except UnicodeDecodeError as error:
        raise ValueError(f"{flag}: '{value[1:]}' is no text: give another file") from error
    text = ' '.join(text.split()[:1]) if value.startswith('@') else _text(text)
    _check_identifier(f'{flag}={value}', text)
    return text


def _text(value: str | None) -> str:
    """Returns the bytes of an argument read as UTF-8, whatever the locale."""
    return os.fsencode(value or '').decode('utf-8', 'surrogateescape')


def _parse_flags(argv: Sequence[str]) -> list[str]:
    FLAGS['verbosity'].using_default_value = False  # else app.run makes it INFO
    try:
        return FLAGS(argv)
    except (flags.Error, ValueError) as error:
        sys.exit(f'create_image: {" ".join(str(error).split())}: see --help')


def main(argv: Sequence[str]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, _: sys.exit(number))
    problems = []
    try:
        if len(argv) > 1:
            raise ValueError(f'{argv[1]!r} is no flag: begin every argument with --')
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
            problems = list(_find_problems(identifier, layers))
        tags = [_text(tag) for tag in FLAGS.tag or ()]
        name, repository = _text(FLAGS.name), _text(FLAGS.repository)
        image = FLAGS.output, identifier, layers, FLAGS.config, tags, FLAGS.base, FLAGS.legacy_base
        if not problems:
            create_image(*image, legacy_id, FLAGS.metadata, name, repository)
    except OSError as error:
        advice = {
            errno.ENOSPC: 'make room',
            errno.EPIPE: 'let its reader read to the end',
            errno.ESTALE: 'let nothing write to it meanwhile',
        }.get(error.errno or 0, 'check the path, its permissions and limits')
        problems = [f"'{error.filename}': {error.strerror}: {advice}"]
    except (ValueError, archive.TarFileWriter.Error) as error:
        problems = [str(error)]
    except SystemExit as stop:  # by a signal: die of it, as the caller expects
        signal.signal(stop.args[0], signal.SIG_DFL)
        signal.raise_signal(stop.args[0])
    if problems:
        sys.exit('\n'.join('create_image: ' + ' '.join(line.split('\n')) for line in problems))


if __name__ == '__main__':
    app.run(main, flags_parser=_parse_flags)
