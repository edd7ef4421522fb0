# SPDX-License-Identifier: Apache-2.0
"""Compares what Bazel built in rules/ with the output of the programs and with the BUILD file.

Usage: check_rules.py BAZEL_BIN, with a python3 that has absl-py.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).absolute().parent.parent.parent
BASE = ROOT / 'tests' / 'testdata' / 'bases' / 'docker-29-containerd.tar'
SECOND_LAYER = ROOT / 'tests' / 'testdata' / 'base-layer-1.tar'

# The values that the BUILD file gives to :debug, written in Python.
CMD = [
    ' a blank, a "quote", a \\, a $HOME, an \'apostrophe\' ',
    'two\nlines, a\ttab, a\rreturn',
    'é, 日本, 🙂',
    '',
]
ENV = ['AT=@file', 'DOLLARS=$LANG ${LANG} \\$LANG $$', 'LINES=one\n#two, three\n\nfour ']
LABELS = {
    'at': '@file',
    'ats': '@@file',
    'commas': 'a, "b",c',
    'dollar': '$HOME $(HOME)',
    'lines': 'one\n--labels=two=3\n',
}


def run(program: str, *flags: str) -> None:
    subprocess.run([sys.executable, ROOT / f'{program}.py', *flags], check=True)


class Check:
    """Builds again, in a directory, the files that Bazel built in another one; compares them."""

    def __init__(self, built: pathlib.Path, directory: pathlib.Path) -> None:
        self._built = built
        self._rules = built / 'rules'
        self._directory = directory

    def compare(self, name: str) -> None:
        if (self._directory / name).read_bytes() != (self._rules / name).read_bytes():
            sys.exit(f'{name} is not what the programs make by hand')

    def path(self, name: str) -> str:
        return str(self._directory / name)

    def layer(self, image: str, number: int, file: pathlib.Path) -> list[str]:
        digest = subprocess.check_output(['sha256sum', file], text=True)[:64]
        written = (self._rules / f'{image}.layer-{number}.sha256').read_text()
        if written != f'{digest}\n':
            sys.exit(f'{image}: layer {number} has another SHA-256')
        return [f'--layer={digest}={file}']

    def config(self, image: str, *flags: str) -> None:
        run('create_image_config', f'--output={self.path(image)}.json', *flags)
        self.compare(f'{image}.json')

    def archive(self, name: str, image: str, *flags: str) -> None:
        config = self._rules / f'{image}.json'
        digest = subprocess.check_output(['sha256sum', config], text=True)[:64]
        output = self.path(name)
        run('create_image', f'--output={output}', f'--config={config}', f'--id={digest}', *flags)
        self.compare(name)

    def check_app(self) -> list[str]:
        layer = self.layer('app', 1, self._built / 'layer.tar')
        self.config(
            'app',
            f'--base={BASE}',
            *layer,
            '--entrypoint=/srv/app',
            '--command=--greeting,"Hello, world"',
            '--env=LANG=C.UTF-8',
            '--labels=org.opencontainers.image.title=An app',
            '--ports=8080',
            '--user=nobody',
            '--workdir=/srv',
        )
        flags = [*layer, f'--base={BASE}', f'--legacy_base={BASE}']
        self.archive('app.tar', 'app', *flags, '--tag=example/app:1.0')
        return flags

    def check_debug(self) -> None:
        config = json.loads((self._rules / 'debug.json').read_text())['config']
        below = json.loads((self._rules / 'app.json').read_text())['config']
        expected = {
            **below,
            'Cmd': CMD,
            'Env': below['Env'] + ENV,
            'Labels': {**below['Labels'], **LABELS},
            'Volumes': {'/srv/a,b': {}},
        }
        if config != expected:
            sys.exit(f'debug.json has {config}, not {expected}')
        base = self.path('app.tar')
        flags = ['--oci', f'--base={base}']
        flags += ['--tag=example/app:debug', '--tag=example/app:latest']
        digest_file = f'--digest_file={self.path("debug.digest")}'
        self.archive('debug.partial.tar', 'debug', *flags, digest_file)
        self.compare('debug.digest')
        self.archive('debug.tar', 'debug', *flags, f'--legacy_base={base}')

    def check_site(self) -> list[str]:
        base = self.path('debug.tar')
        flags = [f'--base={base}', *self.layer('site', 1, self._built / 'layer.tar')]
        flags += self.layer('site', 2, SECOND_LAYER)
        self.config('site', *flags, '--architecture=arm64')
        flags.append(f'--legacy_base={base}')
        self.archive('site.tar', 'site', *flags)
        return flags

    def check_bundle(self, app: list[str], site: list[str]) -> None:
        site_tags = ['--tag=example/bundle:site', '--tag=example/bundle:latest']
        self.archive('bundle.image-1.tar', 'app', *app, '--tag=example/bundle:app')
        self.archive('bundle.image-2.tar', 'site', *site, *site_tags)
        layers = [f'--layer={self.path(f"bundle.image-{number}.tar")}' for number in (1, 2)]
        run('join_layers', f'--output={self.path("bundle.tar")}', *layers)
        self.compare('bundle.tar')


def main() -> None:
    built = pathlib.Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as directory:
        check = Check(built, pathlib.Path(directory))
        app = check.check_app()
        check.check_debug()
        site = check.check_site()
        check.check_bundle(app, site)


main()
