# SPDX-License-Identifier: Apache-2.0
"""Errors while an image is written: a large part, and checks that a failed run changes nothing."""

import gzip
import hashlib
import os
import random

from support.images import configuration
from support.running import fails, messages
from support.tars import make_tar

OLD = b'the old file'
NOISE = random.Random(1).randbytes(4 << 20)


def digest(path):
    with open(path, 'rb') as f:
        return hashlib.sha256(f.read()).hexdigest()


def error_of(process):
    """Waits for a process, which must fail with one error; returns the error."""
    (error,) = messages(process.communicate()[1])[1]
    assert process.returncode == 1
    return error


def fails_cleanly(image, *flags, **options):
    """Runs the tool, which must fail and leave an existing output and its directory untouched."""
    image.output.write_bytes(OLD)
    before = sorted(os.listdir(image.directory))
    line = fails(*image.flags, *flags, **options)
    assert image.output.read_bytes() == OLD
    assert sorted(os.listdir(image.directory)) == before
    return line


# Parts whose files are copied; the configuration is read completely before anything else.
COPIED_PARTS = ['layer', 'base', 'compressed base']


def with_large_part(image, part):
    """Adds a part of 4 MiB to an image; returns the path of the part and the image's flags."""
    path = make_tar(image.directory / 'large', {'noise': NOISE})
    if part == 'compressed base':
        path.write_bytes(gzip.compress(path.read_bytes(), 1))
    if part == 'config':
        return path, [*image.flags, f'--config={path}']
    if part == 'layer':
        image.layers.append((digest(path), path))
        image.configure(configuration(image.diff_ids))
        return path, image.flags
    return path, [*image.flags, f'--legacy_base={path}']


def leaves_both_outputs(image, *flags, output=True, **options):
    """Runs the tool, which must fail and leave the old archive and digest file untouched."""
    digest_file = image.directory / 'digest'
    digest_file.write_bytes(b'old digest')
    image.output.write_bytes(b'old')
    before = sorted(os.listdir(image.directory))
    own = image.flags if output else image.without('output')
    error = fails(*own, '--oci', f'--digest_file={digest_file}', *flags, **options)
    assert digest_file.read_bytes() == b'old digest'
    assert image.output.read_bytes() == b'old'
    assert sorted(os.listdir(image.directory)) == before
    return error
