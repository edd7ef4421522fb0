# SPDX-License-Identifier: Apache-2.0
"""Prints what assembling an image costs, as ratios to other programs in the same run.

Usage: bench.py, in a folder that TMPDIR may name, with 25 GiB of room. Each figure is the
median of runs that alternate with the runs that it is compared to. As root, and with
mkfs.xfs, it also measures on XFS, in a loop mount.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time

ROOT = pathlib.Path(__file__).absolute().parent.parent
TOOL = [sys.executable, ROOT / 'create_image.py']
MIB = 1 << 20
RUNS = 5


def sh(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def timed(command):
    """Runs a command; returns its seconds and its peak memory in MiB."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        sys.exit(f'bench: {command} failed')
    return seconds, usage.ru_maxrss / 1024


def measure(folder, commands, runs=RUNS):
    """Runs commands in turn, each writing to out; returns [(seconds, MiB)] for each."""
    out = folder / 'out'
    results = [[] for _ in commands]
    for run in range(runs + 1):
        for command, result in zip(commands, results, strict=True):
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            sh('sync')
            figures = timed(command)
            if run:  # the first only warms up
                result.append(figures)
    shutil.rmtree(out)
    return results


def seconds(result):
    return statistics.median(run[0] for run in result)


def ratio(result, other):
    return statistics.median(a[0] / b[0] for a, b in zip(result, other, strict=True))


