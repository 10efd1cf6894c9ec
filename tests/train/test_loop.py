"""The loop: learns, logs, saves, resumes to the bit, stops before harm."""
import json
import os
import random
import signal
import subprocess
import time

import pytest
import torch
from tones import command, make_data, merged, run, tiny

from sslspk.api.about import about
from sslspk.errors import InputError
from sslspk.io import derive, table
from sslspk.methods.base import Method
from sslspk.train import checkpoint, loop, model
from sslspk.train.job import prepare
from sslspk.train.log import TrainLog
from sslspk.train.speed import Meter

CPU = torch.device("cpu")


def train_here(config, data, exp):
    job = prepare(config, data, exp, CPU, print)
    assert loop.train(job) == 0
    return job


def final_weights(exp):
    return checkpoint.load(exp / "final.pt")["encoders"]


def same(a, b):
    return all(torch.equal(a[name][key], b[name][key]) for name in a for key in a[name])


def conf_file(folder, **changes):
    path = folder / "conf.yaml"
    path.write_text(json.dumps(merged(**changes)))
    return path


def test_a_run_writes_config_log_and_model(data, tmp_path, capsys):
    exp = tmp_path / "exp"
    job = train_here(tiny(), data, exp)
    lines = [json.loads(line) for line in (exp / "progress.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6]
    assert {"loss", "teacher_entropy", "student_entropy", "ln_K", "lr", "utterances_per_second", "data_wait_percent",
            "effective_rank"} <= lines[-1].keys()
    assert [p.name for p in checkpoint.checkpoints(exp)] == ["step-00000002.pt", "step-00000004.pt", "step-00000006.pt"]
    loaded = model.load(exp / "final.pt")
    assert loaded.config == tiny() and loaded.info["labels"] == "none"
    weights = job.method.encoders()["teacher"].state_dict()
    assert all(torch.equal(value, weights[key]) for key, value in loaded.encoder.state_dict().items())
    assert "step 6" in capsys.readouterr().out


@pytest.mark.parametrize("steps", [20])
def test_supervised_loss_falls(data, tmp_path, steps):
    crops = [{"count": 1, "seconds": 0.4}]
    config = tiny(**{"method": {"name": "supervised", "crops": crops, "scale": 10.0, "margin": 0.1}, "train.steps": steps,
                     "train.log_every": 5, "train.save_every": 50})
    train_here(config, data, tmp_path / "exp")
    lines = [json.loads(line)["loss"] for line in (tmp_path / "exp" / "progress.jsonl").read_text().splitlines()]
    assert lines[-1] < 0.9 * lines[0]
    assert model.load(tmp_path / "exp" / "final.pt").info["labels"] == "speaker"


def test_stop_and_resume_equals_an_uninterrupted_run(data, tmp_path):
    config = tiny(**{"train.steps": 8, "train.save_every": 3})
    train_here(config, data, tmp_path / "whole")
    signal_after(prepare(config, data, tmp_path / "parts", CPU, print), 5)
    second = prepare(config, data, tmp_path / "parts", CPU, print)
    assert second.step == 5
    assert loop.train(second) == 0
    assert same(final_weights(tmp_path / "whole"), final_weights(tmp_path / "parts"))


def test_averages_do_not_see_the_checkpoint_of_a_signal(data, tmp_path):
    """Stopped at step 5 and resumed, the mean is still that of the planned checkpoints 6 and 8."""
    config = tiny(**{"train.steps": 8, "train.average": 2, "train.keep": 1})
    train_here(config, data, tmp_path / "whole")
    signal_after(prepare(config, data, tmp_path / "parts", CPU, print), 7)
    assert [p.stem for p in checkpoint.checkpoints(tmp_path / "parts")] == ["step-00000004", "step-00000006", "step-00000007"]
    train_here(config, data, tmp_path / "parts")
    assert same(final_weights(tmp_path / "whole"), final_weights(tmp_path / "parts"))


def test_labels_of_the_initial_model_are_passed_on(data, tmp_path):
    crops = [{"count": 1, "seconds": 0.4}]
    train_here(tiny(**{"method": {"name": "supervised", "crops": crops}}), data, tmp_path / "one")
    train_here(tiny(**{"train.init_from": str(tmp_path / "one" / "final.pt")}), data, tmp_path / "two")
    assert model.load(tmp_path / "two" / "final.pt").info["labels"] == "speaker"
    with pytest.raises(InputError, match="init_from"):
        prepare(tiny(), data, tmp_path / "two", CPU, print)


def test_pseudo_labels_are_told_and_are_part_of_the_data(data, tmp_path):
    """A result says that it has seen pseudo-labels; other clusters of the same recordings are other data."""
    config = tiny(**{"method": {"name": "supervised", "crops": [{"count": 1, "seconds": 0.4}]}})
    utts = list(table.read(data / "utt2spk"))
    for name, size in (("three", 3), ("four", 4)):
        derive.relabel(str(data), str(tmp_path / name), {utt: f"c{i // size}" for i, utt in enumerate(utts)}, "pseudo")
    train_here(config, tmp_path / "three", tmp_path / "exp")
    assert model.load(tmp_path / "exp/final.pt").info["labels"] == "pseudo"
    assert model.provenance(tmp_path / "exp/final.pt")["labels"] == "pseudo"
    (tmp_path / "exp/final.pt").unlink()
    with pytest.raises(InputError, match="other data"):
        prepare(config, tmp_path / "four", tmp_path / "exp", CPU, print)


def test_another_sampling_rate_is_refused(data, tmp_path):
    with pytest.raises(InputError, match=r"s00-u00: .*wav.ark.* has 16000 Hz and the configuration says 8000"):
        prepare(tiny(**{"features.sample_frequency": 8000}), data, tmp_path / "exp", CPU, print)


def test_a_checkpoint_is_no_model(data, tmp_path):
    train_here(tiny(), data, tmp_path / "one")
    step = checkpoint.checkpoints(tmp_path / "one")[-1]
    with pytest.raises(InputError, match=r"give the run's final.pt"):
        prepare(tiny(**{"train.init_from": str(step)}), data, tmp_path / "two", CPU, print)


def test_weights_that_are_not_finite_are_not_saved(data, tmp_path):
    job = prepare(tiny(), data, tmp_path / "exp", CPU, print)
    with torch.no_grad():
        next(job.method.parameters()).view(-1)[0] = float("nan")
    with pytest.raises(InputError, match="a weight is not finite"):
        loop.save(job, 2, TrainLog(tmp_path / "exp", 0, 0, 1, None, {}, Meter(CPU)))
    assert not checkpoint.checkpoints(tmp_path / "exp")


def test_options_that_never_ran_do_not_block_the_directory(data, tmp_path):
    with pytest.raises(InputError, match="lower it"):
        prepare(tiny(**{"data.batch_size": 64}), data, tmp_path / "exp", CPU, print)
    train_here(tiny(), data, tmp_path / "exp")


def test_progress_is_told_once_for_each_step(data, tmp_path):
    config = tiny(**{"train.steps": 8, "train.save_every": 4, "train.log_every": 1})
    train_here(config, data, tmp_path / "exp")
    (tmp_path / "exp" / "final.pt").unlink()
    checkpoint.checkpoints(tmp_path / "exp")[-1].unlink()
    train_here(config, data, tmp_path / "exp")
    lines = (tmp_path / "exp" / "progress.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, 9))


@pytest.mark.slow
def test_a_signal_to_the_whole_job_saves_and_leaves(data, tmp_path):
    """A scheduler signals every process of the job, the loader's workers too; the run must still save and go on later."""
    changes = {"train.steps": 200, "train.save_every": 150, "train.log_every": 10, "data.workers": 2}
    conf, exp = conf_file(tmp_path, **changes), tmp_path / "exp"
    process = subprocess.Popen(command("--conf", conf, data, exp), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               start_new_session=True)
    while process.poll() is None and not (exp / "progress.jsonl").exists():
        time.sleep(0.01)
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == loop.REQUEUE, err.decode()[-2000:]
    assert len(checkpoint.checkpoints(exp)) == 1
    assert run("--conf", conf, data, exp).returncode == 0
    assert run("--conf", conf, data, tmp_path / "whole").returncode == 0
    assert same(final_weights(exp), final_weights(tmp_path / "whole"))


def signal_after(job, steps):
    """Run the job and ask it to stop, as a scheduler would, when it has done `steps` steps."""
    after = job.method.after_step

    def ask(progress):
        after(progress)
        if progress.step + 1 == steps:
            signal.raise_signal(signal.SIGTERM)

    job.method.after_step = ask
    assert loop.train(job) == loop.REQUEUE


def test_damaged_checkpoint_falls_back(data, tmp_path):
    config = tiny()
    train_here(config, data, tmp_path / "whole")
    train_here(config, data, tmp_path / "hurt")
    (tmp_path / "hurt" / "final.pt").unlink()
    newest = checkpoint.checkpoints(tmp_path / "hurt")[-1]
    newest.write_bytes(newest.read_bytes()[:-200])
    said = []
    job = prepare(config, data, tmp_path / "hurt", CPU, said.append)
    assert job.step == 4 and any("step-00000006.pt" in text for text in said)
    loop.train(job)
    assert same(final_weights(tmp_path / "whole"), final_weights(tmp_path / "hurt"))


def test_all_checkpoints_damaged(data, tmp_path):
    train_here(tiny(), data, tmp_path / "exp")
    for path in checkpoint.checkpoints(tmp_path / "exp"):
        path.write_bytes(b"not a model")
    with pytest.raises(InputError, match=r"no checkpoint can be read \(3 tried\)"):
        prepare(tiny(), data, tmp_path / "exp", CPU, print)


def test_another_configuration_is_refused(data, tmp_path):
    train_here(tiny(), data, tmp_path / "exp")
    with pytest.raises(InputError, match=r"train.lr = 0.01, asked for 0.02"):
        prepare(tiny(**{"train.lr": 0.02}), data, tmp_path / "exp", CPU, print)
    prepare(tiny(**{"train.log_every": 5, "data.workers": 1}), data, tmp_path / "exp", CPU, print)


def test_other_data_are_refused(data, tmp_path):
    train_here(tiny(), data, tmp_path / "exp")
    with pytest.raises(InputError, match="other data"):
        prepare(tiny(), make_data(tmp_path / "data", 8), tmp_path / "exp", CPU, print)


def test_loss_not_finite_leaves_the_last_checkpoint(data, tmp_path):
    config = tiny(**{"train.lr": 1e9, "train.lr_batch": 1, "train.weight_decay": 1e3, "train.optimizer": "sgd",
                     "train.save_every": 1, "train.steps": 6, "train.log_every": 1})
    job = prepare(config, data, tmp_path / "exp", CPU, print)
    with pytest.raises(InputError, match=r"(loss|figure) is (nan|not finite).* at step|not finite at step"):
        loop.train(job)


def test_collapse_is_told_with_the_knob_to_turn(data, tmp_path, capsys):
    config = tiny(**{"method.teacher_temp": 50.0, "method.teacher_temp_start": 50.0, "method.student_temp": 60.0, "train.steps": 8})
    train_here(config, data, tmp_path / "exp")
    out = capsys.readouterr().out
    assert out.count("WARNING: collapse") == 1 and "lower method.teacher_temp" in out


def test_a_model_larger_than_the_memory_is_refused_before_it_is_made(data, tmp_path):
    config = tiny(**{"method.out_dim": 10**7, "method.hidden_dim": 10**7})
    with pytest.raises(InputError, match=r"take \d.* GB of the .* GB there are; make it smaller \(its largest part is student"):
        prepare(config, data, tmp_path / "exp", CPU, print)


def test_too_many_unreadable_recordings_stop_the_run(tmp_path):
    data = make_data(tmp_path / "data")
    specs = table.read(data / "wav.scp")
    table.write(data / "wav.scp", {**specs, "s01-u03": str(tmp_path / "gone.wav")})
    with pytest.raises(InputError, match=r"1 of 12 utterances cannot be read, more than 1 %.*gone.wav"):
        train_here(tiny(), data, tmp_path / "exp")


def test_init_from_takes_the_encoder_and_nothing_else(data, tmp_path):
    train_here(tiny(), data, tmp_path / "one")
    one = str(tmp_path / "one" / "final.pt")
    job = prepare(tiny(**{"train.init_from": one}), data, tmp_path / "two", CPU, print)
    wanted = final_weights(tmp_path / "one")["teacher"]
    for encoder in job.method.encoders().values():
        assert all(torch.equal(value, wanted[key]) for key, value in encoder.state_dict().items())
    with pytest.raises(InputError, match="not this one's shape"):
        prepare(tiny(**{"encoder.channels": 16, "train.init_from": one}), data, tmp_path / "three", CPU, print)


def test_average_of_checkpoints(data, tmp_path):
    train_here(tiny(**{"train.average": 2}), data, tmp_path / "exp")
    states = [checkpoint.load(p)["method"] for p in checkpoint.checkpoints(tmp_path / "exp")[-2:]]
    for key, value in final_weights(tmp_path / "exp")["student"].items():
        if value.is_floating_point():
            mean = (states[0]["student.encoder." + key].double() + states[1]["student.encoder." + key].double()) / 2
            assert torch.allclose(value.double(), mean)
    assert about(tmp_path / "exp/final.pt")["weights_from"] == "the mean of the last 2 checkpoints, up to step 6"


class Linear(Method):
    """A method without BatchNorm: the mean squared output of one linear layer."""

    def __init__(self, inner):
        super().__init__()
        self.crops, self.evaluate, self.net = inner.crops, "net", torch.nn.Linear(20, 3)

    def encoders(self):
        return {"net": self.net}

    def forward(self, batch, progress):
        return {"loss": self.net(torch.cat([v.flatten(0, 2) for v in batch.views])).square().mean()}


def test_accumulated_gradients_equal_those_of_the_whole_batch(data, tmp_path):
    weights = []
    for parts in (1, 2, 4):
        job = prepare(tiny(**{"train.accumulate": parts, "train.optimizer": "sgd"}), data, tmp_path / f"exp{parts}", CPU, print)
        torch.manual_seed(0)
        job.method = job.model = Linear(job.method)
        job.optimizer = torch.optim.SGD(job.method.parameters(), lr=0.01)
        loop.train(job)
        weights.append(job.method.net.weight.detach())
    assert torch.allclose(weights[0], weights[1], rtol=1e-5) and torch.allclose(weights[0], weights[2], rtol=1e-5)


def test_forward_passes_are_counted_through(data, tmp_path):
    """What a method draws at random is seeded by their number, so that no two parts of a step draw the same."""
    job, seen = prepare(tiny(**{"train.accumulate": 2, "train.steps": 3}), data, tmp_path / "exp", CPU, print), []
    job.method.register_forward_pre_hook(lambda method, args: seen.append(args[1].passes))
    loop.train(job)
    assert seen == [0, 1, 2, 3, 4, 5]


def test_a_finished_run_is_left_alone(data, tmp_path):
    conf = conf_file(tmp_path)
    assert run("--conf", conf, data, tmp_path / "exp").returncode == 0
    again = run("--conf", conf, data, tmp_path / "exp")
    assert again.returncode == 0 and "nothing to do" in again.stdout
    (tmp_path / "exp/progress.jsonl").write_text((tmp_path / "exp/progress.jsonl").read_text()[:-9])
    told = run("--conf", conf, data, tmp_path / "exp")
    assert told.returncode == 0 and "exp/progress.jsonl has lost lines" in told.stdout and "warning" not in again.stdout
    elsewhere = run("--conf", conf, make_data(tmp_path / "data", 8), tmp_path / "exp")
    assert elsewhere.returncode == 1 and "trained on other data" in elsewhere.stderr
    other = run("--conf", conf, "--set", "seed=1", data, tmp_path / "exp")
    assert other.returncode == 1 and "seed = 0, asked for 1" in other.stderr


@pytest.mark.parametrize(("option", "said"), [
    ("train.lrr=1", "unknown key train.lrr"), ("train.steps=many", "train.steps"), ("data.batch_size=64", "12 utterances"),
    ("method.teacher_temp=0.2", "the teacher must be sharper")])
def test_bad_options_are_one_sentence(data, tmp_path, option, said):
    result = run("--conf", conf_file(tmp_path), "--set", option, data, tmp_path / "exp")
    assert result.returncode == 1 and said in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.slow
def test_killed_ten_times_ends_with_the_same_weights(data, tmp_path):
    """kill -9 at random moments, start again: the final weights are those of the run left alone, bit for bit."""
    conf = conf_file(tmp_path, **{"train.steps": 300, "train.save_every": 5, "train.log_every": 20, "data.workers": 1})
    assert run("--conf", conf, data, tmp_path / "whole").returncode == 0
    rng, exp = random.Random(0), tmp_path / "killed"
    for _ in range(10):
        before = newest(exp)
        process = subprocess.Popen(command("--conf", conf, data, exp), stdout=subprocess.DEVNULL)
        while newest(exp) == before and process.poll() is None:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.1))
        assert process.poll() is None, "the run is too short to be killed ten times"
        process.kill()
        process.wait()
    assert run("--conf", conf, data, exp).returncode == 0
    assert same(final_weights(tmp_path / "whole"), final_weights(exp))


def newest(exp):
    paths = checkpoint.checkpoints(exp)
    return paths[-1].name if paths else None
