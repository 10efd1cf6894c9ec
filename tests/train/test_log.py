"""progress.jsonl: the lines of a training that was stopped are those of one that was not, and lost ones are told."""
import json

import pytest
import torch
from tones import tiny

from sslspk.io.results import SPEED
from sslspk.train import checkpoint, log, loop
from sslspk.train.job import prepare

CPU = torch.device("cpu")


def lines(exp):
    found = [json.loads(line) for line in (exp / "progress.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in SPEED} for line in found]


def test_lines_go_on_where_a_checkpoint_left_them(data, tmp_path):
    """Checkpoints fall between two lines; the newest one is lost, and what was told of later steps with it."""
    config = tiny(**{"train.steps": 10, "train.save_every": 4, "train.log_every": 3})
    assert loop.train(prepare(config, data, tmp_path / "whole", CPU, print)) == 0
    assert loop.train(prepare(config, data, tmp_path / "parts", CPU, print)) == 0
    (tmp_path / "parts/final.pt").unlink()
    for step in (10, 8):
        checkpoint.at(tmp_path / "parts", step).unlink()
    job = prepare(config, data, tmp_path / "parts", CPU, print)
    assert job.step == 4 and job.figures["loss"][1] == 1   # of step 4; the line of step 3 tells the others
    assert loop.train(job) == 0
    assert [line["step"] for line in lines(tmp_path / "parts")] == [3, 6, 9, 10]
    assert lines(tmp_path / "parts") == lines(tmp_path / "whole")


@pytest.mark.parametrize(("content", "last", "lost"), [
    (b'{"step": 2}\n{"step": 4}\n', 4, False), (b'{"step": 2}\n{"step": 4}\n', None, False), (b'{"step": 2}\n', 4, True),
    (b'{"step": 2}\n{"step": 4}', 4, True), (b'{"step": 2}\n\0\0\0ep": 3}\n{"step": 4}\n', 4, True), (b"", 4, True), (b"", None, True),
    (None, 4, True),
])
def test_lost_lines_are_noticed(tmp_path, content, last, lost):
    if content is not None:
        (tmp_path / "progress.jsonl").write_bytes(content)
    assert log.lost_lines(tmp_path / "progress.jsonl", last) is lost


@pytest.mark.parametrize(("seconds", "word"), [(0.4, "0s"), (59.6, "1m00s"), (200, "3m20s"), (3599.6, "1h00m"), (187_200, "2d4h")])
def test_the_time_left_is_one_word(seconds, word):
    assert log.duration(seconds) == word


def test_a_slow_start_does_not_count_for_the_time_left(tmp_path):
    told = log.TrainLog(tmp_path, rank=1, start=0, total=100, prototypes=None, sums={}, meter=None)
    assert told._left(90, 10, 1000.0) == log.duration(9000)
    assert told._left(80, 20, 10.0) == log.duration(80)     # a second a step
    assert told._left(70, 30, 20.0) == log.duration(91)     # .7 of it, and .3 of two
