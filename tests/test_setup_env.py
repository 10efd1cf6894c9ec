"""tools/setup_env.sh on a small copy of the repository, whose setup.py asks for what is quick to satisfy."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SETUP = 'from setuptools import setup\nsetup(name="x", install_requires=[{}], extras_require={{"dev": []}})\n'


@pytest.fixture
def copy(tmp_path):
    for name in ("tools/setup_env.sh", "utils/python_ready.sh", "sslspk/__init__.py", "sslspk/errors.py", "sslspk/progress.py",
                 "sslspk/versions.py", "sslspk/launch/__init__.py", "sslspk/launch/threads.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "setup.py").write_text(SETUP.format(""))
    (tmp_path / "tools/constraints.txt").touch()
    (tmp_path / "tool.sh").write_text("set -euo pipefail\n. tools/setup_env.sh\n"
                                      "python3 -c 'import sys, sslspk; print(sys.prefix, sslspk.__file__)'\n")
    return tmp_path


def use(folder: Path, **environment: str) -> subprocess.CompletedProcess:
    clean = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONPATH")}
    return subprocess.run(["bash", "tool.sh"], cwd=folder, text=True, capture_output=True, timeout=120,
                          env={**clean, **environment})


def test_environment_is_made_once(copy):
    first = use(copy)
    assert first.returncode == 0, first.stderr
    assert "making the virtual environment" in first.stderr
    assert first.stdout == f"{copy}/.venv {copy}/sslspk/__init__.py\n"
    stamp = copy / ".venv/.sslspk-ready"
    before = stamp.stat().st_mtime_ns
    second = use(copy)
    assert (second.stdout, second.stderr) == (first.stdout, "")
    assert stamp.stat().st_mtime_ns == before
    (copy / "setup.py").write_text(SETUP.format('"pip>=1"'))
    assert use(copy).returncode == 0
    assert stamp.stat().st_mtime_ns > before


def test_an_environment_older_than_the_command_gets_it(tmp_path_factory, copy):
    """Without pip, which would need the network; from any folder, with this checkout's package. A link's environment is another's."""
    place = tmp_path_factory.mktemp("a folder") / "of mine"
    copy.rename(place)
    (place / "sslspk/cli.py").write_text("import sys\n\n\ndef main():\n    print(sys.prefix, sys.argv[1:])\n    return 3\n")
    assert use(place, PIP_NO_INDEX="1").returncode == 0
    command = place / ".venv/bin/sslspk"
    for elsewhere in (False, True):
        command.unlink(missing_ok=True)
        if elsewhere:
            (place / ".venv").rename(place / "environment")
            (place / ".venv").symlink_to("environment")
        done = use(place, PIP_NO_INDEX="1")
        assert done.returncode == 0, done.stderr
        assert command.exists() != elsewhere
        if not elsewhere:
            said = subprocess.run([command, "a b"], cwd="/", text=True, capture_output=True)
            assert (said.returncode, said.stdout) == (3, f"{place}/.venv ['a b']\n"), said.stderr


def test_active_environment_is_used_when_it_satisfies(copy):
    (copy / "setup.py").write_text(SETUP.format('"torch>=2.6,<2.12"'))
    active = use(copy, VIRTUAL_ENV=sys.prefix)
    assert active.returncode == 0, active.stderr
    assert active.stdout.split()[0] == sys.prefix
    assert not (copy / ".venv").exists()


def test_an_environment_that_changed_is_looked_at_again(copy):
    assert use(copy).returncode == 0
    stamp = copy / ".venv/.sslspk-ready"
    before = stamp.read_text()
    site = next((copy / ".venv/lib").glob("python3*/site-packages"))
    (site / "torchaudio-2.11.1.dist-info").mkdir()
    assert use(copy).returncode == 0
    assert stamp.read_text().startswith(before) and len(stamp.read_text().splitlines()) == 2


def test_pip_reads_the_constraints(copy):
    (copy / "setup.py").write_text(SETUP.format('"sslspk-no-such-package>=1"'))
    (copy / "tools/constraints.txt").write_text("no requirement at all\n")
    result = use(copy, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(copy))
    assert result.returncode != 0 and "from line 1 of" in result.stderr and "tools/constraints.txt" in result.stderr


def test_failed_installation_leaves_no_stamp(copy):
    (copy / "setup.py").write_text(SETUP.format('"sslspk-no-such-package>=9"'))
    result = use(copy, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(copy))
    assert result.returncode != 0
    assert result.stdout == ""
    assert not (copy / ".venv/.sslspk-ready").exists()
