# SPDX-License-Identifier: Apache-2.0
"""Running create_image_config."""

import json

from support.images import EPOCH
from support.running import build

PROGRAM = 'create_image_config'
HEX = ['1' * 64, '2' * 64, '3' * 64]
SCRATCH = {
    'architecture': 'amd64',
    'config': {},
    'created': EPOCH,
    'history': [{'created': EPOCH, 'empty_layer': True}],
    'os': 'linux',
    'rootfs': {'diff_ids': [], 'type': 'layers'},
}


def written(output, *flags, warnings=False, **options):
    """Runs the program, which must succeed; returns the configuration that it writes."""
    build(f'--output={output}', *flags, program=PROGRAM, warnings=warnings, **options)
    return json.loads(output.read_bytes())


def process(output, *flags):
    """Runs the program, which must succeed; returns the key `config` of its output."""
    return written(output, *flags)['config']
