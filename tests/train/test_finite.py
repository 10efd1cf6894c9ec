"""A loss that is not finite: what it says, when, and that nothing of it is kept. A GPU's late answers are played by events of our own."""
import pytest
import torch
from tones import tiny

from sslspk.errors import InputError
from sslspk.train import checkpoint, finite, loop
from sslspk.train.job import prepare

CPU = torch.device("cpu")


class Late:
    """Stands for a CUDA event: the loss is there once somebody waits for it."""

    waited = 0

    def synchronize(self):
        Late.waited += 1


@pytest.fixture
def late(monkeypatch):
    Late.waited = 0
    monkeypatch.setattr(finite, "_to_host", lambda loss: (loss, Late()))


def spoilt(job, step, part=0):
    """From that step on the method's loss is NaN, in one of its micro-batches."""
    forward = job.method.forward

    def wrong(batch, progress):
        figures = forward(batch, progress)
        if progress.step >= step and progress.part == part:
            figures["loss"] = figures["loss"] * float("nan")
        return figures
    job.method.forward = wrong


def updates(job):
    """The steps whose update is done, as they come."""
    steps = []
    job.optimizer.register_step_post_hook(lambda *_: steps.append(job.step))
    return steps


def saved(exp):
    return [int(path.stem.partition("-")[2]) for path in checkpoint.checkpoints(exp)]


def test_on_a_cpu_the_weights_do_not_move(data, tmp_path):
    job = prepare(tiny(), data, tmp_path / "exp", CPU, print)
    spoilt(job, 3)
    steps = updates(job)
    with pytest.raises(InputError, match=r"exp: the loss is nan at step 3 \('s\d\d-u\d\d', "):
        loop.train(job)
    assert steps == [0, 1, 2] and saved(tmp_path / "exp") == [2]


@pytest.mark.parametrize(("step", "kept"), [(2, [2]), (3, [2]), (4, [2, 4]), (5, [2, 4])])
def test_on_a_gpu_the_run_stops_one_step_later_and_saves_nothing(data, tmp_path, late, step, kept):
    """Every second step is saved: a step before a checkpoint is looked at before that is written."""
    job = prepare(tiny(), data, tmp_path / "exp", CPU, print)
    spoilt(job, step)
    steps = updates(job)
    with pytest.raises(InputError, match=f"the loss is nan at step {step} "):
        loop.train(job)
    assert steps[-1] == step and saved(tmp_path / "exp") == kept
    again = prepare(tiny(), data, tmp_path / "exp", CPU, print)
    assert again.step == kept[-1] and loop.train(again) == 0
    whole = prepare(tiny(), data, tmp_path / "whole", CPU, print)
    assert loop.train(whole) == 0
    ended = [checkpoint.load(tmp_path / name / "final.pt")["encoders"] for name in ("exp", "whole")]
    assert all(torch.equal(value, ended[1][name][key]) for name, state in ended[0].items() for key, value in state.items())


def test_on_a_gpu_no_step_waits_for_its_own_loss(data, tmp_path, late):
    """Two micro-batches a step; at step n those of the steps before it have been waited for, not those of its own."""
    job = prepare(tiny(**{"train.accumulate": 2, "train.save_every": 100}), data, tmp_path / "exp", CPU, print)
    seen = []
    job.optimizer.register_step_pre_hook(lambda *_: seen.append(Late.waited))
    loop.train(job)
    assert seen == [0, 2, 4, 6, 8, 10] and Late.waited == 12 and not job.unread


def test_each_micro_batch_is_looked_at(data, tmp_path):
    job = prepare(tiny(**{"train.accumulate": 2}), data, tmp_path / "exp", CPU, print)
    spoilt(job, 1, part=1)
    with pytest.raises(InputError, match="the loss is nan at step 1 "):
        loop.train(job)
