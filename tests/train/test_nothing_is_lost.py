"""What may happen to the files and processes of one training: damage is told and mended, and the end is the same to the bit."""
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from tones import command, make_data, merged, run, tiny, words_of

from sslspk.bin.train import main
from sslspk.config import load, read_yaml
from sslspk.data.loader import make_loader
from sslspk.errors import InputError
from sslspk.io import table
from sslspk.launch.processes import running
from sslspk.train import checkpoint, loop
from sslspk.train.batches import make_dataset
from sslspk.train.config import SystemConfig
from sslspk.train.job import prepare

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """(configuration file, a finished run)."""
    folder = tmp_path_factory.mktemp("finished")
    conf = folder / "conf.yaml"
    conf.write_text(json.dumps(merged()))
    loop.train(prepare(load(SystemConfig, conf), data, folder / "exp", CPU, print))
    return conf, folder / "exp"


@pytest.fixture
def exp(finished, tmp_path):
    """A copy of the finished run, to be damaged."""
    shutil.copytree(finished[1], tmp_path / "exp")
    return tmp_path / "exp"


@pytest.fixture
def train(monkeypatch):
    """The program, in this process: returns its status."""
    monkeypatch.setenv("SSLSPK_DEVICE", "cpu")

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["train.py", *map(str, words)])
        return main()

    return call


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def same_model(exp, other):
    """Whether two final.pt are equal in all but the commit, which may be another when this checkout is worked on."""
    one, two = (checkpoint.load(folder / "final.pt") for folder in (exp, other))
    one["info"]["commit"] = two["info"]["commit"]
    a, b = one.pop("encoders"), two.pop("encoders")
    return one == two and all(torch.equal(a[name][key], b[name][key]) for name in b for key in b[name])


@pytest.mark.parametrize("damage", [cut, lambda path: path.write_bytes(b""), lambda path: path.write_bytes(bytes(path.stat().st_size))])
def test_a_damaged_model_is_made_again_from_the_checkpoints(finished, exp, data, damage, train, capsys):
    damage(exp / "final.pt")
    assert train("--finished", "--conf", finished[0], data, exp) == 3
    assert train("--conf", finished[0], data, exp) == 0
    said = capsys.readouterr().out
    assert "final.pt" in said and "made again" in said
    assert same_model(exp, finished[1])
    assert train("--finished", "--conf", finished[0], data, exp) == 0 and "nothing to do" in capsys.readouterr().out


def test_a_damaged_model_without_checkpoints_is_told(finished, exp, data, train):
    cut(exp / "final.pt")
    shutil.rmtree(exp / "ckpt")
    with pytest.raises(InputError, match=r"final\.pt.*remove it"):
        train("--conf", finished[0], data, exp)


@pytest.mark.parametrize("damage", [cut, os.unlink, lambda path: path.write_text("train: {steps")])
@pytest.mark.parametrize("model", [True, False])
def test_a_damaged_configuration_is_written_again(finished, exp, data, damage, model, train):
    """From final.pt, or from the newest checkpoint when training was not yet over; other options are still refused."""
    whole = (exp / "config.yaml").read_text()
    if not model:
        (exp / "final.pt").unlink()
    damage(exp / "config.yaml")
    with pytest.raises(InputError, match="seed = 0, asked for 1"):
        train("--conf", finished[0], "--set", "seed=1", data, exp)
    damage(exp / "config.yaml")
    assert train("--conf", finished[0], data, exp) == 0
    assert (exp / "config.yaml").read_text() == whole and same_model(exp, finished[1])


def test_a_configuration_that_lacks_its_end_is_not_read(exp):
    """What is left of it is valid, and the keys that are gone would pass for defaults."""
    path = exp / "config.yaml"
    assert read_yaml(path)["train"]["steps"] == 6
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(InputError, match=r"config\.yaml: cut short"):
        read_yaml(path)


def test_the_clock_does_not_choose_the_checkpoint(finished, exp, data):
    """The newest checkpoint, damaged, carries the oldest date, and the oldest one that of a far tomorrow."""
    (exp / "final.pt").unlink()
    paths = checkpoint.checkpoints(exp)
    cut(paths[-1])
    for place, path in enumerate(paths):
        os.utime(path, (4e9 - place, 4e9 - place))
    job = prepare(load(SystemConfig, finished[0]), data, exp, CPU, print)
    assert job.step == 4
    loop.train(job)
    assert same_model(exp, finished[1])


