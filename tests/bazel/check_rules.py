# SPDX-License-Identifier: Apache-2.0
"""Compares what Bazel built in rules/ with the output of the programs and with the BUILD file.

Usage: check_rules.py BAZEL_BIN, with a python3 that has absl-py.
"""

import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile

ROOT = pathlib.Path(__file__).absolute().parent.parent.parent
WORKSPACE = ROOT / 'tests' / 'bazel'
BASE = ROOT / 'tests' / 'testdata' / 'bases' / 'docker-29-containerd.tar'
SECOND_LAYER = ROOT / 'tests' / 'testdata' / 'base-layer-1.tar'

# The values that the BUILD file gives to :debug, written in Python.
CMD = [
    ' a blank, a "quote", a \\, a $HOME, an \'apostrophe\' ',
    'two\nlines, a\ttab, a\rreturn',
    'é, 日本, 🙂',
    '',
]
ENV = [
    'AT=@file',
    'DOLLARS=$HOME ${HOME} $$ $UNKNOWN',
    'LINES=one\n#two, three\n\nfour ',
    'VARIABLES=/srv /srv',
]
LABELS = {
    'at': '@file',
    'ats': '@@file',
    'by file': '1234',
    'by path': '1234',
    'by target': '1234',
    'commas': 'a, "b",c',
    'dollar': '$HOME $(HOME)',
    'lines': 'one\n--labels=two=3\n',
}

# The members of the layer of files of each image: type, mode, owner, time, name, and the target of
# a link or the content of a file that has one short line.
BELOW = """
d 0755 0.0 0 files
- 0555 0.0 0 files/a.txt one
- 0555 0.0 0 b.txt two
- 0555 0.0 0 made.txt four
d 0755 0.0 0 rules
- 0555 0.0 0 rules/hello.sh
"""
ALL = """
d 0755 0.0 0 files
- 0555 0.0 0 files/a.txt one
d 0755 0.0 0 files/sub
- 0555 0.0 0 files/sub/b.txt two
- 0555 0.0 0 files/sub/made.txt four
d 0755 0.0 0 rules
- 0555 0.0 0 rules/hello.sh
"""
MEMBERS = {
    'files/data_path_absolute': BELOW,
    'files/data_path_below': BELOW,
    'files/data_path_package': """
- 0555 0.0 0 a.txt one
d 0755 0.0 0 sub
- 0555 0.0 0 sub/b.txt two
- 0555 0.0 0 sub/made.txt four
d 0755 0.0 0 rules
- 0555 0.0 0 rules/hello.sh
""",
    'files/data_path_partly': ALL,
    'files/data_path_top': ALL,
    'files/data_path_unset': """
- 0555 0.0 0 a.txt one
- 0555 0.0 0 b.txt two
- 0555 0.0 0 made.txt four
- 0555 0.0 0 hello.sh
""",
    'files/repository': """
d 0755 0.0 0 testdata
- 0555 0.0 0 testdata/base-layer-1.tar
""",
    'files/tree_by_name': """
d 0555 0.0 0 tree
- 0555 0.0 0 tree/c.txt three
d 0555 0.0 0 tree/d
- 0555 0.0 0 tree/d/link three
""",
    'files/tree_as_top': """
- 0555 0.0 0 c.txt three
d 0555 0.0 0 d
- 0555 0.0 0 d/link three
""",
    'files/bottom': """
d 1777 5.6 1000000000 tmp
d 0755 0.0 1000000000 usr
d 0755 5.6 1000000000 usr/bin
d 0755 0.0 1000000000 etc
- 0644 7.8 1000000000 etc/old
- 0644 5.6 1000000000 usr/bin/old
l 0777 5.6 1000000000 bin usr/bin
""",
    'files/middle': """
d 0755 0.0 1000000000 etc
- 0644 0.0 0 etc/.wh.old
d 0755 0.0 0 opt
d 0755 0.0 0 opt/it
- 0640 0.0 0 opt/it/a.txt one
d 0755 0.0 0 opt/it/etc
- 0640 7.8 0 opt/it/etc/merged five
d 0755 0.0 0 opt/it/usr
d 0755 0.0 0 opt/it/usr/share
- 0604 0.0 0 opt/it/usr/share/it six
d 0755 0.0 1000000000 usr
d 0755 5.6 1000000000 usr/bin
l 0777 0.0 0 usr/bin/it /opt/it/a.txt
""",
    'files/top': """
d 0755 0.0 1000000000 usr
d 0755 5.6 1000000000 usr/bin
d 0755 0.0 0 usr/bin/files
- 0555 0.0 0 usr/bin/files/a.txt one
""",
    'files/top_without_directories': """
d 0755 0.0 0 bin
d 0755 0.0 0 bin/files
- 0555 0.0 0 bin/files/a.txt one
""",
    'files/above_a_layer': """
d 0755 0.0 0 srv
- 0644 0.0 0 srv/.wh.new
- 0555 0.0 0 a.txt one
""",
    'rules/app': """
d 0755 0.0 0 srv
- 0555 0.0 0 srv/hello.sh
d 0755 0.0 0 usr
d 0755 0.0 0 usr/bin
l 0777 0.0 0 usr/bin/hello /srv/hello.sh
""",
}

