#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Joins image archives into one, which `docker load` reads at once.

Example:
    join_layers.py --output=all.tar --layer=base.tar --layer=app.tar --layer=db.tar --verify
"""

if __name__ == '__main__':
    # First of all, because Ctrl-C during an import prints a traceback; signal takes long to import.
    import _signal  # type: ignore[import-not-found]

    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

import os
import sys

if __name__ == '__main__':
    sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))  # PYTHONSAFEPATH leaves it out
    from image_archive.system import start

    start.prepare('join_layers')

from collections.abc import Sequence

from absl import flags

from image_archive.checks.problem import Problem, report
from image_archive.image.identifiers import normal_identifier, read_identifier
from image_archive.join.assemble import JoinParts, write_join
from image_archive.system import command_line, flag_values, shared_flags
from image_archive.system.command_line import Run
from image_archive.system.flag_values import all_given, given, given_text
from image_archive.system.python_values import PathName, optional_text_of, path_of, paths_of

_FLAGS = flag_values.new_flags()
_OUTPUT = flags.DEFINE_string(
    'output', None, 'required: the archive to write; - is stdout', flag_values=_FLAGS
)
flag_values.share_flags(_FLAGS, shared_flags.FLAGS, ['verify'])
_LAYER = flags.DEFINE_multi_string(
    'layer', [], 'required: an image archive; a base before what is built on it', flag_values=_FLAGS
)
_OCI = flags.DEFINE_boolean(
    'oci',
    False,
    'write an OCI image layout as well, the same whichever program saved the images',
    flag_values=_FLAGS,
)
_BASE = flags.DEFINE_multi_string(
    'base',
    [],
    'with --oci: an image archive; what images have in common with it is left out',
    flag_values=_FLAGS,
)
_DIGEST_FILE = flags.DEFINE_string(
    'digest_file',
    None,
    'with --oci: where to write the digest of the image, if there is only one',
    flag_values=_FLAGS,
)
_ID = flags.DEFINE_string(
    'id',
    None,
    'the v1 identifier of the top layer, in hex or as @FILE, to write to `top`',
    flag_values=_FLAGS,
)
_REPOSITORY = flags.DEFINE_string(
    'repository', None, 'with --id: the repository to add to `repositories`', flag_values=_FLAGS
)
_NAME = flags.DEFINE_string(
    'name', None, 'with --id: the tag to add to `repositories`', flag_values=_FLAGS
)


def create_image(
    output: PathName,
    layers: Sequence[PathName],
    identifier: str | None = None,
    name: str | None = None,
    repository: str | None = None,
) -> None:
    """Joins image archives into one.

    Args:
        output: the path of the archive; '-' is stdout.
        layers: the paths of the archives, whole or partial images; a base before what is built
            on it.
        identifier: the v1 identifier of the top layer, in hex, which is written to `top`.
        name: the tag to name in `repositories`.
        repository: the repository to name in `repositories`.

    Raises:
        TypeError: an argument is of a wrong type.
        ValueError: arguments are missing, or do not go together.
        OSError: a file cannot be read or written.
        TarFileWriter.Error: an archive is unsound or no image archive, or two do not go together.
    """
    top = optional_text_of('identifier', identifier)
    if top is not None:
        top = normal_identifier(top)
    parts = JoinParts(
        layers=tuple(paths_of('layers', layers)),
        identifier=top,
        name=optional_text_of('name', name),
        repository=optional_text_of('repository', repository),
    )
    write_join(path_of('output', output), parts, command_line.silent_run('join_layers'))


def main(run: Run) -> None:
    """Runs the program with the values of its flags.

    Args:
        run: the run of the program.

    Raises:
        ArgumentError, OSError, ArchiveError: as write_join().
    """
    flag_values.check_given(_OUTPUT)
    parts = JoinParts(
        layers=tuple(all_given(_LAYER.value)),
        bases=tuple(all_given(_BASE.value)),
        oci=_OCI.value,
        digest_file=given(_DIGEST_FILE.value),
        name=given_text(_NAME.value),
        repository=given_text(_REPOSITORY.value),
    )
    if _ID.value:
        identifier = read_identifier('--id', _ID.value)
        report([Problem(text) for text in identifier.warnings], shared_flags.VERIFY.value)
        parts = parts._replace(
            identifier=identifier.value, id_origin=identifier.origin, id_file=identifier.path
        )
    write_join(_OUTPUT.value or '', parts, run, shared_flags.VERIFY.value)


def run_main() -> None:
    """Runs the program with the arguments of the command line."""
    command_line.run('join_layers', main, __doc__ or '', _FLAGS)


if __name__ == '__main__':
    run_main()
