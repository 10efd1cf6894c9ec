"""run.pl: Kaldi's command line, quoting, log layout and statuses; limits, GPUs, and that nothing outlives it."""
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from waiting import body, listen, wait_for

from sslspk.errors import InputError
from sslspk.launch.request import parse, read_status, shell_line, write_footer, write_header

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "utils/run.pl"


def run(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, RUN, *words], cwd=folder, text=True, capture_output=True, timeout=60,
                          env={**os.environ, **environment})


def line(*words: str) -> str:
    return shell_line(parse(["run.pl", *words]), 3)


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("words, expected", [
    (["a", "|", "b", ">", "c.JOB"], "a | b > c.JOB"),          # no white space: verbatim, acts in bash
    (["echo", "two words"], 'echo "two words"'),
    (["echo", 'say "x" now'], "echo 'say \"x\" now'"),
    (["echo", "", "x"], 'echo "" x'),
    (["echo", "it's \"x\" now"], "echo 'it'\\''s \"x\" now'"),   # Kaldi's own quoting breaks here
])
def test_words_are_quoted_as_kaldi_does(words, expected):
    assert line("log", *words) == expected


def test_range_name_is_replaced_everywhere_even_inside_words():
    assert line("JOB=1:4", "x.JOB.log", "cat", "d/JOB/a", "JOBS") == "cat d/3/a 3S"
    assert line("N_1=1:4", "x.N_1.log", "cat", "N_1", "JOB") == "cat 3 JOB"


def test_options_stand_before_and_after_the_range():
    request = parse(["x/run.pl", "--mem", "4G", "-pe", "smp", "2", "-V", "JOB=2:5", "-l", "a=1", "-tc", "7", "--config=c",
                     "--max-jobs-run", "3", "--max-jobs-run", "9", "log.JOB", "cmd", "--mem", "x"])
    assert request.options == {"mem": "4G", "max_jobs_run": "3", "config": "c"}
    assert request.passed == ("-pe", "smp", "2", "-V", "-l", "a=1")
    assert (request.program, request.name, request.first, request.last) == ("run.pl", "JOB", 2, 5)
    assert (request.log, request.words) == ("log.JOB", ("cmd", "--mem", "x"))
    assert parse(["run.pl", "JOB=3", "log", "cmd"]).last == 3


@pytest.mark.parametrize("words, message", [
    (["JOB=0:3", "l.JOB", "c"], "JOB=0:3"),
    (["JOB=4:3", "l.JOB", "c"], "JOB=4:3"),
    (["JOB=a:b", "l.JOB", "c"], "whole numbers"),
    (["JOB=1:3", "log", "c"], "put JOB in its name"),
    (["log"], "a log file and a command"),
    (["--mem"], "--mem needs a value"),
    (["--mem", "--gpu", "1", "l", "c"], "--mem needs a value"),
    (["--gpu", "one", "l", "c"], "--gpu takes a whole number"),
    (["--max-jobs-run", "0", "l", "c"], "from 1 on"),
    (["--pick", "some", "l", "c"], "--pick takes"),
])
def test_a_command_line_that_cannot_be_meant_is_refused(words, message):
    with pytest.raises(InputError, match=re.escape(message)):
        parse(["run.pl", *words])


def test_log_has_kaldis_header_and_footer(tmp_path):
    assert run(tmp_path, "log/sub/a.log", "echo", "hi", "|", "tr", "h", "j").returncode == 0
    lines = (tmp_path / "log/sub/a.log").read_text().splitlines()
    date = r"[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d \S+ \d{4}"
    patterns = ["# echo hi \\| tr h j ", f"# Started at {date}", "#", "ji", r"# Accounting: time=\d+ threads=1",
                rf"# Ended \(code 0\) at {date}, elapsed time \d+ seconds"]
    assert len(lines) == len(patterns)
    for pattern, text in zip(patterns, lines, strict=True):
        assert re.fullmatch(pattern, text), text


def test_array_writes_one_log_per_job_also_in_folders(tmp_path):
    result = run(tmp_path, "JOB=2:4", "log/JOB/x.log", "echo", "job", "JOB", "$((JOB+1))")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert [body(tmp_path / f"log/{n}/x.log") for n in (2, 3, 4)] == ["job 2 3", "job 3 4", "job 4 5"]
    assert not (tmp_path / "log/1").exists()


