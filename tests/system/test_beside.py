# SPDX-License-Identifier: Apache-2.0
"""Work beside the main thread: order, errors and bounds (section 17)."""

import contextlib
import hashlib
import threading
import time

import pytest

from image_archive.system import beside
from image_archive.tar.writer import LayerForm, TarFileWriter


@pytest.fixture(params=[1, 2], autouse=True)
def cores(request, monkeypatch):
    """The tests pass with one core, where no thread is started, and with two."""
    monkeypatch.setattr(beside, 'core_count', lambda: request.param)
    return request.param


def numbered(count, error=None):
    for number in range(count):
        yield b'%d' % number
    if error is not None:
        raise error


@pytest.mark.parametrize('count', [0, 1, 3, 4, 5, 1000])
def test_blocks_come_in_their_order(count):
    with beside.read_ahead(numbered(count)) as blocks:
        assert list(blocks) == list(numbered(count))


@pytest.mark.parametrize('count', [0, 1, 10])
def test_error_is_raised_behind_the_blocks_before_it(count):
    found = []
    with pytest.raises(OSError, match='broken'):
        with beside.read_ahead(numbered(count, OSError('broken'))) as blocks:
            for block in blocks:
                found.append(block)
    assert found == list(numbered(count))


def test_few_blocks_are_read_ahead():
    read = []

    def counted():
        for block in numbered(1000):
            read.append(block)
            yield block

    with beside.read_ahead(counted()) as blocks:
        for number in range(20):
            assert next(blocks) == b'%d' % number
    assert 20 <= len(read) <= 26


def test_nothing_is_read_after_the_context():
    before = threading.active_count()
    source = numbered(1000)
    with beside.read_ahead(source) as blocks:
        next(blocks)
    assert threading.active_count() == before
    rest = next(source)
    assert next(source) == b'%d' % (int(rest) + 1)


def test_what_is_read_ahead_may_be_read_ahead():
    with beside.read_ahead(numbered(100)) as inner, beside.read_ahead(inner) as outer:
        assert list(outer) == list(numbered(100))


def test_both_threads_end_if_the_reader_gives_up():
    before = threading.active_count()
    with pytest.raises(ValueError, match='enough'):
        with beside.read_ahead(numbered(100)) as inner, beside.read_ahead(inner) as outer:
            next(outer)
            raise ValueError('enough')
    assert threading.active_count() == before


def test_a_thread_reads_with_two_cores_alone(cores):
    threads = set()

    def noted():
        threads.add(threading.current_thread())
        yield b'x'

    with beside.read_ahead(noted()) as blocks:
        assert list(blocks) == [b'x']
    assert (threads == {threading.current_thread()}) == (cores == 1)


@pytest.mark.parametrize('count', [0, 1, 4, 5, 1000])
def test_hash_beside_is_the_hash_of_all_blocks(count):
    before = threading.active_count()
    digest = beside.HashBeside(hashlib.sha256())
    for block in numbered(count):
        digest.update(memoryview(block))
    assert digest.hexdigest() == hashlib.sha256(b''.join(numbered(count))).hexdigest()
    digest.close()
    assert threading.active_count() == before


def test_layer_that_fails_leaves_no_thread(tmp_path):
    before = threading.active_count()
    with pytest.raises(ValueError, match='enough'):
        with TarFileWriter(tmp_path / 'x.tar', layer=LayerForm(None, has_digest=True)) as tar:
            tar.add_file('a', content=bytes(1 << 20))
            raise ValueError('enough')
    assert threading.active_count() == before


@pytest.mark.parametrize('count', [1, 2, 8])
def test_each_result_belongs_to_its_item(count):
    with contextlib.closing(beside.Beside(lambda number: number * number, count)) as squares:
        pending = [squares.put(number) for number in range(100)]
        assert [one.result() for one in reversed(pending)] == [n * n for n in range(99, -1, -1)]


def test_check_and_work_are_both_called(cores):
    called = []
    beside.call_both(lambda: called.append('check'), lambda: called.append('work'))
    assert sorted(called) == ['check', 'work']
    beside.call_both(None, lambda: called.append('alone'))
    assert called[2:] == ['alone']


def test_work_goes_on_while_the_check_runs(cores):
    working = threading.Event()

    def check():
        assert working.wait(10 if cores == 2 else 0.01) == (cores == 2)

    beside.call_both(check, working.set)
    assert working.is_set()


def raising(text):
    def fail():
        raise OSError(text)

    return fail


def test_error_of_the_check_comes_first():
    with pytest.raises(OSError, match='check'):
        beside.call_both(raising('check'), raising('work'))


def test_error_of_the_work_is_raised():
    with pytest.raises(OSError, match='work'):
        beside.call_both(lambda: None, raising('work'))


def test_work_has_ended_when_the_check_failed():
    before = threading.active_count()
    with pytest.raises(OSError, match='check'):
        beside.call_both(raising('check'), lambda: time.sleep(0.05))
    assert threading.active_count() == before
