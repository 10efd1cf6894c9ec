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
    assert "torch>=2.6,<2.12" in wanted and not any(item.startswith("pytest") for item in wanted)
    assert versions.unmet(versions.requirements(str(ROOT / "setup.py"), dev=True)) == []


def test_constraints_are_within_setup_py():
    """Each pinned version of tools/constraints.txt satisfies setup.py, and everything that setup.py names is pinned."""
    pins = [line.split(";")[0].strip() for line in (ROOT / "tools/constraints.txt").read_text().splitlines() if line[:1] not in ("", "#")]
    wanted = {name.lower().replace(".", "-"): bounds
              for name, bounds in map(versions._parts, versions.requirements(str(ROOT / "setup.py"), dev=True))}
    seen = set()
    for name, pinned in (pin.split("==") for pin in pins):
        for bound in wanted.get(name, ()):
            assert versions._holds(pinned, bound), f"{name}=={pinned} {bound}"
        seen.add(name)
    assert seen >= set(wanted)


def test_lowest_versions_are_the_lower_bounds():
    assert versions.lowest(["torch>=2.6,<2.12", "av>=12,!=13.1"]) == ["torch==2.6", "av==12"]


def test_unmet_requirements_are_named():
    have = versions.version("numpy")
    major = int(have.split(".")[0])
    problems = versions.unmet([f"numpy>={major}", f"numpy>={major + 1}", f"numpy>=0.1,<{major}", "no-such-thing-here>=1"])
    assert problems == [f"numpy is {have} (numpy>={major + 1} is needed)", f"numpy is {have} (numpy>=0.1,<{major} is needed)",
                        "no-such-thing-here is not installed (no-such-thing-here>=1 is needed)"]


def packages(folder: Path, torch: str = "", torchaudio: str = "") -> dict[str, str]:
    """An environment in which these files stand before the real packages."""
    for name, text in (("torch", torch), ("torchaudio", torchaudio)):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(text)
    return {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}


@pytest.mark.parametrize("torch, torchaudio, parts", [
    ("", "", None),
    ("", "raise OSError('libx.so: undefined symbol: aoti_torch_abi')", ("torchaudio", "do not load together", "undefined symbol")),
    ("import os; os.abort()", "", ("exit status -6",)),
])
def test_the_pair_is_judged_by_importing_it(tmp_path, monkeypatch, torch, torchaudio, parts):
    monkeypatch.setenv("PYTHONPATH", packages(tmp_path, torch, torchaudio)["PYTHONPATH"])
    problem = versions.pair_problem()
    assert (problem is None) == (parts is None)
    for part in parts or ():
        assert part in problem


@pytest.mark.parametrize("torchaudio, program, part", [
    ("raise OSError('libx.so: undefined symbol: aoti_torch_abi')", "import torchaudio", "do not load together"),
    ("", "import kaldiio.no_such_part", "has no package kaldiio"),
])
def test_a_package_that_does_not_load_is_one_sentence_in_every_program(tmp_path, torchaudio, program, part):
    """As `python3 -m sslspk.bin.X` or a script of the checkout meets it: at an import, before main has begun."""
    environment = packages(tmp_path, "", torchaudio)
    code = f"import sys; sys.argv[0] = '-m'; import sslspk; sys.argv[0] = 'train.py'; {program}"
    done = subprocess.run([sys.executable, "-c", code], env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 1 and done.stderr.startswith("train.py: error: ") and part in done.stderr
    assert len(done.stderr.splitlines()) == 1 and f"bash {ROOT}/tools/setup_env.sh" in done.stderr


def test_other_mistakes_keep_their_traceback(tmp_path):
    code = "import sys; sys.argv[0] = '-m'; import sslspk; import sslspk.no_such_module"
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True, capture_output=True)
    assert done.returncode == 1 and done.stderr.startswith("Traceback")


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


def test_a_pair_that_does_not_load_fails_with_the_command_that_mends_it(tmp_path):
    packages(tmp_path, "", "raise OSError('undefined symbol: x')")
    result = check_env(path=str(tmp_path))
    assert result.returncode == 1 and "do not load together" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("check_env.py: mend it with: ")


def test_missing_developer_tools_are_no_error(tmp_path):
    """A pytest that is too old stands before the real one."""
    info = tmp_path / "pytest-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pytest\nVersion: 1.0\n")
    result = check_env(path=str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert "for tests, pytest is 1.0 (pytest>=8 is needed)" in result.stdout