def test_what_a_killed_run_left_half_written_is_removed(finished, exp, data):
    (exp / "ckpt/.step-00000006.pt.0123456789ab.tmp").write_bytes(b"half")
    (exp / "final.pt").unlink()
    prepare(load(SystemConfig, finished[0]), data, exp, CPU, print)
    assert not list((exp / "ckpt").glob(".*"))


HOLD = """import sys, time, torch
from pathlib import Path
from sslspk.config import load
from sslspk.train.config import SystemConfig
from sslspk.train.job import prepare
prepare(load(SystemConfig, sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), torch.device("cpu"), print)
print("ready", flush=True)
time.sleep(600)
"""


def test_two_trainings_in_one_directory(finished, exp, data):
    """The second is told who is at work; when that one is gone, however it went, the next may begin."""
    (exp / "final.pt").unlink()
    holder = subprocess.Popen([sys.executable, "-c", HOLD, finished[0], data, exp], stdout=subprocess.PIPE, text=True)
    try:
        assert any(line == "ready\n" for line in holder.stdout)
        done = run("--conf", finished[0], data, exp)
        assert done.returncode == 1 and f"process {holder.pid} ({os.path.basename(sys.executable)} -c" in done.stderr
        assert f"on {os.uname().nodename})" in done.stderr
    finally:
        holder.kill()
        holder.wait()
    assert run("--conf", finished[0], data, exp).returncode == 0
    assert same_model(exp, finished[1])


@pytest.mark.parametrize("room", [0, 100, 5000, 30000])
def test_a_full_disk_while_a_checkpoint_is_written(tmp_path, room):
    """However far it came: an OSError that names the file, and nothing is left of it."""
    code = ("import resource, sys, torch; from pathlib import Path; from sslspk.train import checkpoint\n"
            f"resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))\n"
            "try: checkpoint.save(Path(sys.argv[1]), {str(n): torch.randn(100) for n in range(100)})\n"
            "except OSError as err: print(err.filename)\n")
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "x.pt"], capture_output=True, text=True, check=False)
    assert done.stdout == f"{tmp_path / 'x.pt'}\n", done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("number", "said"), [(signal.SIGKILL, ""), (signal.SIGSEGV, ""), (signal.SIGSTOP, "no batch came.*")])
def test_a_data_worker_that_dies_or_hangs_names_its_recording(data, number, said, monkeypatch):
    from sslspk.data import dataset
    from sslspk.data.index import UtteranceIndex
    batches = make_dataset(tiny(), UtteranceIndex(data, "wave"))
    read, victim = dataset.read, batches.index.keys[5]

    def fatal(index, form, utt, *rest):
        if index.keys[utt] == victim:
            os.kill(os.getpid(), number)
        return read(index, form, utt, *rest)

    monkeypatch.setattr(dataset, "read", fatal)
    with pytest.raises(InputError, match=rf"a data worker failed \(.*{said}while it read .*{victim} \(.*wav\.ark:\d+\).*the same command"):
        list(make_loader(batches, 0, batches.steps_per_epoch, 1, False, timeout=3))
    assert not multiprocessing.active_children()   # a stopped one would be waited for at the end of the program


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_data_worker_that_dies_or_hangs_before_it_reads_anything(data, number, monkeypatch):
    from sslspk.data import loader
    from sslspk.data.index import UtteranceIndex
    monkeypatch.setattr(loader, "_start_worker", lambda *_: os.kill(os.getpid(), number))
    batches = make_dataset(tiny(), UtteranceIndex(data, "wave"))
    with pytest.raises(InputError, match=r"a data worker failed \(.*between two utterances.*the same command"):
        list(make_loader(batches, 0, batches.steps_per_epoch, 1, False, timeout=10))
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("dying", ["trainer's", "pass's"])
def test_a_data_worker_that_dies_while_others_are_waited_for(data, tmp_path, dying):
    """An epoch may begin with a pass over all recordings, by workers of its own; the trainer's have read ahead meanwhile."""
    from sslspk.data.index import UtteranceIndex
    index = UtteranceIndex(data, "wave")
    loaders = {name: make_loader(make_dataset(tiny(), index), 0, 1000, 1, False, timeout=10) for name in ("trainer's", "pass's")}
    one, other = loaders.values()
    with pytest.raises(InputError, match=r"a data worker failed .*the same command") as caught, one.explained(), other.explained():
        next(other)
        time.sleep(0.5)   # they have read ahead as far as they may
        one.reading[1], other.reading[1] = 0, 1
        os.kill(loaders[dying].reading[0], signal.SIGKILL)
        time.sleep(60)    # the trainer's work
    assert [index.keys[unit] in str(caught.value) for unit in (0, 1)] == [dying == "trainer's", dying == "pass's"]
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(("damaged", "said"), [(True, "not a readable model.*final.pt is made of it: remove that checkpoint and all later"),
                                               (False, "")])
