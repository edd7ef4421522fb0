# SPDX-License-Identifier: Apache-2.0
"""create_image_config compared to a builder, with flags and Dockerfiles of the same meaning."""

import json
import shutil
import subprocess

import pytest

from support.needs import require
from support.project import DATA
from support.running import build

pytestmark = pytest.mark.client

PLAIN = 'docker-20.10.tar'
GZIP = 'docker-29-pulled.tar'
# If the base has no variable of this name, buildah adds one. Docker's older builder did not, and
# create_image_config does not: --env adds it.
BUILDERS_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

# A base (None is scratch), lines of a Dockerfile, and flags of the same meaning.
SAME = [
    (None, [], []),
    (None, ['ENV A=1 B="x y" C='], ['--env=A=1,B=x y,C=']),
    (None, ['ENV A=1', 'ENV B=$A-${A}'], ['--env=A=1,B=$A-${A}']),
    (None, ['ENV A=1', 'ENV B=\\$A'], ['--env=A=1,B=\\$A']),
    (None, ['ENV A=1', 'ENV A=2'], ['--env=A=1', '--env=A=2']),
    (None, ['ENV A="x, y"'], ['--env="A=x, y"']),
    (None, ['LABEL a=1 "b c"="d, e" f='], ['--labels=["a=1", "b c=d, e", "f="]']),
    (None, ['LABEL a=b=c'], ['--labels=a=b=c']),
    (None, ['EXPOSE 80 53/udp', 'EXPOSE 9/sctp 80/tcp'], ['--ports=80,53/udp,9/sctp,80/tcp']),
    (None, ['USER nobody:nogroup'], ['--user=nobody:nogroup']),
    (None, ['USER 1000'], ['--user=1000']),
    (None, ['WORKDIR /srv/app'], ['--workdir=/srv/app']),
    (None, ['VOLUME /data /x', 'VOLUME ["/y z"]'], ['--volumes=/data,/x,/y z']),
    (None, ['STOPSIGNAL SIGINT'], ['--stop_signal=SIGINT']),
    (None, ['ENTRYPOINT ["/a", "b c"]'], ['--entrypoint=/a,b c']),
    (None, ['CMD ["/a", "b,c"]'], ['--command=["/a", "b,c"]']),
    (None, ['CMD ["/a", "\\"b\\""]'], ['--command=["/a", "\\"b\\""]']),
    (None, ['ENTRYPOINT ["/a"]', 'CMD ["b"]'], ['--entrypoint=/a', '--command=b']),
    (PLAIN, [], []),
    (PLAIN, ['ENV PATH=/new:$PATH'], ['--env=PATH=/new:$PATH']),
    (PLAIN, ['ENV B=2 A=1'], ['--env=B=2,A=1']),
    (PLAIN, ['LABEL org.example.role=new a=1'], ['--labels=org.example.role=new,a=1']),
    (PLAIN, ['CMD ["/a"]'], ['--command=/a']),
    (GZIP, ['ENV A=$PATH', 'EXPOSE 80'], ['--env=A=$PATH', '--ports=80']),
    (
        GZIP,
        ['USER u', 'WORKDIR /w', 'VOLUME /v', 'STOPSIGNAL 9', 'ENTRYPOINT ["/e"]'],
        ['--user=u', '--workdir=/w', '--volumes=/v', '--stop_signal=9', '--entrypoint=/e'],
    ),
]

