# SPDX-License-Identifier: Apache-2.0
"""Building images by build_image, and by the three programs that it stands for."""

import os

from support.running import build, fails, run_program
from support.tars import sha256, uncompressed

PROGRAM = {'program': 'build_image'}


def build_image(output, *flags, **options):
    """Builds an image by build_image, which must give no message; returns its bytes."""
    build(f'--output={output}', *flags, **PROGRAM, **options)
    return output.read_bytes()


def image_fails(output, *flags, **options):
    """Fails to build an image, and leaves nothing behind; returns the error."""
    before = sorted(os.listdir(output.parent))
    error = fails(f'--output={output}', *flags, **PROGRAM, **options)
    assert sorted(os.listdir(output.parent)) == before
    return error


def three_programs(
    directory, base=None, layer=None, below=(), config=(), archive=(), partial=False
):
    """Builds an image by one program after the other; returns the path of its archive.

    Args:
        directory: an empty directory for the files in between.
        base: the path of the base.
        layer: the flags of build_tar, without those for its outputs and --base; None for no layer.
        below: the paths of the layers below that one.
        config: the flags of create_image_config, without --output, --base and --layer.
        archive: the flags of create_image, without those for the parts.
        partial: whether the base is left out.
    """
    output = directory / 'image.tar'
    config_file = directory / 'config.json'
    on_base = [] if base is None else [f'--base={base}']
    layers = [f'{sha256(uncompressed(path.read_bytes()))}={path}' for path in below]
    if layer is not None:
        made, id_file = directory / 'layer.tar', directory / 'layer.sha256'
        lower = [f'--lower={path}' for path in below] if on_base else []
        flags = [f'--output={made}', f'--id_file={id_file}', *on_base, *lower, *layer]
        build(*flags, program='build_tar')
        layers.append(f'@{id_file}={made}')
    layer_flags = [f'--layer={one}' for one in layers]
    flags = [f'--output={config_file}', *on_base, *layer_flags, *config]
    build(*flags, program='create_image_config')
    flags = [f'--output={output}', f'--config={config_file}', *layer_flags, *archive]
    flags.append(f'--id={sha256(config_file.read_bytes())}')
    if on_base and not partial:
        flags.append(f'--legacy_base={base}')
    build(*flags, *on_base, warnings=True)
    return output


def run(*flags, **options):
    """Runs build_image; returns the finished process."""
    return run_program('build_image', *flags, **options)
