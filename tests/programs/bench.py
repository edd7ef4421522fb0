# SPDX-License-Identifier: Apache-2.0
"""Prints the time and memory of building and joining images, as ratios to other programs.

Usage: bench.py. The directory for temporary files, which TMPDIR can set, needs 25 GiB of space.
Each figure is the median of several runs, which alternate with the runs of the other program. As
root, it also measures on XFS and Btrfs in loop mounts, if mkfs.xfs and mkfs.btrfs are installed.
"""

import contextlib
import importlib.util
import mmap
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

import bench_images
from bench_images import MIB, ROOT, Image, Layer, join, make_layer, program, sh

sys.path.insert(0, str(ROOT / 'tools'))

import make_dist

PROGRAMS = make_dist.PROGRAMS
RUNS = 5
MOST_MEMORY = 8 << 30  # bytes; twice the largest output
FILE_SYSTEMS = {'xfs': 'XFS', 'btrfs': 'Btrfs'}

INFLATE = """
import sys, zlib
inflater = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
with open(sys.argv[1], 'rb') as f:
    data = f.read(1 << 17)
    while data:
        inflater.decompress(data, 1 << 20)
        data = inflater.unconsumed_tail or f.read(1 << 17)
"""

HISTORY_ENTRIES = 38000
PARSE = """
import json, sys
for _ in range(2):
    with open(sys.argv[1]) as f:
        json.load(f)
"""


# Measuring.


class Run(NamedTuple):
    """The figures of one run: seconds, and the peak of memory in MiB."""

    seconds: float
    memory: float


def timed(command):
    start = time.perf_counter()
    # Not with subprocess, whose children start with the peak of the parent's memory as their own.
    pid = os.fork()
    if not pid:
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.execvp(command[0], command)
        finally:
            os._exit(127)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - start
    if status:
        sys.exit(f'bench: {command} failed')
    return Run(seconds, usage.ru_maxrss / 1024)


