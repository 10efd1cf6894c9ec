"""What no machine of a Grid Engine can ever give is refused before it is submitted; qsub's own check knows no loads such as mem_free."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sslspk.launch.gridengine import _size, _without_loads

ROOT = Path(__file__).resolve().parents[2]
LOAD = "<resourcevalue name='{}' dominance='{}'>{}</resourcevalue>"
QSUB = """#!/bin/bash
echo "$*" >> asked
case $* in
  *-w\\ v*gpu=9*|*gpu=9*-w\\ v*) echo 'Job 7 cannot run ... verification: no suitable queues' >&2; exit 1 ;;
  *"-w v"*) exit 0 ;;
esac
JOB_ID=7 bash "${@: -1}" > /dev/null 2>&1 < /dev/null
echo 7
"""


def host(**loads: str) -> str:
    """A machine of qhost's listing; of a load c... the site counts what is left."""
    listed = [LOAD.format(name.removeprefix("c"), "hc" if name.startswith("c") else "hl", text) for name, text in loads.items()]
    return f"<host name='n'>{''.join(listed)}</host>"


@pytest.fixture
def queue(tmp_path):
    (tmp_path / "bin").mkdir()

    def run(hosts: list[str], *words: str) -> subprocess.CompletedProcess:
        listing = f"<qhost><host name='global'></host>{''.join(hosts)}</qhost>" if hosts else ""
        for name, body in (("qsub", QSUB), ("qhost", f'#!/bin/bash\ncat << "END"\n{listing}\nEND\n')):
            (tmp_path / "bin" / name).write_text(body)
            (tmp_path / "bin" / name).chmod(0o755)
        return subprocess.run([sys.executable, ROOT / "utils/queue.pl", *words, "l.log", "true"], cwd=tmp_path, text=True, timeout=60,
                              capture_output=True, env={**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"})
    run.asked = tmp_path / "asked"
    return run


SMALL, LARGE = host(mem_free="1.0G", mem_total="31.2G"), host(mem_free="20.1G", mem_total="125.7G", swap_total="2.000G")


@pytest.mark.parametrize("hosts, words, told", [
    ([SMALL, LARGE], ("--mem", "900G"), "mem_free=900G is more than the mem_total of any machine, 125.7G at most"),
    ([SMALL, LARGE], ("-l", "gpu=1,mem_free=0.5T"), "mem_free=0.5T"),
    ([LARGE], ("--mem", "1G", "-l", "swap_free=3G"), "swap_free=3G is more than the swap_total of any machine, 2.000G"),
    ([LARGE], ("--mem", "1G", "--gpu", "9"), "Job 7 cannot run"),
])
def test_refused(queue, hosts, words, told):
    done = queue(hosts, *words)
    assert done.returncode == 1 and done.stderr.startswith("queue.pl: error: Grid Engine refused the job (") and told in done.stderr
    assert "ask for less" in done.stderr
    assert not queue.asked.exists() or all("-w v" in line for line in queue.asked.read_text().splitlines())


@pytest.mark.parametrize("hosts, words", [
    ([SMALL, LARGE], ("--mem", "120G")),                                   # which is not free now
    ([SMALL, host()], ("--mem", "900G")),                                  # one that is down may have it
    ([], ("--mem", "900G")),                                               # qhost does not answer
    ([host(cmem_free="64.0G", mem_total="31.2G")], ("--mem", "60G")),      # the site counts it, and more than there is
    ([SMALL], ("-l", "mem_free=900G", "-w", "n")),                         # who says so wants no check
])
def test_submitted(queue, hosts, words):
    done = queue(hosts, *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line for line in queue.asked.read_text().splitlines() if "-w v" not in line]


def test_the_question_leaves_out_what_qsub_cannot_judge():
    words = ["qsub", "-l", "mem_free=1G", "-l", "gpu=1,cpu=3,h_rt=60", "-N", "x", "-l", "arch=x"]
    assert _without_loads(words) == ["qsub", "-l", "gpu=1,h_rt=60", "-N", "x", "-l", "arch=x"]


@pytest.mark.parametrize("text, size", [("1K", 1024), ("1k", 1000), ("2.5M", 2.5 * 1024**2), ("3", 3), ("0.000", 0), ("-", 0), ("1G2", 0)])
def test_sizes(text, size):
    assert _size(text) == size