# The same on a base with an entrypoint, a command and all other values.
LINES = [
    *('ENV A=1 B=2', 'LABEL a=1', 'EXPOSE 80', 'USER u', 'WORKDIR /w', 'VOLUME /v'),
    *('STOPSIGNAL 9', 'ENTRYPOINT ["/e"]', 'CMD ["c"]'),
]
ON_A_FULL_BASE = [
    ([], []),
    (['ENTRYPOINT ["/new"]'], ['--entrypoint=/new']),
    (['CMD ["new"]'], ['--command=new']),
    (['ENTRYPOINT ["/new"]', 'CMD ["new"]'], ['--entrypoint=/new', '--command=new']),
    (['CMD []'], ['--command=[]']),
    (['ENTRYPOINT []'], ['--entrypoint=[]']),
    (['ENV D=$A C=4'], ['--env=D=$A,C=4']),
    (['EXPOSE 81', 'VOLUME /x', 'LABEL b=2'], ['--ports=81', '--volumes=/x', '--labels=b=2']),
    (['USER v', 'WORKDIR /x', 'STOPSIGNAL 1'], ['--user=v', '--workdir=/x', '--stop_signal=1']),
]


class Buildah:
    """Buildah, with its state in a directory of its own; it needs no daemon."""

    def __init__(self, directory):
        self.directory = directory

    def __call__(self, *arguments):
        state = ['--root', self.directory / 'root', '--runroot', self.directory / 'run']
        command = ['buildah', *state, '--storage-driver=vfs', *arguments]
        done = subprocess.run(command, capture_output=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def build(self, base, lines):
        """Builds an image from a Dockerfile; returns its ID."""
        context = self.directory / 'context'
        context.mkdir(exist_ok=True)
        (context / 'Dockerfile').write_text('\n'.join([f'FROM {base}', *lines, '']))
        flags = ['--quiet', '--isolation=chroot', '--identity-label=false']
        return self('build', *flags, context).strip()

    def config(self, image):
        """Returns the key `config` of an image."""
        text = self('inspect', '--type=image', '--format={{.Config}}', image)
        return json.loads(text)['config']


@pytest.fixture(scope='module')
def buildah(tmp_path_factory):
    require('buildah')
    directory = tmp_path_factory.mktemp('buildah')
    yield Buildah(directory)
    shutil.rmtree(directory)


def ours(output, *flags):
    build(f'--output={output}', *flags, program='create_image_config')
    return json.loads(output.read_bytes())['config']


@pytest.mark.parametrize(('base', 'lines', 'flags'), SAME)
def test_flags_have_the_effect_of_a_dockerfile(buildah, tmp_path, base, lines, flags):
    if base is None:
        built = buildah.config(buildah.build('scratch', lines))
        assert built['Env'].pop(0) == BUILDERS_PATH
        if not built['Env']:
            del built['Env']
        if not any(line.startswith('WORKDIR') for line in lines):
            # Newer releases of buildah set the default working directory.
            assert built.pop('WorkingDir', '/') == '/'
    else:
        path = DATA / 'bases' / base
        built = buildah.config(buildah.build(f'docker-archive:{path}', lines))
        flags = [f'--base={path}', *flags]
    assert ours(tmp_path / 'config.json', *flags) == built


@pytest.mark.parametrize(('lines', 'flags'), ON_A_FULL_BASE)
def test_flags_have_the_effect_of_a_dockerfile_on_a_full_base(buildah, tmp_path, lines, flags):
    below = buildah.build('scratch', LINES)
    base = tmp_path / 'base.tar'
    buildah('push', '--quiet', below, f'docker-archive:{base}')
    built = buildah.config(buildah.build(f'docker-archive:{base}', lines))
    assert ours(tmp_path / 'config.json', f'--base={base}', *flags) == built


def test_changed_variable_keeps_its_place(buildah, tmp_path):
    """As with Docker's builders; buildah moves it to the end, with the same effect."""
    base = DATA / 'bases' / PLAIN
    lines = ['ENV B=1 PATH=/x:$PATH', 'ENV B=2 A=$B']
    built = buildah.config(buildah.build(f'docker-archive:{base}', lines))
    flags = ['--env=B=1,PATH=/x:$PATH', '--env=A=$B', '--env=B=2']
    found = ours(tmp_path / 'config.json', f'--base={base}', *flags)
    assert found['Env'] == ['PATH=/x:/usr/bin:/bin', 'B=2', 'A=1']
    assert sorted(found.pop('Env')) == sorted(built.pop('Env'))
    assert found == built