def warm_up(paths):
    """Makes the system have free memory, and the files in its cache, before a measurement.

    Otherwise the measurement includes the disk, and the host of a virtual machine, which may take
    long to give it memory.

    Args:
        paths: the files, and directories with files.
    """
    free = os.sysconf('SC_AVPHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    files = [file for path in paths for file in (path.rglob('*') if path.is_dir() else [path])]
    wanted = 3 * sum(file.lstat().st_size for file in files)
    pid = os.fork()
    if not pid:
        try:
            flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
            mmap.mmap(-1, min(free, wanted, MOST_MEMORY), flags=flags)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    sh('find', *paths, '-type', 'f', '-exec', 'cat', '{}', '+')


def measure(directory, commands, runs=RUNS, settles=True, at_hand=()):
    """Runs commands in turn, each of which writes to the directory `out`; returns all runs.

    Args:
        directory: where `out` is created.
        commands: the commands.
        runs: the runs of each command, after one that must print nothing and is not counted.
        settles: whether sync runs before each run.
        at_hand: files for warm_up() before each run.
    """
    out = directory / 'out'
    results = [[] for _ in commands]
    for number in range(runs + 1):
        for command, result in zip(commands, results, strict=True):
            out.mkdir()
            if settles:
                sh('sync')
            if at_hand:
                warm_up(at_hand)
            if number == 0:
                sh(*command)
            else:
                result.append(timed(command))
            shutil.rmtree(out)
    return results


def seconds(runs):
    return statistics.median(run.seconds for run in runs)


def memory(runs):
    return max(run.memory for run in runs)


def ratio(runs, others, start_up=0):
    """Returns the time of the runs without the start-up, as a multiple of that of the others."""
    pairs = zip(runs, others, strict=True)
    return statistics.median((run.seconds - start_up) / other.seconds for run, other in pairs)


def slower(runs, others):
    """Returns of each pair of runs the one that took longer."""
    pairs = zip(runs, others, strict=True)
    return [max(pair, key=lambda run: run.seconds) for pair in pairs]


def added_ratio(runs, without, others):
    """Returns the time that the runs take longer than those without, as a multiple of others."""
    triples = zip(runs, without, others, strict=True)
    return statistics.median((a.seconds - b.seconds) / c.seconds for a, b, c in triples)


# Printing.


def row(*cells):
    print('| ' + ' | '.join(str(cell) for cell in cells) + ' |', flush=True)


def head(*cells):
    row(*cells)
    row(*['---'] * len(cells))


def compare(title, directory, tool, others, at_hand=()):
    """Prints a row; returns the runs of the tool and of the first of the others.

    The tool alternates with each of the others separately: after a slow one, a virtual machine may
    have to ask its host for memory again.
    """
    cells = dict.fromkeys(('cp', 'GNU tar', 'bsdtar', 'Skopeo'), '')
    pairs = []
    runs = RUNS
    for name, command in others.items():
        if shutil.which(command[0]):
            pairs.append(measure(directory, [tool, command], runs, at_hand=at_hand))
            runs = 3
            cells[name] = f'{ratio(*pairs[-1]):.2f}'
    tool_runs = pairs[0][0]
    row(title, f'{seconds(tool_runs):.2f} s', *cells.values(), f'{memory(tool_runs):.0f} MiB')
    return pairs[0]


class Targets:
    """The figures that have a target; they are printed at the end."""

    def __init__(self):
        self._rows = []

    def add(self, title, figure, target, runs):
        cells = f'{figure:.2f}', target, f'{seconds(runs):.2f} s', f'{memory(runs):.0f} MiB'
        self._rows.append((title, *cells))

    def print(self):
        head('', 'measured', 'target', 'seconds', 'peak memory')
        for cells in self._rows:
            row(*cells)


# Measurements.


def skopeo(archive, output):
    source = f'docker-archive:{archive}'
    return ['skopeo', 'copy', '--quiet', source, f'docker-archive:{output}:bench/copy:1']


def start_up(directory, targets):
    """Returns the seconds that each program takes to start and do almost nothing."""
    out = directory / 'out'
    layer = make_layer(directory / 'small', 0)
    image = Image(directory, 'small', [layer])
    archive = image.save()
    commands = {
        'create_image': image.build(out / 'image.tar'),
        'create_image_config': program('create_image_config', f'--output={out}/config.json'),
        'join_layers': join(out / 'all.tar', [archive]),
        'build_tar': program('build_tar', f'--output={out}/layer.tar'),
        'build_image': program('build_image', f'--output={out}/image.tar'),
    }
    files = {**make_dist.read_project(), **make_dist.read_absl()}
    applications = []
    for name, (python, _, *arguments) in commands.items():
        application = directory / name
        application.write_bytes(make_dist.make_application(name, files))
        applications.append([python, application, *arguments])
    imports = [sys.executable, '-c', 'from absl import app, flags']
    all_commands = [imports, *commands.values(), *applications]
    importing, *results = measure(directory, all_commands, runs=30, settles=False)
    from_checkout = dict(zip(commands, results[: len(commands)], strict=True))
    from_dist = dict(zip(commands, results[len(commands) :], strict=True))
    for name, target in zip(commands, (1.2, 1.3, 1.3, 1.2, 1.2), strict=True):
        figure = ratio(from_checkout[name], importing)
        title = f'start-up of {name} / import of absl.app and flags'
        targets.add(title, figure, target, from_checkout[name])
    for name in commands:
        figure = ratio(from_dist[name], from_checkout[name])
        targets.add(f'start-up of dist/{name} / checkout', figure, 2, from_dist[name])
    return {name: seconds(runs) for name, runs in from_checkout.items()}


def gnu_tar(directory):
    """Returns the command that packs the directory `files` as build_tar does, into `out`."""
    command = ['tar', '--format=gnu', '--sort=name', '--mtime=@0', '--numeric-owner']
    return [*command, '-C', directory, '-cf', directory / 'out' / 'layer.tar', 'files']


def whole_images(directory, targets, start_ups, name, target):
    """Images of 1 GiB of files, the whole way, beside GNU tar alone.

    Args:
        directory: a directory on the file system to measure on.
        targets: gets the figure.
        start_ups: what start_up() returned.
        name: the name of the file system.
        target: what the ratio may be at most.
    """
    files = directory / 'files'
    bench_images.make_files(files, 1, 1024 * MIB)
    output = directory / 'out' / 'image.tar'
    tool = program('build_image', f'--output={output}', f'--file={files}=files', '--tag=bench/i:1')
    runs, packing = measure(directory, [tool, gnu_tar(directory)], at_hand=[files])
    title = f'build_image, 1 GiB of files on {name}, beyond start-up / GNU tar'
    targets.add(title, ratio(runs, packing, start_ups['build_image']), target, runs)
    shutil.rmtree(files)


class Builder(NamedTuple):
    """Another way from files to an archive.

    Attributes:
        program: the program that it needs.
        script: commands for a shell in the directory with `files` and `out`; they make
            out/image.tar.
    """

    program: str
    script: str


BUILDERS = {
    'buildah copy and commit': Builder(
        'buildah',
        """
        buildah() { command buildah --root "$PWD/out/root" --runroot "$PWD/out/run" "$@"; }
        container=$(buildah from scratch) && buildah copy --quiet "$container" files /files &&
        buildah commit --quiet "$container" docker-archive:out/image.tar:bench/i:1 &&
        buildah rm "$container"
        """,
    ),
    'crane append': Builder(
        'crane',
        """
        tar --format=gnu --sort=name -cf out/layer.tar files &&
        crane append --new_layer=out/layer.tar --new_tag=bench/i:1 --output=out/image.tar
        """,
    ),
    'crane append and mutate': Builder(
        'crane',
        """
        image=127.0.0.1:5017/bench/i:1
        crane registry serve --address="${image%%/*}" & server=$!
        trap 'kill "$server"' EXIT
        until crane catalog "${image%%/*}"; do sleep 0.05; done
        tar --format=gnu --sort=name -cf out/layer.tar files &&
        crane append --new_layer=out/layer.tar --new_tag="$image" &&
        crane mutate --label=a=b --output=out/image.tar "$image"
        """,
    ),
    'docker build and save': Builder(
        'docker',
        """
        printf 'FROM scratch\\nCOPY . /files\\n' |
        docker build --quiet --no-cache --tag=bench/i:1 --file=- files &&
        docker save --output=out/image.tar bench/i:1 && docker rmi --force bench/i:1
        """,
    ),
    'GNU tar, sha256sum and GNU tar, which makes no image': Builder(
        'tar',
        """
        tar --format=gnu --sort=name -cf out/layer.tar files && sha256sum out/layer.tar &&
        tar --format=gnu -C out -cf out/image.tar layer.tar
        """,
    ),
    'umoci insert and skopeo copy': Builder(
        'umoci',
        """
        umoci init --layout=out/layout && umoci new --image=out/layout:i &&
        umoci insert --image=out/layout:i files /files &&
        skopeo copy --quiet oci:out/layout:i docker-archive:out/image.tar:bench/i:1
        """,
    ),
}


def builders(directory):
    """Prints how long other builders take for an archive that loads, of 1 GiB in 1,000 files."""
    files = directory / 'files'
    bench_images.make_files(files, 1000, MIB)
    output = directory / 'out' / 'image.tar'
    tool = program('build_image', f'--output={output}', f'--file={files}=files', '--tag=bench/i:1')
    print('\nFrom 1 GiB in 1,000 files to an archive that loads\n')
    head('', 'seconds', '/ build_image', 'peak memory')
    for name, builder in BUILDERS.items():
        if not shutil.which(builder.program):
            row(name, 'not installed', '', '')
            continue
        info = [builder.program, 'info']
        if builder.program == 'docker' and subprocess.run(info, capture_output=True).returncode:
            row(name, 'no daemon', '', '')
            continue
        quiet = f'cd "$0" && {{ {builder.script.strip()}; }} > out/log 2>&1'
        theirs, ours = measure(directory, [['sh', '-c', quiet, directory], tool], runs=3)
        figures = f'{seconds(theirs):.2f} s', f'{ratio(theirs, ours):.1f}'
        row(name, *figures, f'{memory(theirs):.0f} MiB')
        row('build_image beside it', f'{seconds(ours):.2f} s', '1', f'{memory(ours):.0f} MiB')
    shutil.rmtree(files)


def made_layers(directory, targets, start_ups):
    """Layers of files, beside GNU tar, and on a base of 1 GiB with 50,000 files."""
    out = directory / 'out'
    files = directory / 'files'
    packing = gnu_tar(directory)
    for count, size, target in ((1, 1024 * MIB, 1), (100_000, 15_000, 4)):
        bench_images.make_files(files, count, size)
        tool = program('build_tar', f'--output={out}/layer.tar', f'--file={files}=files')
        title = f'build_tar, {count} files of {size} bytes'
        runs, others = compare(title, directory, tool, {'GNU tar': packing}, at_hand=[files])
        figure = ratio(runs, others, start_ups['build_tar'])
        targets.add(f'{title}, beyond start-up / GNU tar', figure, target, runs)
        sh(*packing[:-2], directory / 'layer.tar', 'files')
        layer = bench_images.layer_at(directory / 'layer.tar')
        verified_layer(directory, targets, layer, title.removeprefix('build_tar, '))
        layer.path.unlink()
        shutil.rmtree(files)
    bench_images.make_files(files, 50_000, 21_000)
    sh(*packing[:-2], directory / 'layer.tar', 'files')
    layer = bench_images.layer_at(directory / 'layer.tar')
    base = Image(directory, 'many_files', [layer]).save()
    tool = program('build_tar', f'--output={out}/layer.tar', '--empty_file=files/x')
    commands = [[*tool, f'--base={base}'], tool]
    with_base, without = measure(directory, commands, settles=False, at_hand=[base])
    pairs = zip(with_base, without, strict=True)
    figure = statistics.median(one.seconds - other.seconds for one, other in pairs)
    title = 'build_tar, what a plain base of 1 GiB and 50,000 files adds, in seconds'
    targets.add(title, figure, 1, with_base)
    shutil.rmtree(files)


def verified_layer(directory, targets, layer, title):
    """An image of one layer with --verify, beside hashing and copying the layer."""
    out = directory / 'out'
    target = 1.2 if title.startswith('1 ') else 1.3
    commands = [
        Image(directory, 'verified', [layer]).build(out / 'image.tar', '--verify'),
        ['openssl', 'dgst', '-sha256', layer.path],
        ['cp', layer.path, out / 'copy'],
    ]
    verified, hashing, copying = measure(directory, commands, at_hand=[layer.path])
    figure = ratio(verified, slower(hashing, copying))
    title = f'--verify of a layer of {title} / the longer of openssl dgst and cp'
    targets.add(title, figure, target, verified)


def layers(directory, targets, start_ups):
    """Images with layers; returns an image of 1 GiB."""
    out = directory / 'out'
    parts = directory / 'layers'
    parts.mkdir()
    many = [make_layer(parts / f'{number}', 10) for number in range(100)]
    others = {
        'cp': ['cp', '-r', parts, out / 'copy'],
        'GNU tar': ['tar', '-C', directory, '-cf', out / 'copy', 'layers'],
    }
    tool = Image(directory, 'many', many).build(out / 'image.tar')
    compare('100 layers of 10 MiB', directory, tool, others)
    shutil.rmtree(parts)
    for size in 64, 1024:
        layer = make_layer(directory / f'layer{size}', size)
        image = Image(directory, f'image{size}', [layer])
        tool = image.build(out / 'image.tar')
        others = {
            'cp': ['cp', layer.path, out / 'copy'],
            'GNU tar': ['tar', '-C', directory, '-cf', out / 'copy', layer.path.name],
        }
        runs, copying = compare(f'1 layer of {size} MiB', directory, tool, others)
    figure = ratio(runs, copying, start_ups['create_image'])
    targets.add('1 GiB beyond start-up / cp', figure, 1.1, runs)
    with_oci, without = measure(directory, [[*tool, '--oci'], tool], runs=11)
    figure = ratio(with_oci, without)
    targets.add('1 GiB with --oci / without', figure, 1.02, with_oci)
    return image


def bases(directory, targets, below):
    """Images on a base of 1 GiB."""
    out = directory / 'out'
    base = below.save()
    small = make_layer(directory / 'small', 0)
    on_base = Image(directory, 'on_base', [small], base)
    others = {
        'cp': ['cp', base, out / 'copy'],
        'bsdtar': ['bsdtar', '-cf', out / 'copy', f'@{base}'],
        'Skopeo': skopeo(base, out / 'copy'),
    }
    compare('a base of 1024 MiB', directory, on_base.build(out / 'image.tar'), others)
    layer = make_layer(directory / 'second', 1024)
    image = Image(directory, 'second', [layer], base)
    unwritten = image.build(os.devnull)
    digesting = ['sha256sum', below.layers[0].path, layer.path]
    verified, plain, digested = measure(directory, [[*unwritten, '--verify'], unwritten, digesting])
    figure = added_ratio(verified, plain, digested)
    title = 'what --verify adds for 1 GiB on 1 GiB / sha256sum of both'
    targets.add(title, figure, 1, verified)
    layer.path.unlink()
    small_base = Image(directory, 'small_base', [small]).save()
    configure = program('create_image_config', f'--output={out}/config.json')
    commands = [[*configure, f'--base={path}'] for path in (base, small_base)]
    large, little = measure(directory, commands, runs=30, settles=False)
    title = 'create_image_config on 1 GiB / on a small base'
    targets.add(title, ratio(large, little), 1, large)


def members(directory, targets, start_ups):
    """Bases with many members."""
    out = directory / 'out'
    layer = make_layer(directory / 'small', 0)
    for count in 1000, 10000:
        base = Image(directory, f'members{count}', [layer]).save()
        bench_images.add_members(base, count)
        tool = Image(directory, 'on_members', [layer], base).build(out / 'image.tar')
        others = {'bsdtar': ['bsdtar', '-cf', out / 'copy', f'@{base}']}
        title = f'a base of {count} members'
        runs, copying = compare(title, directory, tool, others)
        figure = ratio(runs, copying, start_ups['create_image'])
        target = 6 if count == 10000 else ''
        targets.add(f'{title}, beyond start-up / bsdtar', figure, target, runs)


def long_history(directory, targets):
    """An image on a base whose configuration has 3.8 MB of history."""
    layer = make_layer(directory / 'small', 0)
    base = Image(directory, 'history', [layer])
    base.add_history(HISTORY_ENTRIES)
    above = Image(directory, 'on_history', [layer], base.save())
    tool = above.build(directory / 'out' / 'image.tar')
    parse = [sys.executable, '-c', PARSE, above.config]
    plain, whole, parsing = measure(directory, [tool, [*tool, '--oci', '--verify'], parse], runs=3)
    for more, runs in ('', plain), (' --oci --verify', whole):
        title = f'a base with {HISTORY_ENTRIES} entries of history{more} / json.loads() of it twice'
        targets.add(title, ratio(runs, parsing), '', runs)


def compressed_base(directory, targets):
    """An image on a base compressed by gzip."""
    blocks = bench_images.compressible_blocks
    layer = make_layer(directory / 'compressible', 1024, blocks)
    base = Image(directory, 'plain', [layer]).save()
    sh('gzip', '-1', base)
    layer.path.unlink()
    compressed = base.with_name(f'{base.name}.gz')
    small = make_layer(directory / 'small', 0)
    tool = Image(directory, 'on_gzip', [small], compressed).build(directory / 'out' / 'image.tar')
    inflate = [sys.executable, '-c', INFLATE, compressed]
    to_a_file = ['sh', '-c', 'gzip -dc "$1" >"$2"', 'sh', compressed, directory / 'out' / 'plain']
    commands = [tool, [*tool, '--verify'], inflate, to_a_file]
    plain, verified, by_zlib, by_gzip = measure(directory, commands, runs=3)
    has_isal = importlib.util.find_spec('isal') is not None
    title = f'a gzip base of 1 GiB, by {"isal" if has_isal else "zlib"}'
    for more, target, runs in ('', 0.9, plain), (', --verify', '', verified):
        target = 0.5 if has_isal else target
        targets.add(f'{title}{more} / inflating it by zlib alone', ratio(runs, by_zlib), '', runs)
        targets.add(f'{title}{more} / gzip -dc to a file', ratio(runs, by_gzip), target, runs)
    compressed.unlink()


def compressed_layer(directory, targets):
    """An image with a layer compressed by gzip, with --verify."""
    plain = make_layer(directory / 'gzip_layer', 512, bench_images.compressible_blocks)
    sh('gzip', '-1', plain.path)
    layer = Layer(plain.path.with_name(f'{plain.path.name}.gz'), plain.diff_id)
    image = Image(directory, 'of_gzip', [layer])
    tool = image.build(directory / 'out' / 'image.tar', '--verify')
    inflate = ['gzip', '-dc', layer.path]
    verified, inflated = measure(directory, [tool, inflate], runs=3, at_hand=[layer.path])
    has_isal = importlib.util.find_spec('isal') is not None
    title = f'--verify of a gzip layer of 512 MiB, by {"isal" if has_isal else "zlib"} / gzip -dc'
    targets.add(title, ratio(verified, inflated), 0.5 if has_isal else '', verified)
    layer.path.unlink()


def joins(directory, targets, start_ups):
    """Joined archives."""
    out = directory / 'out'
    archives = []
    for number in range(4):
        layer = make_layer(directory / f'joined{number}', 1024)
        archives.append(Image(directory, f'image_{number}', [layer]).save())
        layer.path.unlink()
    whole = directory / 'joined.tar'
    sh(*join(whole, archives))
    others = {
        'cp': ['cp', whole, out / 'copy'],
        'bsdtar': ['bsdtar', '-cf', out / 'copy', *(f'@{path}' for path in archives)],
    }
    tool = join(out / 'all.tar', archives)
    title = '4 archives of 1024 MiB, joined'
    runs, copying = compare(title, directory, tool, others, at_hand=[whole, *archives])
    figure = ratio(runs, copying, start_ups['join_layers'])
    targets.add('a join of 4 GiB beyond start-up / cp', figure, 1.15, runs)
    for path in whole, *archives[1:]:
        path.unlink()
    small = make_layer(directory / 'small', 0)
    above = Image(directory, 'above', [small], archives[0]).save()
    other = Image(directory, 'other', [small]).save()
    shared = join(out / 'all.tar', [archives[0], above])
    alone = join(out / 'all.tar', [archives[0], other])
    reading = ['cat', archives[0], above]
    commands = [shared, alone, reading]
    compared, copied, read = measure(directory, commands, at_hand=[archives[0], above, other])
    figure = added_ratio(compared, copied, read)
    title = 'what comparing a shared layer of 1 GiB adds / reading both'
    targets.add(title, figure, '', compared)
    for path in archives[0], above:
        path.unlink()


@contextlib.contextmanager
def mounted(directory, kind):
    """Mounts an empty file system of 16 GiB."""
    image, mount = directory / 'image', directory / 'mount'
    with image.open('wb') as f:
        f.truncate(16 << 30)
    mount.mkdir()
    sh(f'mkfs.{kind}', '-q', image)
    sh('mount', '-o', 'loop', image, mount)
    try:
        yield mount
    finally:
        sh('umount', mount)
        mount.rmdir()
        image.unlink()


def new_disk(directory, command):
    """Returns the KiB by which a command makes the file system grow."""
    (directory / 'out').mkdir()
    sh('sync', '-f', directory)
    before = os.statvfs(directory)
    sh(*command)
    sh('sync', '-f', directory)
    after = os.statvfs(directory)
    shutil.rmtree(directory / 'out')
    return (before.f_bfree - after.f_bfree) * before.f_frsize // 1024


def sharing(directory, name, targets):
    """Prints the rows for a file system that shares blocks, with its growth in place of cp."""
    out = directory / 'out'
    small = Image(directory, 'small', [make_layer(directory / 'layer64', 64)])
    large = Image(directory, 'large', [make_layer(directory / 'layer4096', 4096)])
    base = large.save()
    on_base = Image(directory, 'on_base', small.layers, base)
    commands = {
        '1 layer of 64 MiB': small.build(out / 'image.tar'),
        '1 layer of 4096 MiB': large.build(out / 'image.tar'),
        '1 layer of 4096 MiB, --oci': large.build(out / 'image.tar', '--oci'),
        'a base of 4096 MiB': on_base.build(out / 'image.tar'),
        'a base of 4096 MiB, --oci': on_base.build(out / 'image.tar', '--oci'),
        'archives of 64 and 4096 MiB, joined': join(out / 'all.tar', [small.save(), base]),
    }
    results = dict(zip(commands, measure(directory, list(commands.values())), strict=True))
    grown = []
    for title, command in commands.items():
        runs = results[title]
        grown.append(new_disk(directory, command))
        row(title, f'{seconds(runs):.3f} s', f'{grown[-1]} KiB', f'{memory(runs):.0f} MiB')
    one, other = results['1 layer of 4096 MiB'], results['1 layer of 64 MiB']
    targets.add(f'{name}: 4 GiB / 64 MiB', ratio(one, other), 1.2, one)
    targets.add(f'{name}: most new disk, in MiB', max(grown) * 1024 / MIB, 1, one)


def main():
    os.environ.pop('PYTHONDONTWRITEBYTECODE', None)  # start-up is measured with compiled modules
    targets = Targets()
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        start_ups = start_up(directory, targets)
        print('On the ordinary file system: seconds, and times those of other programs\n')
        head('', 'seconds', '/ cp', '/ GNU tar', '/ bsdtar', '/ Skopeo', 'peak memory')
        made_layers(directory, targets, start_ups)
        whole_images(directory, targets, start_ups, 'the ordinary file system', 1.6)
        image = layers(directory, targets, start_ups)
        bases(directory, targets, image)
        members(directory, targets, start_ups)
        long_history(directory, targets)
        joins(directory, targets, start_ups)
        compressed_base(directory, targets)
        compressed_layer(directory, targets)
        builders(directory)
        for kind, title in FILE_SYSTEMS.items():
            print(f'\nOn {title}\n')
            if os.geteuid() == 0 and shutil.which(f'mkfs.{kind}'):
                head('', 'seconds', 'new disk', 'peak memory')
                with mounted(directory, kind) as mount:
                    sharing(mount, title, targets)
                    whole_images(mount, targets, start_ups, title, 1.1)
            else:
                print(f'not measured: it takes root and mkfs.{kind}')
    print('\nTargets\n')
    targets.print()


if __name__ == '__main__':
    main()
