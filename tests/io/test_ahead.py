"""Reading ahead: order, errors, how much waits, and the end of the thread."""
import threading
import time

import pytest
import small_models
from waiting import wait_for

from sslspk.bin import extract_embeddings
from sslspk.errors import InputError
from sslspk.io import datadir
from sslspk.io.ahead import ahead


def one(item: object) -> int:
    return 1


def counted(number: int, drawn: list[int]):
    for i in range(number):
        drawn.append(i)
        yield i


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("reads ahead")]


@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_all_items_come_in_their_order(limit):
    assert list(ahead(range(100), one, limit)) == list(range(100)) and list(ahead([], one, limit)) == [] and not readers()


def test_the_next_items_are_read_while_the_caller_works_and_no_more_than_fit():
    drawn: list[int] = []
    items = ahead(counted(100, drawn), one, limit=5)
    assert next(items) == 0
    wait_for(lambda: len(drawn) == 7)      # the one that was taken, five that wait, and one in the reader's hands
    assert next(items) == 1
    wait_for(lambda: len(drawn) == 8)
    assert list(items) == list(range(2, 100))


def test_an_item_above_the_limit_waits_alone():
    drawn: list[int] = []
    items = ahead(counted(4, drawn), lambda item: 100, limit=5)
    assert next(items) == 0 and len(drawn) <= 3
    wait_for(lambda: len(drawn) == 3)
    assert list(items) == [1, 2, 3]


def test_long_recordings_after_a_short_one_do_not_fill_the_memory():
    drawn: list[int] = []
    items = ahead(counted(300, drawn), lambda item: 100 if item else 1, limit=500)
    assert next(items) == 0
    wait_for(lambda: len(drawn) == 7)      # the short one, five that wait, and one in the reader's hands
    time.sleep(0.2)
    assert len(drawn) == 7
    items.close()


def test_an_error_is_raised_where_the_item_would_have_come():
    def damaged():
        yield from range(3)
        raise InputError("b.wav: damaged.")
    seen = []
    with pytest.raises(InputError, match="damaged"):
        seen.extend(ahead(damaged(), one))
    assert not readers()
    items = ahead(damaged(), one)
    assert [next(items), next(items), next(items)] == [0, 1, 2]
    with pytest.raises(InputError):
        next(items)


def test_a_caller_that_takes_no_more_ends_the_thread():
    drawn: list[int] = []
    items = ahead(counted(100, drawn), one, limit=2)
    next(items)
    items.close()
    assert not readers() and len(drawn) <= 4


def test_extraction_reads_the_next_utterance_meanwhile(tmp_path):
    wav = small_models.wav(tmp_path / "a.wav", small_models.voice(0.5))
    datadir.write(str(tmp_path / "data"), wav={f"u{i}": f"touch {tmp_path}/read.{i}; cat {wav} |" for i in range(3)},
                  utt2spk=dict.fromkeys(("u0", "u1", "u2"), "s"))
    words = [str(tmp_path / "data"), str(small_models.write(tmp_path)), "ark", "scp", "--allow-pipes", "true"]
    args = extract_embeddings.command_line("", "").parse_args(words)
    inputs = extract_embeddings.inputs_of(*extract_embeddings.opened(args), args)
    first = next(inputs)
    wait_for((tmp_path / "read.2").exists)
    assert first.ndim == 3 and len(list(inputs)) == 2
