# SPDX-License-Identifier: Apache-2.0
"""Small random images: layers with members of all kinds, configurations, tags.

The same seed gives the same image. About half of the images have something odd.
"""

import random
import tarfile

from support.images import Parts, configuration
from support.tars import DIR, HARD, LINK, member, pax, sha256, sparse, tar_of

TAG = 'example/random:1'
# Names that come again in several layers, so that layers change each other's files.
DIRECTORIES = ['a', 'a/b', 'a/b/c', 'd', 'usr', 'usr/bin', 'etc']
NAMES = ['f', 'g', 'x y', 'ü', 'n' * 120, '.hidden', '-dash', 'back\\slash', '*', 'é' * 60]
ATTRIBUTES = [b'user.a', b'security.b', b'trusted.c']
ODD_ATTRIBUTES = [b'com.apple.x', b'x', b'system2.a']
# Values of a configuration that clients do not all take.
ODD_CONFIGS = [
    {'Env': 'A=1'},
    {'Cmd': [1]},
    {'ExposedPorts': {'8000-8010/tcp': {}}},
    {'ExposedPorts': {'http': {}}},
    {'Labels': {'a': 1}},
    {'Volumes': []},
    {'WorkingDir': 5},
]
SOUND_CONFIGS = [
    {},
    {'Env': ['A=1', 'B=x y'], 'Cmd': ['/f']},
    {'Entrypoint': ['/f'], 'Labels': {'a': 'b', '': ''}},
    {'ExposedPorts': {'80/tcp': {}, '53/udp': {}}, 'Volumes': {'/v': {}}},
    {'User': '1000:1000', 'WorkingDir': '/d', 'StopSignal': 'SIGTERM'},
]
ODD_TAGS = ['Upper/x:1', 'x', 'x:' + 'y' * 200, 'x@y:1', 'x y:1', ':1']


