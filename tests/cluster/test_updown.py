"""The scripts that bring a private batch system up and take it down, when a part of it is gone."""
import os
import signal
import subprocess

import pytest
from systems import INSTALLED, ROOT, TOOLS, System, bring_up, take_down


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(INSTALLED))
@pytest.mark.parametrize("which", [0, -1], ids=["its master", "its last daemon"])
def test_what_is_half_up_is_started_anew(name, which, tmp_path):
    folder = tmp_path / "own"
    try:
        bring_up(name, folder)
        lost, *_ = daemons(folder)[which:]
        os.kill(lost, signal.SIGKILL)
        again = subprocess.run([TOOLS / f"{name}_up.sh", folder], text=True, capture_output=True, timeout=200, check=True)
        assert "only a part of it is up" in again.stdout and "already" not in again.stdout
        assert len(daemons(folder)) == 2 and lost not in daemons(folder)
        system: System = bring_up(name, folder)   # it is up already
        result = system.run(tmp_path, "l.log", "echo", "works")
        assert result.returncode == 0 and "works" in (tmp_path / "l.log").read_text(), result.stderr
    finally:
        take_down(name, folder)
    assert not folder.exists()


def daemons(folder):
    return [int(line.split()[0]) for line in (folder / "pids").read_text().splitlines()]


def test_a_daemon_that_ends_just_before_it_is_stopped_does_not_keep_the_others_up(tmp_path):
    """Here one is taken for living that is gone when it is to be killed."""
    script = f""". {ROOT}/tools/cluster/common.sh
dir={tmp_path}
sleep 300 & record $!
true & gone=$!
wait $gone
echo $gone 1 >> $dir/pids
ours() {{ [ $1 = $gone ] || [ "$(begun $1)" = "$2" ]; }}
stop_recorded
wait
"""
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
