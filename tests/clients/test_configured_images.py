# SPDX-License-Identifier: Apache-2.0
"""Images made with both programs in real clients: containers have the values of the flags."""

import json
import pathlib
import shutil

import pytest

from support.clients import Containerd
from support.images import Parts, base_diff_ids
from support.needs import require
from support.project import DATA
from support.running import build
from support.tars import make_tar, sha256

pytestmark = pytest.mark.client

TAG = 'example/app:1.0'
SCRIPT = '/busybox id -u; /busybox id -g; pwd; echo $GREETING; /busybox cat greeting'
FLAGS = [
    f'--entrypoint=["/busybox", "sh", "-c", "{SCRIPT}"]',
    '--env=GREETING=hello',
    '--env="PATH=/app:${PATH}","LISTED=a, b"',
    '--labels=org.example.role=derived,new=a=b',
    '--ports=8080,53/udp',
    '--volumes=/data',
    '--user=12:34',
    '--workdir=/srv',
    '--stop_signal=SIGINT',
    '--healthcheck={"Test": ["CMD", "/busybox", "true"], "Interval": "1m30s", "Retries": 2}',
]
CONFIG = {
    'Entrypoint': ['/busybox', 'sh', '-c', SCRIPT],
    'Env': ['PATH=/app:/usr/bin:/bin', 'GREETING=hello', 'LISTED=a, b'],
    'ExposedPorts': {'8080/tcp': {}, '53/udp': {}},
    'Labels': {'org.example.role': 'derived', 'new': 'a=b'},
    'Healthcheck': {'Interval': 90 * 10**9, 'Retries': 2, 'Test': ['CMD', '/busybox', 'true']},
    'StopSignal': 'SIGINT',
    'User': '12:34',
    'Volumes': {'/data': {}},
    'WorkingDir': '/srv',
}


@pytest.mark.parametrize('base', ['docker-20.10.tar', 'docker-29-pulled.tar', 'podman-4.3.tar.xz'])
def test_container_has_the_values_of_the_flags(store, tmp_path, base):
    require('busybox')
    busybox = pathlib.Path(shutil.which('busybox')).read_bytes()
    path = DATA / 'bases' / base
    parts = Parts(tmp_path, base=path)
    layer = make_tar(tmp_path / 'busybox.tar', {'busybox': busybox}, mode=0o755)
    parts.layers = [(sha256(layer.read_bytes()), layer)]
    flags = [f'--output={parts.config}', f'--base={path}', *parts.layer_flags, *FLAGS]
    build(*flags, program='create_image_config')
    parts.id = sha256(parts.config.read_bytes())
    build(*parts.flags, f'--tag={TAG}', '--verify')
    store.load(parts.output)
    assert store.config_digest(TAG) == parts.id
    greeting = store.files(TAG)['srv/greeting']
    config = json.loads(parts.config.read_text())
    assert config['config'] == CONFIG
    assert config['rootfs']['diff_ids'] == [*base_diff_ids(), *parts.diff_ids]
    if not isinstance(store, Containerd):
        shown = json.loads(store('image', 'inspect', '--format={{json .Config}}', TAG))
        if hasattr(store, 'driver'):  # Podman shows the health check elsewhere
            shown['Healthcheck'] = json.loads(
                store('image', 'inspect', '--format={{json .HealthCheck}}', TAG)
            )
        assert {key: shown[key] for key in CONFIG} == CONFIG
    printed = store.run(TAG).splitlines()
    assert printed == ['12', '34', '/srv', 'hello', *greeting.decode().splitlines()]
