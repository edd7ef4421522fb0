# SPDX-License-Identifier: Apache-2.0
"""The same inputs give the same bytes for every user, anywhere and at any time (section 4)."""

import os

import pytest

import create_image
from support.needs import as_another_user
from support.running import build, environment
from support.tars import sha256

# The SHA-256 of the archive of build_fixed(), which depends on all rules of the layout but bases.
FIXED_DIGEST = 'ea425f52da9993daf2f14254fac9d90ac09c65a9393e6c4bce73347a9fa3c283'
TAGS = ['example/fixed:1.0', 'example/täg:1.0']


def build_fixed(directory, *flags, **options):
    """Builds an archive of fixed parts, which need not be a valid image; returns its path."""
    (directory / 'config.json').write_bytes(b'{"fixed": true}\n')
    (directory / 'small.tar').write_bytes(b'small layer')
    (directory / 'large.tar').write_bytes(bytes(range(256)) * 300)
    (directory / 'small.sha256').write_text(f'{"1" * 64}  small.tar\n')
    build(
        '--output=image.tar',
        f'--id={"a" * 64}',
        '--config=config.json',
        '--layer=@small.sha256=small.tar',
        f'--layer={"2" * 64}=large.tar',
        *(f'--tag={tag}' for tag in TAGS),
        '--repository=example/fixed',
        '--name=1.0',
        *flags,
        warnings=True,
        **{'cwd': directory, **options},
    )
    return directory / 'image.tar'


def digest(path):
    return sha256(path.read_bytes())


def test_output_bytes_do_not_change(tmp_path):
    assert digest(build_fixed(tmp_path)) == FIXED_DIGEST


def test_umask_changes_only_the_mode(tmp_path):
    image = build_fixed(tmp_path, umask=0o077)
    assert digest(image) == FIXED_DIGEST
    assert image.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    'variables',
    [
        {'LC_ALL': 'C', 'LANG': 'C'},
        {'LC_ALL': 'POSIX', 'PYTHONCOERCECLOCALE': '0', 'PYTHONUTF8': '0'},
        {'LC_ALL': 'C.UTF-8'},
        {'TZ': 'Asia/Kolkata'},
        {'PYTHONHASHSEED': '7', 'HOME': '/nowhere', 'SOURCE_DATE_EPOCH': '1700000000'},
    ],
)
def test_environment_does_not_matter(tmp_path, variables):
    assert digest(build_fixed(tmp_path, env=environment(**variables))) == FIXED_DIGEST


def test_directory_modes_and_times_do_not_matter(tmp_path):
    directory = tmp_path / 'another directory'
    directory.mkdir()
    build_fixed(directory)
    for path in directory.iterdir():
        os.utime(path, (1, 1))
        path.chmod(0o755)
    (directory / 'image.tar').unlink()
    assert digest(build_fixed(directory)) == FIXED_DIGEST


def test_stdout_has_the_same_bytes(tmp_path):
    image = build_fixed(tmp_path)
    image.unlink()
    with image.open('wb') as f:
        os.set_inheritable(f.fileno(), True)
        build_fixed(tmp_path, f'--output=/dev/fd/{f.fileno()}', pass_fds=[f.fileno()])
    assert digest(image) == FIXED_DIGEST


def test_user_does_not_matter(tmp_path):
    image = build_fixed(tmp_path)
    image.unlink()
    for path in [*tmp_path.iterdir(), tmp_path, *tmp_path.parents[:-2]]:
        path.chmod(path.stat().st_mode | 0o777)
    layers = [{'name': '1' * 64, 'layer': 'small.tar'}, {'name': '2' * 64, 'layer': 'large.tar'}]

    def create():
        create_image.create_image(
            'image.tar',
            'a' * 64,
            layers,
            'config.json',
            tags=TAGS,
            name='1.0',
            repository='example/fixed',
        )
        return 0

    assert as_another_user(tmp_path, create) == 0
    assert image.stat().st_uid == 12345
    assert digest(image) == FIXED_DIGEST
