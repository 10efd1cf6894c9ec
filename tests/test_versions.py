"""Requirements and the pair of torch and torchaudio, and what tools/check_env.py makes of them."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sslspk import versions

ROOT = Path(__file__).resolve().parent.parent


def test_this_environment_satisfies_setup_py():
    wanted = versions.requirements(str(ROOT / "setup.py"))
    assert "torch>=2.6,<2.12" in wanted and any(item.startswith("pytest>") for item in wanted)
    assert versions.unmet(wanted) == []
    versions.check_torch_pair()


def test_unmet_requirements_are_named():
    have = versions.version("numpy")
    major = int(have.split(".")[0])
    problems = versions.unmet([f"numpy>={major}", f"numpy>={major + 1}", f"numpy>=0.1,<{major}", "no-such-thing-here>=1"])
    assert problems == [f"numpy is {have} (numpy>={major + 1} is needed)", f"numpy is {have} (numpy>=0.1,<{major} is needed)",
                        "no-such-thing-here is not installed (no-such-thing-here>=1 is needed)"]


@pytest.mark.parametrize("torch, torchaudio, parts", [
    ("2.11.0", "2.11.0", None),
    ("2.11.0+cu128", "2.11.1", None),
    ("2.12.0", "2.11.0", ("2.12.0", "2.11.0", "torchaudio==2.12.*")),
    ("2.1.0", "2.11.0", ("torchaudio==2.1.*",)),
    ("2.9.1", None, ("not installed", "torchaudio==2.9.*")),
    (None, None, ("torch is not installed", "pip install")),
])
def test_torch_and_torchaudio_must_be_of_one_minor(torch, torchaudio, parts):
    problem = versions.torch_pair_problem(torch, torchaudio)
    assert (problem is None) == (parts is None)
    for part in parts or ():
        assert part in problem


def check_env(*words: str, path: str = "", **environment: str) -> subprocess.CompletedProcess:
    clean = {key: value for key, value in os.environ.items() if key not in ("SSLSPK_CORPORA", "VOXCELEB1", "MUSAN")}
    return subprocess.run([sys.executable, ROOT / "tools/check_env.py", *words], text=True, capture_output=True, timeout=60,
                          env={**clean, "VIRTUAL_ENV": sys.prefix, "PYTHONPATH": path, **environment})


def test_report_finds_corpora_where_they_are_given(tmp_path):
    (tmp_path / "VoxCeleb1/dev/wav").mkdir(parents=True)
    (tmp_path / "other/noise").mkdir(parents=True)
    result = check_env("--musan", str(tmp_path / "other"), "--voxceleb2", str(tmp_path), SSLSPK_CORPORA=str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert f"voxceleb1: {tmp_path}/VoxCeleb1 (from SSLSPK_CORPORA)" in result.stdout
    assert f"musan: {tmp_path}/other (from --musan)" in result.stdout
    assert f"voxceleb2: not found; {tmp_path} (--voxceleb2) holds none of dev/aac" in result.stdout
    for part in ("Python 3", "torch 2.", "GPUs:", "GB free", "CPU cores"):
        assert part in result.stdout


def test_a_mismatched_pair_fails_with_what_to_install(tmp_path):
    """A distribution in front of the real one, as an upgrade of torch alone would leave it."""
    info = tmp_path / "torchaudio-2.6.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: torchaudio\nVersion: 2.6.0\n")
    result = check_env(path=str(tmp_path))
    assert result.returncode == 1
    minor = ".".join(versions.version("torch").split(".")[:2])
    assert f"torchaudio=={minor}.*" in result.stderr