def test_shell_syntax_in_separate_words_acts(tmp_path):
    assert run(tmp_path, "a.log", "false", "||", "echo", "saved", ";", "FOO='x", "y'", "printenv", "FOO").returncode == 0
    assert body(tmp_path / "a.log") == "saved\nx y"
    assert run(tmp_path, "b.log", "false", "|", "cat").returncode == 0  # Kaldi has no pipefail
    assert run(tmp_path, "c.log", "cat").returncode == 0                # stdin is at its end


def test_a_failing_job_is_reported_and_the_others_run(tmp_path):
    script = "for i in $(seq 30); do echo line$i; done; [ JOB -lt 3 ] || exit $((JOB+2))"
    (tmp_path / "s.sh").write_text(script.replace("JOB", "$1"))
    result = run(tmp_path, "JOB=1:4", "log/f.JOB.log", "bash", "s.sh", "JOB")
    assert result.returncode == 1
    report = result.stderr.splitlines()
    assert report[0] == "run.pl: 2 / 4 failed, log is in log/f.*.log"
    assert "run.pl: job 3 ended with status 5: log/f.3.log" in report
    assert "run.pl: job 4 ended with status 6: log/f.4.log" in report
    assert "line30" in report and "line5" not in report
    assert report[-1].startswith("# Ended (code 5)")
    assert body(tmp_path / "log/f.2.log").endswith("line30")


def test_a_wish_to_be_started_again_is_passed_on(tmp_path):
    assert run(tmp_path, "JOB=1:2", "x.JOB.log", "exit", "$((99*(JOB-1)))").returncode == 99
    assert run(tmp_path, "JOB=1:2", "y.JOB.log", "exit", "$((98+JOB))").returncode == 1


def test_single_failure_and_a_forgotten_range(tmp_path):
    result = run(tmp_path, "x.JOB.log", "false")
    assert result.returncode == 1
    assert "run.pl: job failed, log is in x.JOB.log" in result.stderr
    assert "put JOB=1:$nj" in result.stderr


def test_killed_child_and_output_that_looks_like_a_footer(tmp_path):
    kill = "import os; print('# Ended (code 0) at now, elapsed', flush=True); os.kill(os.getpid(), 9)"
    (tmp_path / "kill.py").write_text(kill)
    result = run(tmp_path, "k.log", "python3", "kill.py", ";", "exit", "$?")
    assert result.returncode == 1
    assert read_status(str(tmp_path / "k.log")) == 137


def test_command_longer_than_one_argument_may_be(tmp_path):
    words = ["w" * 100_000] * 3
    assert run(tmp_path, "l.log", "echo", *words, "|", "wc", "-c").returncode == 0
    assert body(tmp_path / "l.log") == "300003"


@pytest.mark.parametrize("code, status", [(0, 0), (7, 7), (-9, 137)])
def test_status_is_read_back_from_the_log(tmp_path, code, status):
    log = str(tmp_path / "a.log")
    assert read_status(log) is None
    write_header(log, "cmd")
    assert read_status(log) is None
    with open(log, "a") as file:
        file.write("no newline at the end")
    write_footer(log, code, time.time() - 3, "2")
    assert read_status(log) == status
    assert "\n# Accounting: time=3 threads=2\n" in Path(log).read_text()


def test_pick_runs_again_only_what_is_wanted(tmp_path):
    command = ("echo", "x", ">>", "ran.JOB", ";", "[", "-e", "good.JOB", "]")
    (tmp_path / "good.1").touch()
    assert run(tmp_path, "JOB=1:2", "l.JOB", *command).returncode == 1
    assert run(tmp_path, "--pick", "incomplete", "JOB=1:2", "l.JOB", *command).returncode == 1
    (tmp_path / "good.2").touch()
    (tmp_path / "good.3").touch()
    assert run(tmp_path, "--pick", "failed", "JOB=1:3", "l.JOB", *command).returncode == 0
    assert [(tmp_path / f"ran.{n}").read_text() for n in (1, 2, 3)] == ["x\n", "x\nx\n", "x\n"]


def test_no_more_jobs_than_allowed_run_at_once(tmp_path):
    (tmp_path / "s.sh").write_text("touch on.$1; ls | grep -c ^on; sleep 0.1; rm on.$1\n")
    assert run(tmp_path, "--max-jobs-run", "2", "JOB=1:6", "l.JOB", "bash", "s.sh", "JOB").returncode == 0
    assert max(int(body(tmp_path / f"l.{n}")) for n in range(1, 7)) == 2


