"""A recipe, a step or a tool finds its own checkout and a Python that has what it needs, or says in one sentence what is wrong."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from recipe_copy import LINKS, ROOT
from small_models import voice, wav

from sslspk.io import table

SHOW = '. ./path.sh && echo "$SSLSPK_ROOT $(cd / && python3 -c "import sslspk; print(sslspk.__file__)") $PYTHONPATH"'


def sh(*words: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("SSLSPK") and key != "PYTHONPATH"}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(list(map(str, words)), cwd=cwd, text=True, capture_output=True, check=False,
                          env={**clean, "PATH": path, "VIRTUAL_ENV": sys.prefix, **environment})


def refused(done: subprocess.CompletedProcess, *parts: object) -> None:
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    for part in (": error: ", *parts):
        assert str(part) in done.stderr


def test_a_recipe_behind_a_link_finds_its_checkout(tmp_path):
    (tmp_path / "vox").symlink_to(ROOT / "egs/voxceleb")
    done = sh("bash", "-c", SHOW, cwd=tmp_path / "vox", PWD=str(tmp_path / "vox"))
    assert done.stdout.split()[:2] == [str(ROOT), str(ROOT / "sslspk/__init__.py")], done.stderr


def test_an_sslspk_of_another_checkout_on_the_path_comes_second(tmp_path):
    (tmp_path / "sslspk").mkdir()
    (tmp_path / "sslspk/__init__.py").write_text("raise SystemExit('the wrong one')\n")
    for path in (str(tmp_path), f"{tmp_path}:{ROOT}"):
        done = sh("bash", "-c", SHOW, cwd=ROOT / "egs/voxceleb", PYTHONPATH=path)
        assert done.stdout.split()[1:] == [str(ROOT / "sslspk/__init__.py"), f"{ROOT}:{path}"], done.stderr


@pytest.mark.parametrize("script, words, part", [
    ("voxceleb/run.sh", ("--system", "no-such"), "there is no conf/no-such.yaml"),
    ("iemocap/run.sh", ("--folds", "x"), "--folds takes session or speaker"),
    ("adress/run.sh", ("--pool", "x"), "--pool takes"),
    ("transfer/run_study.sh", ("--tasks", "iemocap"), f"there is no ../iemocap/run.sh, which this script runs; run it in {ROOT}/egs/"),
])
def test_a_copied_recipe_says_how_to_link_it_and_then_works(tmp_path, script, words, part):
    recipe, name = script.split("/")
    copy = shutil.copytree(ROOT / "egs" / recipe, tmp_path / "copy", symlinks=True)
    refused(sh(f"./{name}", cwd=copy), copy, "ln -sfn CHECKOUT/{steps,utils,local} .")
    assert sh("bash", "-c", f"ln -sfn {ROOT}/{{steps,utils,local}} .", cwd=copy).returncode == 0
    refused(sh(f"./{name}", *words, cwd=copy), part)


@pytest.mark.parametrize("name", ["path.sh", "conf/slurm.conf", "conf/queue.conf"])
def test_files_that_each_recipe_has_are_the_same(name):
    found = [path for recipe in sorted((ROOT / "egs").iterdir()) if (path := recipe / name).exists()]
    assert len(found) >= 3 and not any(path.is_symlink() for path in found)   # a copied recipe takes them along
    assert len({path.read_bytes() for path in found}) == 1


def test_a_recipe_copied_with_what_its_links_show_is_refused(tmp_path):
    for name in LINKS:
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "egs/voxceleb/path.sh", tmp_path)
    refused(sh("bash", "-c", ". ./path.sh", cwd=tmp_path), f"{tmp_path} is no checkout of sslspk", "ln -s CHECKOUT/")


@pytest.mark.parametrize("name", [*sorted(f"local/{path.name}" for path in ROOT.glob("local/*.sh")), "egs/voxceleb/local/embed.sh"])
def test_a_part_of_recipes_called_from_elsewhere_says_where_to_go(tmp_path, name):
    refused(sh(ROOT / name, "a", "b", cwd=tmp_path), f"{tmp_path} is no recipe; cd to one", f"ln -sfn {ROOT}/{{steps,utils,local}} .")


@pytest.mark.parametrize("others", [False, True])
def test_a_step_runs_from_any_folder(tmp_path, others):
    """Also where a utils/ of something else lies; a path.sh there is read."""
    wav(tmp_path / "a.wav", voice(0.3))
    (tmp_path / "data").mkdir()
    table.write(tmp_path / "data/wav.scp", {"a": "a.wav"})
    if others:
        (tmp_path / "utils").mkdir()
        for name in ("run.pl", "validate_data_dir.sh"):
            (tmp_path / "utils" / name).write_text("#!/bin/sh\nexit 9\n")
            (tmp_path / "utils" / name).chmod(0o755)
        (tmp_path / "path.sh").write_text("echo read here\n")
    done = sh(ROOT / "egs/voxceleb/steps/pack_audio.sh", "--nj", 1, "data", "packed", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "packed/wav.scp").read_text().startswith("a ") and ("read here" in done.stdout) == others


@pytest.mark.parametrize("name", [path.name for path in sorted((ROOT / "egs/voxceleb").glob("run*.sh"))])
def test_a_recipe_called_from_elsewhere_says_where_to_go(tmp_path, name):
    refused(sh(ROOT / "egs/voxceleb" / name, cwd=tmp_path), f"run it from its folder: cd {ROOT}/egs/voxceleb")


def test_a_tool_for_data_directories_works_from_anywhere(tmp_path):
    done = sh(ROOT / "utils/validate_data_dir.sh", "x", cwd=tmp_path)
    assert done.returncode == 1 and "x is not a data directory" in done.stderr


@pytest.mark.parametrize("name", [*(f"local/{path.name}" for path in sorted((ROOT / "local").glob("*.py"))),
                                  *(f"tools/{path.name}" for path in sorted((ROOT / "tools").glob("*.py")))])
def test_a_program_finds_its_checkout_or_names_the_package_that_is_missing(tmp_path, name):
    (tmp_path / "sslspk").mkdir()
    (tmp_path / "sslspk/__init__.py").write_text("raise SystemExit('the wrong one')\n")
    (tmp_path / "link").symlink_to(ROOT / name)
    done = sh(sys.executable, "-S", tmp_path / "link", "--help", cwd=tmp_path, PYTHONPATH=str(tmp_path))   # -S: no packages
    if done.returncode == 0:
        assert done.stdout.startswith("usage:"), done.stdout
    else:
        refused(done, "has no package", f"bash {ROOT}/tools/setup_env.sh")


@pytest.mark.parametrize("python, part", [
    ("#!/bin/sh\necho Python 3.9.2; exit 1\n", "Python 3.9.2 is none of Python 3.10 to 3.13"),
    (f"#!/bin/sh\nexec {sys.base_exec_prefix}/bin/python3 -S \"$@\"\n", "torch is not installed"),
])
def test_a_python_without_what_is_needed_is_told_with_the_command_that_mends_it(tmp_path, python, part):
    shutil.copytree(ROOT / "utils", tmp_path / "utils")
    for name in ("sslspk", "setup.py"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "path.sh").write_text((ROOT / "egs/voxceleb/path.sh").read_text())
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3").write_text(python)
    (tmp_path / "bin/python3").chmod(0o755)
    environment = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "VIRTUAL_ENV": str(tmp_path)}
    done = sh("bash", "-c", "set -e; . ./path.sh; echo here", cwd=tmp_path, **environment)
    assert done.returncode == 1 and part in done.stderr and "here" not in done.stdout
    assert done.stderr.splitlines()[-1].endswith(f"run: bash {tmp_path}/tools/setup_env.sh")