class _Layer:
    """The members of a layer, made one after the other."""

    def __init__(self, rng, is_odd):
        self.rng = rng
        self.is_odd = is_odd
        self.members = []
        self.kinds = {}  # of the paths so far
        self.links = []  # paths of symbolic links
        for _ in range(rng.randint(1, 8)):
            self._add()
        if is_odd:
            self._add_odd()

    def _new_path(self, parents=DIRECTORIES):
        """Returns a path that did not come, below no file, link or whiteout of the layer."""
        while True:
            directory = self.rng.choice(['', *parents])
            name = self.rng.choice(NAMES)
            path = f'{directory}/{name}'.lstrip('/')
            above = [path[:index] for index, char in enumerate(path) if char == '/']
            if path not in self.kinds and all(
                self.kinds.get(one, 'directory') == 'directory' for one in above
            ):
                return path

    def _spelled(self, path):
        return self.rng.choice(['', '', '', './', '/', './/']) + path

    def _fields(self):
        rng = self.rng
        fields = {
            'mode': rng.choice([0o644, 0o755, 0o600, 0, 0o4755, 0o2755, 0o1777, 0o7777]),
            'uid': rng.choice([0, 0, 1000, 65534, 3_000_000]),
            'gid': rng.choice([0, 0, 1000, 3_000_000]),
            'uname': rng.choice(['', 'root', 'nobody', 'ü']),
            'mtime': rng.choice([0, 1, 1_500_000_000, 2**33]),
            'dialect': rng.choice([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
        }
        if fields['dialect'] == tarfile.PAX_FORMAT and rng.random() < 0.5:
            fields['mtime'] = rng.choice([1.5, -1, 1_500_000_000.25])
        return fields

    def _add(self):
        """Adds a sound member."""
        rng = self.rng
        make = rng.choice(
            [
                self._file,
                self._file,
                self._directory,
                self._symbolic_link,
                self._hard_link,
                self._device,
                self._attribute,
                self._whiteout,
                self._opaque,
                self._replace,
                self._sparse_pax,
                self._below_link,
                self._global_header,
            ]
        )
        make()

    def _put(self, path, kind, data):
        self.kinds[path] = kind
        above = path.rpartition('/')[0]
        while above and above not in self.kinds:
            self.kinds[above] = 'directory'
            above = above.rpartition('/')[0]
        self.members.append(data)

    def _file(self):
        path = self._new_path()
        data = self.rng.choice([b'', b'x', b'y' * 512, b'z' * 5000])
        self._put(path, 'file', member(self._spelled(path), data, **self._fields()))

    def _directory(self):
        free = [path for path in DIRECTORIES if path not in self.kinds]
        free = [path for path in free if path.rpartition('/')[0] in ('', *self._directories())]
        if free:
            path = self.rng.choice(free)
            name = self._spelled(path) + self.rng.choice(['', '/'])
            self._put(path, 'directory', member(name, kind=DIR, **self._fields()))

    def _directories(self):
        return [path for path, kind in self.kinds.items() if kind == 'directory']

    def _symbolic_link(self):
        path = self._new_path()
        target = self.rng.choice(['f', '/etc/f', '../f', 'nowhere', '.', '/', 't' * 200, 'ü'])
        self._put(path, 'link', member(self._spelled(path), kind=LINK, link=target))
        self.links.append(path)

    def _hard_link(self):
        files = [path for path, kind in self.kinds.items() if kind in ('file', 'link', 'device')]
        if files:
            target = self.rng.choice(files)
            path = self._new_path()
            data = member(self._spelled(path), kind=HARD, link=self._spelled(target))
            self._put(path, self.kinds[target], data)

    def _device(self):
        kind = self.rng.choice([tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
        path = self._new_path()
        numbers = {} if kind == tarfile.FIFOTYPE else {'devmajor': 1, 'devminor': 3}
        self._put(path, 'device', member(path, kind=kind, **numbers))

    def _attribute(self):
        record = b'SCHILY.xattr.' + self.rng.choice(ATTRIBUTES) + b'=x'
        path = self._new_path()
        self._put(path, 'file', pax(record) + member(path, b'x'))

    def _whiteout(self):
        path = self._new_path()
        directory, _, name = path.rpartition('/')
        hidden = f'{directory}/.wh.{name}'.lstrip('/')
        if len(name.encode()) < 200 and hidden not in self.kinds:
            self._put(hidden, 'whiteout', member(hidden))
            self.kinds[path] = 'whited out'  # nothing may follow below it

    def _opaque(self):
        free = [path for path in DIRECTORIES if path not in self.kinds]
        if free:
            path = self.rng.choice(free)
            if path.rpartition('/')[0] in ('', *self._directories()):
                self._put(path, 'directory', member(path, kind=DIR, mode=0o755))
                self._put(f'{path}/.wh..wh..opq', 'whiteout', member(f'{path}/.wh..wh..opq'))

    def _replace(self):
        """Adds a file in place of what another layer may have as a directory."""
        free = [path for path in DIRECTORIES if path not in self.kinds]
        free = [path for path in free if path.rpartition('/')[0] in ('', *self._directories())]
        if free:
            path = self.rng.choice(free)
            self._put(path, 'file', member(path, b'replaces'))

    def _sparse_pax(self):
        path = self._new_path()
        records = [b'GNU.sparse.size=1024', b'GNU.sparse.numblocks=1', b'GNU.sparse.map=0,512']
        self._put(path, 'file', pax(*records) + member(path, bytes(512)))

    def _below_link(self):
        """Adds a file below a link to a directory of the layer."""
        directories = [path for path in self._directories() if path not in ('', 'usr/bin')]
        link = self.rng.choice(['lnk', 'a/lnk', 'lnk2'])
        if directories and link not in self.kinds and self.kinds.get('a') in (None, 'directory'):
            target = '/' + self.rng.choice(directories)
            self._put(link, 'link', member(link, kind=LINK, link=target))
            name = f'{link}/below{len(self.kinds)}'
            self.members.append(member(name, b'below'))

    def _global_header(self):
        self.members.append(pax(b'comment=x', kind=tarfile.XGLTYPE))

    def _add_odd(self):
        """Adds a member that some client may not unpack."""
        rng = self.rng
        paths = list(self.kinds)
        files = [path for path, kind in self.kinds.items() if kind == 'file']
        some = rng.choice(files) if files else 'f'
        odd = [
            lambda: member(rng.choice(paths), b'again'),
            lambda: member('./' + rng.choice(paths), kind=DIR),
            lambda: member(f'{some}/below', b'x'),
            lambda: member('hard', kind=HARD, link='not/there'),
            lambda: member('hard', kind=HARD, link=rng.choice(DIRECTORIES)),
            lambda: member('../out', b'x'),
            lambda: member('/a/../../out', b'x'),
            lambda: member('a/../f2', b'x'),
            lambda: member('.wh.', b''),
            lambda: member('.wh..', b''),
            lambda: member(f'.wh.{some.split("/")[0]}', b''),
            lambda: member('.wh.zz') + member('zz/y', b'x'),
            lambda: member('.wh.zz') + member('zz', kind=DIR) + member('zz/.wh.y'),
            lambda: member('.wh..wh.plnk', kind=DIR),
            lambda: member('.wh..wh.other', b''),
            lambda: member('odd', kind=rng.choice([b'7', b'Z', b'M', b'D', b'V', b'A', b'N'])),
            lambda: member('q' * rng.choice([255, 256]), b'x'),
            lambda: member('/'.join(['d' * 100] * rng.choice([20, 42])), b'x'),
            lambda: pax(b'SCHILY.xattr.' + rng.choice(ODD_ATTRIBUTES) + b'=x') + member('o', b'x'),
            lambda: (
                pax(b'SCHILY.xattr.' + rng.choice(ATTRIBUTES) + b'=x')
                + member('o', kind=LINK, link='x')
            ),
            lambda: (
                pax(b'SCHILY.xattr.' + rng.choice(ATTRIBUTES) + b'=x')
                + member('o', kind=tarfile.FIFOTYPE)
            ),
            lambda: pax(b'SCHILY.xattr.security.capability=x') + member('o', b'x'),
            lambda: sparse(512, (0, 512)),
            lambda: member('./', b'x'),
            lambda: member('/', kind=DIR, mode=0o700),
            lambda: member('dot/.', kind=DIR),
            lambda: member('esc', kind=LINK, link='../../..') + member('esc/x', b'x'),
            lambda: member('dang', kind=LINK, link='/gone') + member('dang/x', b'x'),
            lambda: member('loop', kind=LINK, link='loop') + member('loop/x', b'x'),
            lambda: member('n', kind=tarfile.CHRTYPE, devmajor=0, devminor=0),
            lambda: member('dev', kind=tarfile.BLKTYPE, devmajor=5000, devminor=70000),
            lambda: member('own', b'x', uid=2**31 + 5, gid=2**32 + 5),
            lambda: member('own', b'x', uid=2**21, dialect=tarfile.PAX_FORMAT),
            lambda: member('time', b'x', mtime=2**40),
            lambda: member('time', b'x', mtime=-(2**40), dialect=tarfile.PAX_FORMAT),
            lambda: pax(b'mtime=1e3') + member('time', b'x'),
            lambda: pax(b'size=1') + member('sized', b'x', size=0),
            lambda: pax(b'path=renamed') + member('named', b'x'),
            lambda: pax(b'path=') + member('named', b'x'),
            lambda: pax(b'linkpath=' + some.encode()) + member('l2', kind=LINK, link='x'),
            lambda: member('mode', b'x', mode=0o177777),
            lambda: member('sl', kind=LINK, link=''),
            lambda: member('sl', kind=LINK, link='l' * 4095),
            lambda: member('sl', kind=LINK, link='l' * 4096),
            lambda: member('slash/', b'x'),
            lambda: member('dir', b'data', kind=DIR),
            lambda: member('ctrl\x01\n', b'x'),
            lambda: member('bad\udcff', b'x'),
            lambda: member('nul', b'x', raw={'name': b'nul\0rest'}),
        ]
        self.members.append(rng.choice(odd)())


class RandomImage:
    """A random image in a directory.

    Attributes:
        parts: its parts.
        tag: its tag.
    """

    def __init__(self, directory, seed):
        rng = random.Random(seed)
        odd = rng.choice(['nothing', 'nothing', 'layer', 'layer', 'layer', 'config', 'tag'])
        self.tag = rng.choice(ODD_TAGS) if odd == 'tag' else TAG
        self.parts = Parts(directory, [{'lower': b'x'}])
        count = rng.randint(1, 3)
        for number in range(count):
            layer = _Layer(rng, is_odd=odd == 'layer' and number == count - 1)
            data = tar_of(*layer.members)
            path = directory / f'random{number}.tar'
            path.write_bytes(data)
            self.parts.layers.append((sha256(data), path))
        # A layer that comes twice would have one name for two files.
        self.parts.layers = list(dict(self.parts.layers).items())
        config = rng.choice(ODD_CONFIGS if odd == 'config' else SOUND_CONFIGS)
        self.parts.configure(configuration(self.parts.diff_ids, config))

    @property
    def flags(self):
        return [*self.parts.flags, f'--tag={self.tag}']