# The tags of each image, and the number of its own layers.
IMAGES = {
    'files/bottom': ([], 1),
    'files/middle': (['example/middle:1'], 1),
    'files/top': (['registry.example:5000/some/files:top'], 2),
    'files/top_without_directories': ([], 1),
    'files/above_a_layer': (['bazel/files:above_a_layer'], 2),
    'rules/app': (['example/app:1.0'], 1),
    'rules/debug': (['example/app:debug', 'example/app:latest'], 0),
    'rules/site': (['bazel/rules:site'], 2),
    'rules/chosen': (['example/chosen:1.0'], 0),
    'in_the_top': (['bazel:in_the_top'], 0),
}


# The files of :app and :debug, then those of output groups of :debug.
FILES = ['app.tar', 'debug-layer.tar', 'debug.tar', 'debug.json', 'debug.digest', 'debug.sha256']


def run(program: str, *flags: str) -> None:
    subprocess.run([sys.executable, ROOT / f'{program}.py', *flags], check=True)


def described(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    """Returns a member of a layer as a line of MEMBERS."""
    kind = {tarfile.DIRTYPE: 'd', tarfile.SYMTYPE: 'l', tarfile.REGTYPE: '-'}[member.type]
    text = f'{kind} {member.mode:04o} {member.uid}.{member.gid} {member.mtime} {member.name}'
    content = member.linkname.encode()
    if member.isreg():
        file = tar.extractfile(member)
        assert file is not None
        content = file.read()
    if content and content.count(b'\n') <= 1 and len(content) < 100:
        text += f' {content.decode().strip()}'
    return text


def check_members(built: pathlib.Path) -> None:
    """Checks the members of the layers of files."""
    for name, expected in MEMBERS.items():
        with tarfile.open(built / f'{name}.files.tar') as tar:
            found = ''.join(f'{described(tar, member)}\n' for member in tar)
        if found != expected.lstrip():
            sys.exit(f'{name}.files.tar has\n{found}not{expected}')


def manifest_of(archive: pathlib.Path) -> tuple[dict[str, list[str]], set[str]]:
    """Returns the entry of the one image of an archive, and the names of the members."""
    with tarfile.open(archive) as tar:
        file = tar.extractfile('manifest.json')
        assert file is not None
        (entry,) = json.load(file)
        return entry, set(tar.getnames())


def check_images(built: pathlib.Path) -> None:
    """Checks tags and layers of the images: the whole ones, and the partial ones."""
    for name, (tags, count) in IMAGES.items():
        entry, members = manifest_of(built / f'{name}.tar')
        if entry['RepoTags'] != tags or not members.issuperset(entry['Layers']):
            sys.exit(f'{name}.tar has {entry} and {sorted(members)}, not the tags {tags}')
        entry, members = manifest_of(built / f'{name}-layer.tar')
        below = entry['Layers'][: len(entry['Layers']) - count]
        own = entry['Layers'][len(below) :]
        missing = set(below).difference(own)
        if (
            entry['RepoTags'] != tags
            or members.intersection(missing)
            or not members.issuperset(own)
        ):
            sys.exit(f'{name}-layer.tar has {entry} and {sorted(members)}, not the tags {tags}')


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
        files = self._rules / 'app.files.tar'
        digest = (self._rules / 'app.files.sha256').read_text().strip()
        run(
            'build_tar',
            f'--output={self.path("app.files.tar")}',
            f'--id_file={self.path("app.files.sha256")}',
            '--directory=/srv',
            '--mode=0555',
            f'--file={WORKSPACE / "rules" / "hello.sh"}=hello.sh',
            '--link=/usr/bin/hello:/srv/hello.sh',
            f'--base={BASE}',
        )
        self.compare('app.files.tar')
        self.compare('app.files.sha256')
        layer = [f'--layer={digest}={files}']
        self.config(
            'app',
            f'--base={BASE}',
            *layer,
            '--entrypoint=/srv/hello.sh',
            '--command=--greeting,"Hello, world"',
            '--env=HOME=/srv,PATH=$HOME/bin:$PATH',
            '--labels=org.opencontainers.image.revision=1234,org.opencontainers.image.title=An app',
            '--ports=8080',
            '--user=nobody',
            '--workdir=/srv',
        )
        flags = [*layer, f'--base={BASE}', f'--legacy_base={BASE}']
        self.archive('app.tar', 'app', *flags, '--tag=example/app:1.0')
        flags_of_part = [*layer, f'--base={BASE}', '--oci', '--tag=example/app:1.0']
        self.archive('app-layer.tar', 'app', *flags_of_part)
        return flags

    def check_debug(self) -> None:
        config = json.loads((self._rules / 'debug.json').read_text())['config']
        below = json.loads((self._rules / 'app.json').read_text())['config']
        expected = {
            **below,
            'Cmd': CMD,
            'Env': below['Env'] + ENV,
            'Labels': {**below['Labels'], **LABELS},
            'User': 'é',
            'Volumes': {'/srv/a,b': {}},
        }
        if config != expected:
            sys.exit(f'debug.json has {config}, not {expected}')
        base = self.path('app.tar')
        flags = ['--oci', f'--base={base}']
        flags += ['--tag=example/app:debug', '--tag=example/app:latest']
        digest_file = f'--digest_file={self.path("debug.digest")}'
        self.archive('debug-layer.tar', 'debug', *flags, digest_file)
        self.compare('debug.digest')
        self.archive('debug.tar', 'debug', *flags, f'--legacy_base={base}')

    def check_site(self) -> list[str]:
        base = self.path('debug.tar')
        flags = [f'--base={base}', *self.layer('site', 1, self._built / 'layer.tar')]
        flags += self.layer('site', 2, SECOND_LAYER)
        self.config(
            'site',
            *flags,
            '--architecture=arm64',
            '--entrypoint=["/bin/sh", "-c", "exec sleep 1"]',
            '--command=["/bin/sh", "-c", "echo $0 >&2"]',
        )
        flags.append(f'--legacy_base={base}')
        self.archive('site.tar', 'site', *flags, '--tag=bazel/rules:site')
        return flags

    def check_bundle(self, app: list[str], site: list[str]) -> None:
        site_tags = ['--tag=example/bundle:site', '--tag=example/bundle:latest']
        self.archive('bundle.image-1.tar', 'app', *app, '--tag=example/bundle:app')
        self.archive('bundle.image-2.tar', 'site', *site, *site_tags)
        layers = [f'--layer={self.path(f"bundle.image-{number}.tar")}' for number in (1, 2)]
        run('join_layers', f'--output={self.path("bundle.tar")}', *layers)
        self.compare('bundle.tar')

    def check_chosen(self) -> None:
        flags = [f'--base={self.path("bundle.tar")}', '--base_tag=example/bundle:latest']
        flags.append('--platform=linux/arm64')
        self.config(
            'chosen',
            *flags,
            '--healthcheck={"Test": ["CMD", "/srv/hello.sh"], "Interval": "30s"}',
            '--remove_env=HOME,LINES',
            '--remove_labels=*',
            '--remove_ports=8080',
            '--remove_volumes=["/srv/a,b"]',
        )
        config = json.loads((self._rules / 'chosen.json').read_text())['config']
        names = [variable.partition('=')[0] for variable in config['Env']]
        if names != ['PATH', 'AT', 'DOLLARS', 'VARIABLES']:
            sys.exit(f'chosen.json has the variables {names}')
        gone = {'Labels', 'ExposedPorts', 'Volumes'}
        if any(config.get(name) for name in gone) or 'Healthcheck' not in config:
            sys.exit(f'chosen.json has {config}')
        flags += ['--oci', '--annotations=["org.opencontainers.image.source=a,b"]']
        flags.append('--tag=example/chosen:1.0')
        self.archive('chosen-layer.tar', 'chosen', *flags)
        self.archive('chosen.tar', 'chosen', *flags, f'--legacy_base={self.path("bundle.tar")}')


def main() -> None:
    built = pathlib.Path(sys.argv[1])
    check_members(built)
    check_images(built)
    if (built / 'files.txt').read_text().split() != FILES:
        sys.exit(f'files.txt does not have {FILES}')
    with tempfile.TemporaryDirectory() as directory:
        check = Check(built, pathlib.Path(directory))
        app = check.check_app()
        check.check_debug()
        site = check.check_site()
        check.check_bundle(app, site)
        check.check_chosen()


main()
