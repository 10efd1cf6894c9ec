"""train.cpu_minutes: a training ends when its CPU time is used up, all starts together."""
import json
import math

import pytest
import torch
from tones import tiny

from sslspk.errors import InputError
from sslspk.train import checkpoint, loop, model
from sslspk.train.budget import Budget
from sslspk.train.job import prepare
from sslspk.train.optim import learning_rate

CPU = torch.device("cpu")


class Clock:
    """Seconds that pass only when the loop reads data: `pace` a step, more in the beginning and from step `slow` on."""

    def __init__(self, start, pace, slow=math.inf):
        self.now, self.pace, self.slow, self.steps = start, pace, slow, 0

    def __call__(self):
        return self.now

    def tick(self, *_):
        self.now += self.pace * (3 if self.steps >= self.slow else 1)
        self.steps += 1


def budgeted(data, exp, minutes, clock, monkeypatch, **changes):
    """A job whose time is that of `clock`, which goes on with each optimizer step."""
    real = loop.optimizer_step
    monkeypatch.setattr(loop, "optimizer_step", lambda *words: (clock.tick(), real(*words))[1])
    job = prepare(tiny(**{"train.cpu_minutes": minutes, **changes}), data, exp, CPU, print)
    job.budget.clock = clock
    return job


@pytest.mark.parametrize(("start", "pace", "slow", "steps"), [
    (10, 2, math.inf, 25), (0, 7, math.inf, 8), (5, 1, 25, 35), (70, 1, math.inf, 2)])
def test_steps_that_fit(data, tmp_path, monkeypatch, capsys, start, pace, slow, steps):
    """Whole steps in a minute, start-up and slower steps counted; log_every is 2, and conf's own number of steps (6) says nothing."""
    clock = Clock(start, pace, slow)
    job = budgeted(data, tmp_path / "exp", 1, clock, monkeypatch)
    assert loop.train(job) == 0
    assert job.step == job.total == steps and model.load(tmp_path / "exp/final.pt").info["step"] == steps
    assert clock.now <= max(60, start + 2 * pace)
    lines = [json.loads(line) for line in (tmp_path / "exp/progress.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == steps
    left = [line.split()[-1] for line in capsys.readouterr().out.splitlines() if " epoch " in line]
    assert left[-1] == "0s" and len(left) == len(lines)


def test_the_rate_falls_as_with_as_many_steps(data, tmp_path, monkeypatch):
    loop.train(budgeted(data, tmp_path / "exp", 1, Clock(10, 2), monkeypatch, **{"train.log_every": 1}))
    rates = [json.loads(line)["lr"] for line in (tmp_path / "exp/progress.jsonl").read_text().splitlines()]
    steps = tiny(**{"train.steps": 25})
    assert rates[1:] == pytest.approx([learning_rate(steps, step, 25, 3) for step in range(1, 25)])


def test_a_stopped_training_has_what_is_left_of_its_time(data, tmp_path, monkeypatch):
    exp = tmp_path / "exp"
    job = budgeted(data, exp, 1, Clock(10, 2), monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "_agreed", lambda stop, progress, job: job.step == 9)   # after 28 s
        assert loop.train(job) == loop.REQUEUE
    monkeypatch.undo()
    again = budgeted(data, exp, 1, Clock(12, 4), monkeypatch)
    assert (again.step, again.budget.before, again.total) == (9, 28, 25)
    assert loop.train(again) == 0 and again.step == 9 + 5   # 60 - 28 - 12 s


def test_a_checkpoint_without_its_time_is_damaged(data, tmp_path, monkeypatch):
    loop.train(budgeted(data, tmp_path / "exp", 1, Clock(10, 9), monkeypatch))
    newest = checkpoint.checkpoints(tmp_path / "exp")[-1]
    for wrong in ("total", "cpu_seconds"):
        content = checkpoint.load(newest)
        checkpoint.save(tmp_path / newest.name, {**content, wrong: "x"})
        with pytest.raises(checkpoint.Damaged, match=f"{wrong} is a str"):
            checkpoint.load_step(tmp_path / newest.name)


def test_real_time_ends_a_real_training(data, tmp_path):
    """Of this process, which has used more than that: the first steps that are logged are the last ones."""
    job = prepare(tiny(**{"train.cpu_minutes": 1e-6}), data, tmp_path / "exp", CPU, print)
    assert loop.train(job) == 0 and job.step == 2
    said = model.provenance(tmp_path / "exp/final.pt")["machine"]
    assert said["cpu_minutes"] == 1e-6


def test_time_of_workers_at_work_is_not_known():
    with pytest.raises(InputError, match=r"data\.workers=0"):
        tiny(**{"train.cpu_minutes": 1, "data.workers": 2})


def test_nothing_is_divided_by_a_clock_that_stands():
    budget = Budget(1, CPU, lambda: 5.0)
    budget.begin(3)
    assert budget.steps(4) > 4
