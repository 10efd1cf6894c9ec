"""Ranks and nodes as they are started for real: equal results, an orderly end, and whose fault it was told in words."""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from recipe_copy import VOXCELEB
from tones import command, merged, run, weights, words_of
from torch.distributed.elastic.rendezvous import RendezvousConnectionError
from waiting import wait_for

from sslspk.errors import InputError
from sslspk.launch.processes import running
from sslspk.train import agent, checkpoint, failures

CPU = {**os.environ, "SSLSPK_DEVICE": "cpu", "OMP_NUM_THREADS": "1", "SSLSPK_INTERFACE": "lo"}
LONG = {"train.steps": 4000, "train.save_every": 4000, "train.log_every": 1}


def conf_file(folder, **changes):
    path = folder / "conf.yaml"
    path.write_text(json.dumps(merged(**changes)))
    return path


def start(*words, **environment):
    return subprocess.Popen(command(*words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**CPU, **environment})


@pytest.mark.parametrize("words", [("--ngpu", 4), ("--ngpu", 1), ("--ngpu", 2, "--ranks", 4)])
def test_gpus_that_are_not_there_are_not_replaced_by_the_cpu(data, tmp_path, monkeypatch, words):
    from sslspk.bin import train
    monkeypatch.setattr(sys, "argv", ["train.py", *map(str, words), "--conf", str(conf_file(tmp_path)), str(data), str(tmp_path / "exp")])
    monkeypatch.setenv("SSLSPK_DEVICE", "cpu")
    with pytest.raises(InputError, match=f"--ngpu {words[1]}: .* has 0 GPUs for this job"):
        train.main()
    assert not (tmp_path / "exp").exists()