def test_a_checkpoint_of_the_average_that_is_damaged_or_lost(data, tmp_path, damaged, said, train, capsys):
    conf, exp = tmp_path / "conf.yaml", tmp_path / "exp"
    conf.write_text(json.dumps(merged(**{"train.steps": 6, "train.save_every": 2, "train.average": 2, "train.keep": 3})))
    assert train("--conf", conf, data, exp) == 0
    final = checkpoint.load(exp / "final.pt")
    (exp / "final.pt").unlink()
    second = checkpoint.at(exp, 4)
    if damaged:
        second.write_bytes(second.read_bytes()[:-100])
        with pytest.raises(InputError, match=said):
            train("--conf", conf, data, exp)
        second.unlink()
        checkpoint.at(exp, 6).unlink()
        assert train("--conf", conf, data, exp) == 0
        again = checkpoint.load(exp / "final.pt")
        assert all(torch.equal(value, again["encoders"]["student"][key]) for key, value in final["encoders"]["student"].items())
    else:
        second.rename(tmp_path / "lost.pt")
        checkpoint.at(exp, 2).unlink()
        assert train("--conf", conf, data, exp) == 0
        assert "final.pt is the average of 1 checkpoint, not of 2" in capsys.readouterr().out


def test_a_recording_that_vanishes_while_training(tmp_path, train):
    """One of 120 is within the share that is left out and counted; a second one stops the run in one sentence."""
    folder = make_data(tmp_path / "data", 120)
    specs = table.read(folder / "wav.scp")
    for utt in list(specs)[:2]:   # files of their own, not yet missed
        specs[utt] = str(tmp_path / f"{utt}.wav")
    table.write(folder / "wav.scp", specs)
    conf = tmp_path / "conf.yaml"
    conf.write_text(json.dumps(merged(**{"train.steps": 30})))
    lone = {**specs, list(specs)[1]: specs[list(specs)[2]]}
    table.write(folder / "wav.scp", lone)
    assert train("--conf", conf, folder, tmp_path / "one") == 0
    assert checkpoint.load(tmp_path / "one/final.pt")["info"]["bad_recordings"] == 1
    table.write(folder / "wav.scp", specs)
    with pytest.raises(InputError, match="more than 1 %"):
        train("--conf", conf, folder, tmp_path / "two")


def test_a_killed_worker_ends_the_program_in_one_sentence(data, tmp_path):
    conf, exp = tmp_path / "conf.yaml", tmp_path / "exp"
    conf.write_text(json.dumps(merged(**{"train.steps": 5000, "train.save_every": 5000, "data.workers": 1})))
    process = subprocess.Popen(command("--conf", conf, data, exp), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not (exp / "progress.jsonl").exists() or not (exp / "progress.jsonl").stat().st_size:
        assert process.poll() is None, process.stderr.read()
    os.kill(worker_of(process.pid), signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    last = err.splitlines()[-1]   # torch may tell of it before, from wherever the trainer was when the worker died
    assert process.returncode == 1 and last.startswith("train.py: error: a data worker failed") and "the same command" in last, err


def worker_of(pid):
    """The child of a training that runs the same program: its data worker."""
    return next(child for child, parent, *_ in running() if parent == pid and words_of(child) == words_of(pid))