def large_file(path, size):
    """Writes blocks that all differ, so that nothing can leave them out."""
    with path.open('wb') as f:
        for number in range(size // MIB):
            f.write(hashlib.sha256(b'%s %d' % (path.name.encode(), number)).digest() * (MIB // 32))
    return path


class Image:
    """The parts of an image in a folder, and the commands that assemble it."""

    def __init__(self, folder, layers):
        self.folder, self.layers = folder, layers
        folder.joinpath('config.json').write_text('{}')

    def tool(self, *flags, output='out/image.tar'):
        parts = [f'--id={"1" * 64}', f'--config={self.folder}/config.json', *flags]
        layers = [f'--layer={layer.name}={layer}' for layer in self.layers]
        return [*TOOL, f'--output={self.folder}/{output}', *parts, *layers]


def merge(folder, base):
    """Returns the command that merges a base into an image without layers of its own."""
    return Image(folder, []).tool(f'--id={"2" * 64}', f'--legacy_base={base}')


def row(*cells):
    print('| ' + ' | '.join(str(cell) for cell in cells) + ' |', flush=True)


def compare(title, folder, tool, others, runs=RUNS):
    """Prints a row; returns the results of the tool and of the first of the others.

    The tool takes turns with each of the others alone: after a slow one, a virtual machine
    may have to ask its host for memory anew.
    """
    cells = dict.fromkeys(('cp', 'GNU tar', 'bsdtar', 'Skopeo'), '')
    pairs = []
    for name, command in others.items():
        if shutil.which(command[0]):
            pairs.append(measure(folder, [tool, command], runs))
            cells[name] = f'{ratio(*pairs[-1]):.2f}'
    memory = max(run[1] for run in pairs[0][0])
    row(title, f'{seconds(pairs[0][0]):.2f} s', *cells.values(), f'{memory:.0f} MiB')
    return pairs[0]


def digest_of(path):
    digest = hashlib.sha256()
    with path.open('rb') as f:
        while block := f.read(MIB):
            digest.update(block)
    return digest.hexdigest()


def write_config(image):
    """Writes a configuration that names the image's layers, as Skopeo and --verify ask."""
    rootfs = {'type': 'layers', 'diff_ids': [f'sha256:{digest_of(x)}' for x in image.layers]}
    config = {'architecture': 'amd64', 'os': 'linux', 'config': {}, 'rootfs': rootfs}
    image.folder.joinpath('config.json').write_text(json.dumps(config))


def skopeo_image(image):
    """Writes an image that Skopeo takes, and returns the command that copies it."""
    write_config(image)
    sh(*image.tool(output='whole.tar'))
    copy = ['skopeo', 'copy', '--quiet', f'docker-archive:{image.folder}/whole.tar']
    return [*copy, f'docker-archive:{image.folder}/out/copy.tar:bench:1']


def digests(folder):
    """Returns what --verify adds for a layer of 1 GiB, in times of sha256sum."""
    layer = large_file(folder / 'layer', 1024 * MIB)
    image = Image(folder, [layer.rename(folder / digest_of(layer))])
    write_config(image)
    plain = image.tool('--output=/dev/null', f'--id={digest_of(folder / "config.json")}')
    commands = [*plain, '--verify'], plain, ['sha256sum', *image.layers]
    runs = zip(*measure(folder, commands), strict=True)
    image.layers[0].unlink()
    return statistics.median((verified[0] - a[0]) / b[0] for verified, a, b in runs)


def ordinary(folder, start_up):
    """The rows for the ordinary file system."""
    out = folder / 'out'
    for size, runs in ((64, RUNS), (1024, RUNS), (4096, 3)):
        image = Image(folder, [large_file(folder / 'layer', size * MIB)])
        others = {
            'cp': ['cp', image.layers[0], out / 'copy'],
            'GNU tar': ['tar', '-C', folder, '-cf', out / 'copy', 'layer'],
            'Skopeo': skopeo_image(image),
        }
        results = compare(f'1 layer of {size} MiB', folder, image.tool(), others, runs)
        if size == 1024:
            pairs = zip(*results, strict=True)
            beyond = statistics.median((a[0] - start_up) / b[0] for a, b in pairs)
    (folder / 'whole.tar').unlink()
    layers = folder / 'layers'
    layers.mkdir()
    image = Image(folder, [large_file(layers / f'{n}', 10 * MIB) for n in range(100)])
    others = {
        'cp': ['cp', '-r', layers, out / 'copy'],
        'GNU tar': ['tar', '-C', folder, '-cf', out / 'copy', 'layers'],
    }
    compare('100 layers of 10 MiB', folder, image.tool(), others)
    shutil.rmtree(layers)
    image = Image(folder, [large_file(folder / 'layer', 1024 * MIB)])
    copy = skopeo_image(image)
    others = {
        'cp': ['cp', folder / 'whole.tar', out / 'copy'],
        'bsdtar': ['bsdtar', '-cf', out / 'copy', f'@{folder}/whole.tar'],
        'Skopeo': copy,
    }
    compare('a base of 1024 MiB', folder, merge(folder, folder / 'whole.tar'), others)
    for count in (1000, 10000):
        base = folder / 'members.tar'
        with tarfile.open(base, 'w') as tar:
            for number in range(count):
                tar.addfile(tarfile.TarInfo(f'{number % 100}/{number}'))
        others = {'bsdtar': ['bsdtar', '-cf', out / 'copy', f'@{base}']}
        compare(f'a base of {count} members', folder, merge(folder, base), others)
    return beyond


@contextlib.contextmanager
def xfs(folder):
    """Mounts an empty XFS of 16 GiB."""
    image, mount = folder / 'xfs', folder / 'mount'
    with image.open('wb') as f:
        f.truncate(16 << 30)
    mount.mkdir()
    sh('mkfs.xfs', '-q', image)
    sh('mount', '-o', 'loop', image, mount)
    try:
        yield mount
    finally:
        sh('umount', mount)
        image.unlink()


def on_xfs(folder):
    """The rows for XFS, with new disk in place of programs that copy; returns their growth."""
    sizes = (64, 1024, 4096)
    images = [Image(folder, [large_file(folder / f'layer{n}', n * MIB)]) for n in sizes]
    commands = [image.tool() for image in images]
    sh(*images[-1].tool(output='whole.tar'))
    commands.append(merge(folder, folder / 'whole.tar'))
    titles = [*(f'1 layer of {size} MiB' for size in sizes), f'a base of {sizes[-1]} MiB']
    results = measure(folder, commands)
    for title, command, result in zip(titles, commands, results, strict=True):
        (folder / 'out').mkdir()
        sh('sync', '-f', folder)
        before = os.statvfs(folder)
        sh(*command)
        sh('sync', '-f', folder)
        disk = (before.f_bfree - os.statvfs(folder).f_bfree) * before.f_frsize // 1024
        shutil.rmtree(folder / 'out')
        memory = max(run[1] for run in result)
        row(title, f'{seconds(result):.3f} s', f'{disk} KiB', f'{memory:.0f} MiB')
    return ratio(results[2], results[0])


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        smallest = Image(folder, [])
        imports = [sys.executable, '-c', 'from absl import app, flags']
        tool, others = measure(folder, [smallest.tool(), imports], runs=40)
        start_up = seconds(tool)
        print('On the ordinary file system: seconds, and times those of other programs\n')
        row('', 'create_image', '/ cp', '/ GNU tar', '/ bsdtar', '/ Skopeo', 'peak memory')
        row(*['---'] * 7)
        beyond = ordinary(folder, start_up)
        digesting = digests(folder)
        print('\nOn XFS\n')
        growth = None
        if os.geteuid() == 0 and shutil.which('mkfs.xfs'):
            row('', 'create_image', 'new disk', 'peak memory')
            row(*['---'] * 4)
            with xfs(folder) as mount:
                growth = on_xfs(mount)
        else:
            print('not measured: it takes root and mkfs.xfs')
        print('\nTargets\n')
        row('', 'measured', 'target')
        row(*['---'] * 3)
        row('start-up / import of absl.app and flags', f'{ratio(tool, others):.2f}', '1.2')
        row('1 GiB beyond start-up / cp', f'{beyond:.2f}', '1.15')
        row('what --verify adds for 1 GiB / sha256sum', f'{digesting:.2f}', '1')
        if growth:
            row('XFS: 4 GiB / 64 MiB', f'{growth:.2f}', '1.2')


if __name__ == '__main__':
    main()
