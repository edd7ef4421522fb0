# SPDX-License-Identifier: Apache-2.0
"""create_image --verify judges random images: no traceback, and what it passes is complete."""

import pytest

from support.amounts import amount
from support.random_images import RandomImage
from support.running import messages, run_program
from support.tars import manifest

IMAGES = amount('RANDOM_IMAGES', 25, 1500)
BATCH = 25


@pytest.mark.parametrize('first', range(0, IMAGES, BATCH))
def test_every_random_image_is_passed_or_refused_with_lines(tmp_path, first):
    for seed in range(first, first + BATCH):
        directory = tmp_path / str(seed)
        directory.mkdir()
        image = RandomImage(directory, seed)
        done = run_program('create_image', *image.flags, '--verify', real=False)
        _, errors = messages(done.stderr)
        assert (done.returncode == 0) == (errors == []), seed
        assert image.parts.output.exists() == (errors == []), seed
        if not errors:
            assert len(manifest(image.parts.output)['Layers']) == len(image.parts.layers), seed


def test_random_images_are_of_all_verdicts(tmp_path):
    verdicts = set()
    for seed in range(20):
        directory = tmp_path / str(seed)
        directory.mkdir()
        image = RandomImage(directory, seed)
        verdicts.add(run_program('create_image', *image.flags, '--verify').returncode)
    assert verdicts == {0, 1}