def test_the_step_asks_for_its_gpus_where_the_job_runs(data, tmp_path):
    """No launcher that counts GPUs stands between."""
    launcher = tmp_path / "launch"
    launcher.write_text("#!/bin/bash\nwhile [[ $1 == --* ]]; do shift 2; done\nshift\nbash -c \"$*\"\n")
    launcher.chmod(0o755)
    done = subprocess.run(["steps/train.sh", "--cmd", launcher, "--ngpu", "4", "--conf", conf_file(tmp_path), data, tmp_path / "exp"],
                          cwd=VOXCELEB, env={**CPU, "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}, text=True,
                          capture_output=True, check=False)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and "--ngpu 4: " in done.stderr and "has 0 GPUs" in done.stderr
    assert not (tmp_path / "exp/final.pt").exists()


def ranks_of(process):
    """Process ids of the ranks that an agent has started, by rank."""
    found = {}
    for pid, parent, *_ in running():
        if parent == process.pid:
            found |= {int(word.removeprefix("RANK=")): pid for word in words_of(pid, "environ") if word.startswith("RANK=")}
    return found


def trains(exp):
    return (exp / "progress.jsonl").exists()


@pytest.fixture
def two_ranks(data, tmp_path, request):
    """A training on two ranks that is under way, its experiment and its process ids; ended in any case. Its parameter: changes to LONG."""
    exp = tmp_path / "exp"
    process = start("--ranks", 2, "--conf", conf_file(tmp_path, **LONG, **getattr(request, "param", {})), data, exp)
    try:
        wait_for(lambda: trains(exp), process=process)
        yield process, exp, ranks_of(process)
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_two_nodes_equal_two_ranks_of_one_and_old_addresses_do_no_harm(data, tmp_path):
    conf = conf_file(tmp_path, **{"train.steps": 4})
    exp = tmp_path / "nodes"
    exp.mkdir()
    with socket.socket() as free:
        free.bind(("", 0))
        (exp / agent.MEETING).write_text(f"old 127.0.0.1 {free.getsockname()[1]}\n")   # of a start that was killed: nobody listens there
        second = start("--nodes", 2, "--node", 2, "--conf", conf, data, exp)   # a scheduler may start it first
        time.sleep(1)
    first = start("--nodes", 2, "--node", 1, "--conf", conf, data, exp)
    outputs = [process.communicate(timeout=180)[0] for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], outputs
    assert "node 1 of 2 waits for the others" in outputs[0] and "node 2 of 2 looks for node 1" in outputs[1]
    assert not (exp / agent.MEETING).exists()
    alone = run("--ranks", 2, "--conf", conf, data, tmp_path / "ranks", env=CPU)
    assert alone.returncode == 0, alone.stderr
    assert torch.equal(weights(exp), weights(tmp_path / "ranks"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_saves_and_the_same_command_goes_on(two_ranks, data, number):
    process, exp, ranks = two_ranks
    process.send_signal(number)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == failures.REQUEUE, output
    assert "asked to stop: saved step" in output
    [saved] = checkpoint.checkpoints(exp)
    assert not any(Path(f"/proc/{pid}").exists() for pid in ranks.values())
    again = start("--ranks", 2, "--conf", exp.parent / "conf.yaml", data, exp)
    try:
        wait_for(lambda: len(ranks_of(again)) == 2 and not (exp / failures.STOPPED).exists(), process=again)   # only from here on
        step, lines = int(saved.stem.removeprefix("step-")), exp / "progress.jsonl"
        wait_for(lambda: json.loads(lines.read_text().splitlines()[-1])["step"] > step, process=again)
        told = [json.loads(line)["step"] for line in lines.read_text().splitlines()]
        assert told == list(range(1, told[-1] + 1))   # it went on, and did not begin anew
    finally:
        again.kill()
        again.communicate()


SLOW = """
import sys, time
from sslspk.bin import train
from sslspk.errors import entry
from sslspk.train import checkpoint
save = checkpoint.save
checkpoint.save = lambda *content: (time.sleep(3), save(*content))
entry(train.main, train._leave)
"""
START = """
import sys
from pathlib import Path
from sslspk.train import agent
launch = agent.elastic_launch
agent.elastic_launch = lambda config, program: lambda *words: launch(config, program)("-u", sys.argv[1], *words[3:])
sys.exit(agent.run(sys.argv[2:], Path(sys.argv[-1]), 2))
"""


@pytest.mark.slow
def test_no_rank_leaves_before_the_first_one_has_saved(data, tmp_path):
    """Once a rank has left, torch's agent gives the others 30 s."""
    exp, slow = tmp_path / "exp", tmp_path / "slow.py"
    slow.write_text(SLOW)
    words = [str(word) for word in (slow, "--conf", conf_file(tmp_path, **LONG), data, exp)]
    process = subprocess.Popen([sys.executable, "-c", START, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=CPU)
    wait_for(lambda: trains(exp), process=process)
    ranks = ranks_of(process)
    process.send_signal(signal.SIGTERM)
    while not checkpoint.checkpoints(exp):
        assert len(ranks_of(process)) == len(ranks) == 2 or checkpoint.checkpoints(exp)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == failures.REQUEUE, output


@pytest.mark.slow
def test_a_killed_rank_ends_the_job_and_is_named(two_ranks):
    process, _, ranks = two_ranks
    os.kill(ranks[1], signal.SIGKILL)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "train.py: error: rank 1 of 2 was killed by SIGKILL" in output.splitlines()[-1]
    assert not Path(f"/proc/{ranks[0]}").exists()


@pytest.mark.slow
@pytest.mark.parametrize("two_ranks", [{"train.timeout_seconds": 15}], indirect=True)
def test_a_hung_rank_ends_the_job_after_the_timeout_and_is_named(two_ranks):
    process, _, ranks = two_ranks
    os.kill(ranks[1], signal.SIGSTOP)
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 1
    told = output[output.rindex("train.py: error:"):]
    assert told.startswith("train.py: error: rank 0 of 2") and "rank(s) 1 told nothing: waiting, or hung" in told
    assert not any(Path(f"/proc/{pid}").exists() for pid in ranks.values())


@pytest.mark.slow
def test_ranks_end_with_the_agent(two_ranks):
    process, _, ranks = two_ranks
    process.kill()
    process.wait()
    end = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in ranks.values()):
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.slow
def test_the_first_failure_is_told_last(data, tmp_path):
    """Both ranks find the same fault; one sentence ends the log, torch's own report is not there."""
    wrong = run("--ranks", 2, "--conf", conf_file(tmp_path, **{"data.batch_size": 64}), data, tmp_path / "exp", env=CPU)
    assert wrong.returncode == 1
    assert re.match(r"train.py: error: rank [01] of 2 \(\S+\) failed first: .*lower it", wrong.stderr.splitlines()[-1])
    assert "ChildFailedError" not in wrong.stderr


def test_a_node_without_the_first_gives_up_in_words(data, tmp_path):
    alone = run("--nodes", 2, "--node", 2, "--wait", 0.01, "--conf", conf_file(tmp_path), data, tmp_path / "exp", env=CPU)
    assert alone.returncode == 1
    assert alone.stderr.splitlines()[-1].startswith("train.py: error:") and "did not start within 0.01 minutes" in alone.stderr


def test_which_failure_came_first(tmp_path):
    folder = tmp_path / failures.FOLDER
    folder.mkdir()
    assert "without a word" in failures.first(tmp_path, 2, {})
    assert "rank 1 of 2 was killed by SIGKILL" in failures.first(tmp_path, 2, {0: 15, 1: 9})
    for rank, when, text in ((0, 2.0, "Connection closed by peer"), (1, 1.0, "Traceback\n" + "line\n" * 40 + "ZeroDivisionError")):
        (folder / f"rank-{rank}.json").write_text(f'{{"time": {when}, "rank": {rank}, "host": "h", "text": {text!r}}}'.replace("'", '"'))
    told = failures.first(tmp_path, 4, {0: 15}).splitlines()
    assert told[0] == "train.py: error: rank 1 of 4 (h) failed first:" and told[-1] == "ZeroDivisionError"
    assert len(told) == 1 + failures.LINES
    (folder / "rank-1.json").write_text('{"time": 1.0, "rank": 1, "host": "h", "text": "RuntimeError: Timed out waiting 60000ms"}')
    assert "rank(s) 2, 3 told nothing" in failures.first(tmp_path, 4, {})


def test_nodes_that_part_say_so_unless_they_were_told_to_stop(tmp_path, monkeypatch):
    def lost(*_):
        raise RendezvousConnectionError("the connection has failed")

    monkeypatch.setattr(agent, "_launch", lost)
    monkeypatch.setattr(agent, "_pass_on_signals", lambda: None)
    monkeypatch.setattr(agent.os, "environ", {**os.environ, "SSLSPK_INTERFACE": "lo"})
    with pytest.raises(InputError, match=r"lost contact with node 1 of 2 \(the connection has failed\).* resumes from the last"):
        agent.run([], tmp_path, 1, nodes=2, node=2)
    (tmp_path / failures.STOPPED).touch()
    assert agent.run([], tmp_path, 1, nodes=2, node=2) == failures.REQUEUE


@pytest.mark.parametrize("given, ranks, each", [("8", 4, "2"), ("2", 4, "1"), (None, 2, "1")])
def test_ranks_share_the_threads_of_their_job(tmp_path, monkeypatch, given, ranks, each):
    environment = {**os.environ, **({"OMP_NUM_THREADS": given} if given else {})}
    if not given:
        environment.pop("OMP_NUM_THREADS", None)
    monkeypatch.setattr(agent, "_launch", lambda *_: None)
    monkeypatch.setattr(agent, "_pass_on_signals", lambda: None)
    monkeypatch.setattr(agent.os, "environ", environment)
    assert agent.run([], tmp_path, ranks) == 0 and environment["OMP_NUM_THREADS"] == each
