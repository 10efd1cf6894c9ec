"""Command lines of Kaldi's documentation and recipes (the table in utils/README.md): run by run.pl, and as the batch systems get them."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sslspk.errors import InputError
from sslspk.launch import conf
from sslspk.launch.gridengine import GridEngine
from sslspk.launch.request import parse, pick
from sslspk.launch.slurm import Slurm

ROOT = Path(__file__).resolve().parents[2]
ARRAY = ("JOB=1:4", "log/x.JOB.log", "echo", "JOB")
REFUSED = "refused"
PASSED = "-q all.q -l ram_free=1G -l arch=*64*"
# options, words that qsub gets, words that sbatch gets (besides those of every submission)
CALLS = [
    ((), "", ""),
    (("--mem", "4G"), "-l mem_free=4G", "--mem-per-cpu 4G"),
    (("--mem", "0"), "", ""),
    (("--num-threads", "8"), "-pe smp 8", "--cpus-per-task 8"),
    (("--gpu", "1"), "-l gpu=1", "--gres=gpu:1"),
    (("--gpu", "0"), "", ""),
    (("--time", "4:00:00"), "-l h_rt=4:00:00", "--time 4:00:00"),
    (("--max-time", "4:00:00"), "-l h_rt=4:00:00", "--time 4:00:00"),
    (("--time=4:00:00", "--mem=1G"), "-l h_rt=4:00:00 -l mem_free=1G", "--time 4:00:00 --mem-per-cpu 1G"),
    (("-q", "all.q", "-l", "ram_free=1G", "-l", "arch=*64*"), PASSED, PASSED),
    (("-pe", "smp", "4"), "-pe smp 4", REFUSED),
    (("-p", "high", "-N", "name", "--mem", "2G"), "-p high -N name -l mem_free=2G", "-p high -N name --mem-per-cpu 2G"),
    (("-V",), "-V", "--export=ALL"),
    (("-sync", "y"), "", ""),
    (("--foo", "x"), REFUSED, REFUSED),
    (("--mem", "4000"), REFUSED, REFUSED),
    (("--pick", "failed"), "", ""),
    (("--config", "conf/own.conf", "--foo", "x"), "-foo x", "-foo x"),
]


def rest(words: list[str], kind: type) -> str:
    """The words of a submission without those that every one has, and without the script."""
    own = {"-w": 1, "-r": 1, "-j": 1, "-o": 1, "-S": 1, "-t": 1, "-N": 1}
    left, words = [], words[1:-1]
    seen = set()
    while words:
        word = words.pop(0)
        if word in own and kind is GridEngine and word not in seen:
            seen.add(word)
            words = words[own[word]:]
        elif word in ("-terse", "-cwd", "-notify", "--parsable", "--no-requeue") \
                or word.startswith(("--output", "--open-mode", "--array", "--chdir")):
            continue
        elif word == "-j":
            words.pop(0)
        else:
            left.append(word)
    return " ".join(left)


def submission(kind: type, options: tuple[str, ...], command: tuple[str, ...] = ARRAY) -> list[str]:
    request = parse(["x.pl", *options, *command])
    settings = conf.load(request.options.get("config"), kind.conf, kind.settings)
    return kind(request, settings).submission("log/q/x.sh", "log/q/x.log", pick(request)[0])


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/own.conf").write_text("command qsub -cwd -S /bin/bash -j y\noption foo=* -foo $0\n")
    return tmp_path


@pytest.mark.parametrize("kind, column", [(GridEngine, 1), (Slurm, 2)], ids=["queue.pl", "slurm.pl"])
@pytest.mark.parametrize("call", CALLS, ids=lambda call: " ".join(call[0]) or "plain")
def test_what_the_batch_systems_get(call, kind, column):
    if call[column] == REFUSED:
        with pytest.raises(InputError):
            submission(kind, call[0])
        return
    if kind is Slurm and "--config" in call[0]:
        Path("conf/own.conf").write_text("command sbatch\noption foo=* -foo $0\n")
    words = submission(kind, call[0])
    assert words[0] == ("qsub" if kind is GridEngine else "sbatch") and words[-1] == "log/q/x.sh"
    assert rest(words, kind) == call[column]
    assert ("1-4" in words) if kind is GridEngine else ("--array=1-4" in words)


@pytest.mark.parametrize("options", [call[0] for call in CALLS], ids=lambda options: " ".join(options) or "plain")
def test_run_pl_reads_and_runs_them_all(folder, options):
    if "-V" in options:
        (folder / "path.sh").touch()
    done = subprocess.run([sys.executable, ROOT / "utils/run.pl", *options, *ARRAY], cwd=folder, text=True, capture_output=True,
                          timeout=60, env={**os.environ, "CUDA_VISIBLE_DEVICES": "0"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [(folder / f"log/x.{n}.log").read_text().splitlines()[3] for n in (1, 2, 3, 4)] == ["1", "2", "3", "4"]


def test_limits_of_arrays_and_single_jobs():
    limited = ("--max-jobs-run", "10", "-tc", "7", "--max-jobs-run=20")
    assert " ".join(submission(GridEngine, limited)).count("-tc 7") == 1 and "--array=1-4%7" in submission(Slurm, limited)
    single = ("log/x.log", "true")
    assert "-tc" not in submission(GridEngine, limited, single) and "-t" not in submission(GridEngine, limited, single)
    assert not any(word.startswith("--array") for word in submission(Slurm, limited, single))


@pytest.mark.parametrize("limit, slurm, gridengine", [("1:0:0", 120, 3480), ("0:4:0", 60, 180), ("", 120, 0)])
def test_a_warning_comes_before_the_limit_when_a_job_may_be_started_again(limit, slurm, gridengine):
    options = ("--requeue", "true", *(["--time", limit] if limit else []))
    assert f"--signal=B:USR1@{slurm}" in submission(Slurm, options)
    assert [word for word in submission(GridEngine, options) if "s_rt" in word] == ([f"s_rt={gridengine}"] if limit else [])
    assert not any("signal" in word or "s_rt" in word for kind in (Slurm, GridEngine) for word in submission(kind, options[2:]))


@pytest.mark.parametrize("words, options, gridengine, slurm", [
    ("", ("-l", "h_rt=0:4:0"), 180, 120),                     # Kaldi's way
    ("", ("-l", "mem_free=1G,h_rt=240,gpu=1"), 180, 120),
    ("", ("-l", "h_rt=9:0:0", "--time", "0:4:0"), 180, 60),   # the last one counts, as for qsub
    ("-l h_rt=0:4:0", (), 180, 120),
    ("-l h_rt=0:4:0", ("-l", "h_rt=INFINITY"), 0, 120),       # no limit, whatever stood before
    ("", ("-t", "4"), None, 60),
    ("--time=0-0:4", (), None, 60),
    ("--time-min=4", (), None, 120),
])
def test_a_limit_counts_in_whatever_words_it_stands(words, options, gridengine, slurm):
    for kind, option in ((GridEngine, "option time=* -l h_rt=$0"), (Slurm, "option time=* --time $0")):
        Path("conf", kind.conf).write_text(f"command {'qsub' if kind is GridEngine else 'sbatch'} {words}\n{option}\n")
    assert f"--signal=B:USR1@{slurm}" in submission(Slurm, ("--requeue", "true", *options))
    found = [word for word in submission(GridEngine, ("--requeue", "true", *options)) if "s_rt=" in word]
    assert found == ([f"s_rt={gridengine}"] if gridengine else [])


def test_defaults_of_the_conf_count_as_if_they_were_given():
    text = "default time=0:4:0\ndefault gpu=2\ndefault num_threads=3\ndefault requeue=true\ndefault max_jobs_run=2\n"
    for kind in (GridEngine, Slurm):
        Path("conf", kind.conf).write_text(f"{kind.settings}\n{text}")
    words = submission(GridEngine, ())
    assert "s_rt=180" in words and words[words.index("-tc") + 1] == "2"
    assert {"--signal=B:USR1@60", "--array=1-4%2", "--gres=gpu:2"} <= set(submission(Slurm, ("--num-threads", "1")))
    assert "s_rt=240" not in (given := submission(GridEngine, ("--requeue", "false", "--gpu", "0"))) and "gpu=2" not in given
    with pytest.raises(InputError, match="wait for each other"):
        submission(Slurm, ("--together", "true"))
    Path("conf/slurm.conf").write_text("command sbatch\ndefault gpu=one\noption gpu=* --gres=gpu:$0\n")
    with pytest.raises(InputError, match=r"--gpu, a default of conf/slurm\.conf, takes a whole number"):
        submission(Slurm, ())


@pytest.mark.parametrize("line", ["option max_jobs_run=*", "option max_jobs_run=* -tc $0", "option max-jobs-run=* -tc $0", ""])
def test_a_conf_that_describes_the_limit_of_arrays_loses_nothing(line):
    for kind, program in ((GridEngine, "qsub"), (Slurm, "sbatch")):
        Path("conf", kind.conf).write_text(f"command {program}\n{line}\n")
    limited, single = ("--max-jobs-run", "2"), ("log/x.log", "true")
    words = submission(GridEngine, limited)
    assert words.count("-tc") == 1 and words[words.index("-tc") + 1] == "2"
    assert "--array=1-4%2" in (words := submission(Slurm, limited)) and "-tc" not in words
    assert not any("-tc" in submission(kind, limited, single) for kind in (GridEngine, Slurm))


def test_the_conf_beats_our_own_words():
    Path("conf/slurm.conf").write_text("command sbatch --signal=B:USR1@600 --no-requeue\n")
    words = submission(Slurm, ("--requeue", "true"))
    assert words.index("--signal=B:USR1@120") < words.index("--signal=B:USR1@600")   # the last one counts


def test_an_array_with_gaps():
    request = parse(["x.pl", *ARRAY])
    assert "--array=1,3-4" in Slurm(request, conf.parse(Slurm.settings, "x")).submission("s", "l", [1, 3, 4])
    engine = GridEngine(request, conf.parse(GridEngine.settings, "x"))
    words = engine.submission("s", "l", [2, 5, 9])
    assert words[words.index("-t") + 1] == "1-3"
    number, places = engine.task_number([2, 5, 9])
    assert places == {2: 1, 5: 2, 9: 3}
    assert subprocess.run(["bash", "-c", f"echo {number}"], env={"SGE_TASK_ID": "2"}, text=True, capture_output=True).stdout == "5\n"


def test_pipes_and_quotes_act_as_in_kaldi(folder):
    words = ("log/p.log", "printf", r"'b\nb\na\n'", "|", "sort", "|", "uniq", "-c", "|", "cat", "-", "two words", ">", "out")
    (folder / "two words").write_text("it's\n")
    done = subprocess.run([sys.executable, ROOT / "utils/run.pl", *words], cwd=folder, text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert (folder / "out").read_text().split() == ["1", "a", "2", "b", "it's"]


@pytest.mark.parametrize("words", [
    ("JOB=1:" + "9" * 5000, "x.JOB.log", "true"), ("JOB=1:999999999999", "x.JOB.log", "true"),
        ("--num-threads", "9" * 5000, "x.log", "true"),
    ("--gpu", "\u00b2", "x.log", "true"), ("--requeue", "A" * 5000, "x.log", "true"), ("", "true")])
def test_numbers_of_no_bounds_and_logs_of_no_name_are_refused_shortly(words):
    with pytest.raises(InputError) as raised:
        parse(["run.pl", *words])
    assert len(str(raised.value)) <= 160
