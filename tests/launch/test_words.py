"""What a user named reaches a job as it stands: utils/launch.sh through run.pl, and through the scripts that the batch systems get.

Every word and name that could be executed would make the file `canary`.
"""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STEP = f"""#!/usr/bin/env bash
set -euo pipefail
cmd=
set=()
. {ROOT}/utils/parse_options.sh
. {ROOT}/utils/launch.sh
launch "$cmd" --num-threads 1 JOB=1:2 "$1/log/x.$JOB.log" ONE=1 python3 dump.py "$1" "$1/split2/$JOB" "$JOB" "${{@:2}}" "${{set[@]}}"
"""
DUMP = "import json, os, sys; print(json.dumps([sys.argv[1:], os.environ['ONE']]))\n"
WORDS = ["", "a b", " a  b ", "a\nb\n", "\ttab\r", "it's", '"quoted" words', '{"a": 1, "b": [2]}', "{a,b}", "x{1..3}", "$HOME",
         "$(touch canary)", "reproduces=x$(touch${IFS}canary)", "`touch canary`", "a;touch canary", "a&touch canary",
         "a|touch canary", "a\ntouch canary", "> canary", "<(touch canary)", "*", "?", "[a-z]*", "~", "~root", "x=~/y",
         "#comment", "!x", "!!", "\\", "a\\ b\\n", "\\$(touch canary)", "'; touch canary; '", '"; touch canary; "', "$'\\n'",
         "-x", "--", "caf\u00e9 \u8a71", "a\u3000b\u00a0c", "\udcff\udcfe", "\x01\x7f", "%j %%", "JOB", "JOBS/NODE/JOB1",
         "x" * 5000]
NAMES = ["plain", "R&D;it's", '{"a": 1} {b,c}', "two  blanks ", "$(touch canary)`touch canary`${HOME}", "#~*?[a]!%j,$JOB_ID:x",
         "\\n\\", "~", "*", "caf\u00e9\u3000", "NODE.JOB1 JOB"]
# What sbatch and qsub do with a script, in as few words as possible; the others have nothing to say.
SUBMIT = """#!/bin/bash
[[ $* != *"-w v"* ]] || exit 0   # a question
for n in 1 2; do
  SLURM_ARRAY_JOB_ID=7 JOB_ID=7 SLURM_ARRAY_TASK_ID=$n SGE_TASK_ID=$n bash "${@: -1}" > /dev/null 2>&1 < /dev/null &
done
echo 7
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "step.sh").write_text(STEP)
    (tmp_path / "dump.py").write_text(DUMP)
    (tmp_path / "bin").mkdir()
    for name in ("sbatch", "qsub", "squeue", "qstat", "qhost"):
        (tmp_path / "bin" / name).write_text(SUBMIT if name in ("sbatch", "qsub") else "#!/bin/bash\n")
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path


def step(folder: Path, launcher: str, *words: str, **environment: str) -> subprocess.CompletedProcess:
    path = f"{folder}/bin:{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    return subprocess.run(["bash", "./step.sh", "--cmd", f"{ROOT}/utils/{launcher} --mem 1G", *words], cwd=folder, text=True,
                          capture_output=True, timeout=60, errors="replace", env={**os.environ, "PATH": path, **environment})


def arrived(folder: Path, name: str, *words: str) -> None:
    """Both jobs got the words, in the logs that bear the name, and nothing else has been made or done."""
    for job in (1, 2):
        lines = (folder / name / f"log/x.{job}.log").read_text(errors="surrogateescape").splitlines()
        given, one = json.loads(next(line for line in lines if line.startswith("[[")))
        assert given == [name, f"{name}/split2/{job}", str(job), *words] and one == "1"
    assert {path.name for path in folder.iterdir()} == {"step.sh", "dump.py", "bin", name}


@pytest.mark.parametrize("launcher", ["run.pl", "slurm.pl", "queue.pl"])
@pytest.mark.parametrize("name", NAMES)
def test_a_folder_of_any_name(folder, launcher, name):
    (folder / name).mkdir()
    done = step(folder, launcher, name)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    arrived(folder, name)


@pytest.mark.parametrize("launcher", ["run.pl", "slurm.pl", "queue.pl"])
@pytest.mark.parametrize("language", ["C", "C.UTF-8", "POSIX"])
def test_words_of_any_kind(folder, launcher, language):
    sets = [f"--set={word}" for word in WORDS]
    done = step(folder, launcher, *sets, "exp", LC_ALL=language)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    arrived(folder, "exp", *WORDS)


@pytest.mark.parametrize("name", ["-x", "--help", "!", "(", ")", ",", "a\nb", "$(touch canary)\n", "-" + "x" * 200, "\n" * 200])
def test_names_that_no_program_could_read_are_refused(folder, name):
    done = step(folder, "run.pl", "--", "exp", name)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and done.stderr.startswith("./step.sh: error: the argument "), done.stderr
    assert len(done.stderr) <= 160 and not (folder / "exp").exists() and not (folder / "canary").exists()


def test_no_launcher(folder):
    done = subprocess.run(["bash", "./step.sh", "--cmd", " ", "exp"], cwd=folder, text=True, capture_output=True)
    assert (done.returncode, done.stderr) == (1, "./step.sh: error: --cmd names no launcher; give one such as --cmd utils/run.pl.\n")


def test_options_of_the_launcher_name_no_files(folder):
    (folder / "arch=x64").touch()
    (folder / "told.sh").write_text('#!/bin/bash\nprintf "%s|" "$@"\n')
    (folder / "told.sh").chmod(0o755)
    done = subprocess.run(["bash", "./step.sh", "--cmd", "./told.sh -l arch=*64*", "exp JOB"], cwd=folder, text=True, capture_output=True,
                          check=True)
    assert done.stdout.split("|")[:5] == ["-l", "arch=*64*", "--num-threads", "1", "JOB1=1:2"] and "exp JOB/log/x.JOB1.log|" in done.stdout


@pytest.mark.parametrize("word", ["x \\", "a b\\\\", "\\ c \\"])
def test_a_backslash_at_the_end_of_a_word_with_blanks_does_not_quote_the_quote(folder, word):
    done = subprocess.run([sys.executable, ROOT / "utils/run.pl", "x.log", "echo", word], cwd=folder, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    lines = (folder / "x.log").read_text().splitlines()
    assert word.replace("\\\\", "\\") in lines