def test_each_gpu_job_has_gpus_of_its_own(tmp_path):
    (tmp_path / "s.sh").write_text('g=busy.$CUDA_VISIBLE_DEVICES; mkdir $g && sleep 0.1 && rmdir $g && echo $g\n')
    result = run(tmp_path, "--gpu", "2", "JOB=1:5", "l.JOB", "bash", "s.sh", "JOB", CUDA_VISIBLE_DEVICES="4,5,6,7,8")
    assert result.returncode == 0, result.stderr
    used = {body(tmp_path / f"l.{n}") for n in range(1, 6)}
    assert len(used) >= 2 and all(len(gpus.split(",")) == 2 for gpus in used)


@pytest.mark.parametrize(("words", "visible", "needed"), [
    (("--gpu", "1", "l"), "", 1),
    (("--gpu", "4", "l"), "0,1", 4),
    (("--gpu", "1", "--max-jobs-run", "4", "JOB=1:5", "l.JOB"), "0,1", 4),
    (("--gpu", "2", "--max-jobs-run", "9", "JOB=1:2", "l.JOB"), "0,1,2", 4),
])
def test_more_gpus_than_there_are_is_refused(tmp_path, words, visible, needed):
    result = run(tmp_path, *words, "touch", "ran", CUDA_VISIBLE_DEVICES=visible)
    assert result.returncode == 1 and result.stderr.count("\n") == 1 and not (tmp_path / "ran").exists()
    assert f"GPUs asked for: {needed} " in result.stderr and f"this machine has {len(visible.split(',')) * bool(visible)}" in result.stderr


def test_fewer_gpus_than_jobs_are_shared(tmp_path):
    result = run(tmp_path, "--gpu", "1", "--max-jobs-run", "4", "JOB=1:2", "l.JOB", "touch", "ran", CUDA_VISIBLE_DEVICES="0,1")
    assert result.returncode == 0 and (tmp_path / "ran").exists()


def start_and_list(folder: Path, script: str) -> tuple[subprocess.Popen, list[int]]:
    """Start run.pl on two jobs that write their process ids, and the ids of children, to pid.*."""
    (folder / "s.sh").write_text(script)
    command = [sys.executable, RUN, "JOB=1:2", "l.JOB", "bash", "s.sh", "JOB"]
    runner = subprocess.Popen(command, cwd=folder, text=True, stderr=subprocess.PIPE, preexec_fn=listen)
    wait_for(lambda: len([p for p in folder.glob("pid.*") if p.read_text().endswith("\n")]) == 4)
    return runner, [int(path.read_text()) for path in folder.glob("pid.*")]


SLEEPER = "sleep 600 & echo $! > pid.$1.child; echo $$ > pid.$1; wait\n"
STUBBORN = "trap '' TERM; " + SLEEPER


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_jobs_with_their_children(tmp_path, number):
    runner, pids = start_and_list(tmp_path, SLEEPER)
    runner.send_signal(number)
    _, stderr = runner.communicate(timeout=60)
    assert runner.returncode == 128 + number
    assert f"stopped by {number.name}" in stderr
    assert not any(alive(pid) for pid in pids)
    assert read_status(str(tmp_path / "l.1")) == 143


def test_a_job_may_save_before_it_ends(tmp_path):
    runner, _ = start_and_list(tmp_path, "trap 'sleep 0.5; touch saved.'$1'; exit 3' TERM; " + SLEEPER)
    runner.terminate()
    assert runner.wait(timeout=60) == 143
    assert (tmp_path / "saved.1").exists() and (tmp_path / "saved.2").exists()


def test_a_second_signal_kills_what_does_not_listen(tmp_path):
    runner, pids = start_and_list(tmp_path, STUBBORN)
    for _ in range(3):   # as it comes by several ways: one signal
        runner.terminate()
        time.sleep(0.1)
    time.sleep(1)
    assert runner.poll() is None
    runner.terminate()
    assert runner.wait(timeout=60) == 143
    assert not any(alive(pid) for pid in pids)


STOPPED_LATE = """import sys; sys.path.insert(0, {root!r})
from sslspk.launch import local
def during(signals, call, *arguments):
    call(*arguments)
    signals.caught = 15
    raise local.Stopped
local.Signals.during = during
sys.argv = ["run.pl", "l", "exit", "7"]
local.main()
"""


def test_a_job_that_ends_as_a_signal_comes_keeps_its_status(tmp_path):
    """The signal comes when the job has been waited for, and nobody has looked at it yet."""
    done = subprocess.run([sys.executable, "-c", STOPPED_LATE.format(root=str(ROOT))], cwd=tmp_path, timeout=60)
    assert done.returncode == 143 and read_status(str(tmp_path / "l")) == 7


def test_nothing_outlives_a_killed_runner(tmp_path):
    runner, pids = start_and_list(tmp_path, STUBBORN)
    runner.kill()
    runner.wait(timeout=60)
    wait_for(lambda: not any(alive(pid) for pid in pids))


