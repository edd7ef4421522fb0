# SPDX-License-Identifier: Apache-2.0
"""Archives of Skopeo and umoci are read as GNU tar lists and extracts them."""

import shutil

import pytest

from support.project import DATA
from support.real_archives import check, read, shell
from support.tars import sha256

pytestmark = pytest.mark.client

SKOPEO = {
    'docker archive': 'skopeo copy docker-archive:base.tar docker-archive:x.tar:example/app:1',
    'OCI archive': 'skopeo copy docker-archive:base.tar oci-archive:x.tar:1',
}


@pytest.mark.parametrize('case', SKOPEO)
def test_archives_of_skopeo(tmp_path, case):
    shutil.copy(DATA / 'bases' / 'docker-20.10.tar', tmp_path / 'base.tar')
    shell(f'{SKOPEO[case]} --insecure-policy'.replace('copy', 'copy -q'), tmp_path)
    check(tmp_path / 'x.tar', tmp_path)


def test_archives_of_umoci(trees, tmp_path):
    shell(
        'umoci init --layout=image && umoci new --image=image:1 && '
        f'umoci insert --rootless --image=image:1 {trees}/plain /opt',
        tmp_path,
    )
    blobs = (tmp_path / 'image/blobs/sha256').iterdir()
    (layer,) = [path for path in blobs if path.read_bytes().startswith(b'\x1f\x8b')]
    _, contents = read(layer)
    # GNU tar reports the missing padding of the last block.
    plain = trees / 'plain'
    assert len(contents) > 10
    for name, found in contents.items():
        assert found == sha256((plain / name.removeprefix('opt/')).read_bytes()), name