def test_the_time_to_save_may_be_changed(tmp_path):
    (tmp_path / "s.sh").write_text(STUBBORN)
    runner = subprocess.Popen([sys.executable, RUN, "l", "bash", "s.sh", "1"], cwd=tmp_path, preexec_fn=listen,
                              env={**os.environ, "SSLSPK_GRACE_SECONDS": "0.5"})
    wait_for(lambda: (tmp_path / "pid.1").exists() and (tmp_path / "pid.1").read_text())
    runner.terminate()
    assert runner.wait(timeout=60) == 143
    assert "is a number of seconds" in run(tmp_path, "l", "true", SSLSPK_GRACE_SECONDS="soon").stderr


def test_jobs_that_need_each_other_end_together(tmp_path):
    """The second fails; the first saves, the third does not listen, and all have begun though there are more than cores."""
    saves = "trap 'sleep 0.5; touch saved; exit 0' TERM; " + SLEEPER
    (tmp_path / "s.sh").write_text("touch on.$1\nif [ $1 = 2 ]; then while [ $(ls | grep -c ^on) -lt 9 ] || [ ! -s pid.1 ]; do "
                                   f"sleep 0.05; done; exit 5; fi\nif [ $1 = 1 ]; then\n{saves}else\n{STUBBORN}fi\n")
    result = run(tmp_path, "--together", "true", "JOB=1:9", "l.JOB", "bash", "s.sh", "JOB", SSLSPK_GRACE_SECONDS="2")
    assert result.returncode == 1
    lines = [line for line in result.stderr.splitlines() if "ended with status" in line]
    assert "job 2 ended with status 5" in lines[0] and "(ended because job 2 had failed)" in lines[1]
    assert (tmp_path / "saved").exists()
    assert not any(alive(int(path.read_text())) for path in tmp_path.glob("pid.*"))


def test_jobs_that_need_each_other_are_refused_when_they_cannot_all_run(tmp_path):
    result = run(tmp_path, "--together", "true", "--gpu", "2", "JOB=1:2", "l.JOB", "touch", "ran", CUDA_VISIBLE_DEVICES="0,1,2")
    assert result.returncode == 1 and "4 GPUs at once, but this machine has 3" in result.stderr and not (tmp_path / "ran").exists()
    enough = run(tmp_path, "--together", "true", "--gpu", "1", "JOB=1:2", "l.JOB", "touch", "ran", CUDA_VISIBLE_DEVICES="0,1,2")
    assert enough.returncode == 0 and (tmp_path / "ran").exists()


def test_nohup_is_respected(tmp_path):
    runner = subprocess.Popen(["nohup", sys.executable, RUN, "l", "touch", "on;", "sleep", "0.6"], cwd=tmp_path,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for((tmp_path / "on").exists)
    runner.send_signal(signal.SIGHUP)
    assert runner.wait(timeout=60) == 0


def test_help_and_start_need_no_package(tmp_path):
    result = run(tmp_path, "--help")
    assert result.returncode == 0 and "JOB=1:n" in result.stdout
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import sslspk.launch.local; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-S", "-c", code], text=True, capture_output=True, check=True).stdout.split()
    assert {name.partition(".")[0] for name in loaded} - {"sslspk", "__main__"} <= sys.stdlib_module_names


def test_a_program_that_cannot_even_tell_its_error_is_explained(tmp_path):
    """As where the log is on the disk that is full."""
    (tmp_path / "x.py").write_text("from sslspk.errors import InputError, entry\ndef main():\n    raise InputError('why')\nentry(main)\n")
    done = run(tmp_path, "l.log", sys.executable, "x.py", "2>", "/dev/full", PYTHONPATH=str(ROOT))
    assert done.returncode == 1 and "status 74 (error: it could not write, not even to its log; free some space" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_report_begins_with_the_sentence_of_the_program_that_failed(tmp_path):
    """And not with what other processes told while they were ended; without a sentence it shows the last lines."""
    (tmp_path / "x.sh").write_text("echo begin; echo Traceback; [ $1 = 0 ] || { echo 'x.py: error: this;'; echo 'do that'; }; exit 3\n")
    said = run(tmp_path, "l.log", "bash", "x.sh", "1").stderr.splitlines()
    assert said[3:5] == ["x.py: error: this;", "do that"] and "Traceback" not in said
    assert {"begin", "Traceback"} <= set(run(tmp_path, "l.log", "bash", "x.sh", "0").stderr.splitlines())
