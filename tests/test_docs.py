"""The examples of README.md and docs/: what a reader copies runs."""
import io
import re
import shlex
import shutil
import subprocess
import sys

import foreign_weights
import numpy as np
import pytest
import recipe_copy
import small_models
from recipe_copy import ROOT
from small_models import voice, wav

from sslspk import cli
from sslspk.io import table

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"(.*\| )?(sslspk|steps/(train_calibration|extract_embeddings)\.sh) ")


def blocks(path, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands(path):
    """The lines of bash that run the console command, and what goes with it."""
    return [line.partition("  #")[0].rstrip() for block in blocks(path, "bash") for line in block.replace("\\\n", "").splitlines()
            if COMMAND.match(line)]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """What the pages name: exp/dino_ecapa, recordings, data directories, lists, weights of other toolkits."""
    folder = recipe_copy.make(tmp_path_factory.mktemp("docs"))
    small_models.write(folder / "exp/dino_ecapa")
    (folder / "recordings").mkdir()
    for place, name in enumerate(("a", "b", "recordings/c", "recordings/d")):
        wav(folder / f"{name}.wav", voice(0.6, 120 + 60 * place, place))
    wav(folder / "long.wav", voice(2.5))
    for name, kind in {"avg_model.pt": "ecapa", "embedding_model.ckpt": "speechbrain"}.items():
        foreign_weights.checkpoint(folder, kind).rename(folder / name)
    wav(folder / "stereo.wav", np.stack([voice(0.5), voice(0.5, 200)], 1))
    (folder / "notes.txt").write_text("no audio\n" * 20)
    for name in ("test", "held_out"):
        (folder / "data" / name).mkdir(parents=True)
        table.write(folder / f"data/{name}/wav.scp", {f"s{place}-u": str(folder / f"{path}.wav") for place, path in
                                                      enumerate(("a", "b", "recordings/c", "recordings/d"))})
        (folder / f"data/{name}/trials").write_text("s0-u s1-u target\ns2-u s3-u target\ns0-u s3-u nontarget\ns1-u s2-u nontarget\n")
    return folder


def test_there_are_examples():
    assert sum(len(commands(path)) for path in PAGES) > 10 and len(blocks(ROOT / "docs/python.md", "python")) > 6


@pytest.mark.parametrize("path", [path for path in PAGES if blocks(path, "python")], ids=lambda path: path.name)
def test_python(place, path, tmp_path):
    """All blocks of a page, one after the other, in a program of its own, as a reader would run them."""
    program = tmp_path / "page.py"
    program.write_text("\n".join(blocks(path, "python")))
    done = subprocess.run([sys.executable, program], cwd=place, text=True, capture_output=True, check=False,
                          env=recipe_copy.environment() | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("path", [path for path in PAGES if commands(path)], ids=lambda path: path.name)
def test_commands(place, path, monkeypatch, tmp_path):
    """In order; in this process where no other program takes part."""
    copy = shutil.copytree(place, tmp_path / "egs/voxceleb", symlinks=True)
    for link in recipe_copy.LINKS:
        (tmp_path / link).symlink_to(ROOT / link)
    monkeypatch.chdir(copy)
    for line in commands(path):
        before, _, words = line.rpartition("| ")
        if before:
            fed = subprocess.run(before, shell=True, text=True, capture_output=True, check=True).stdout
            monkeypatch.setattr("sys.stdin", io.StringIO(fed))
        if words.startswith("sslspk "):
            assert cli.run(shlex.split(words)[1:]) == 0, line
        else:
            recipe_copy.run(copy, *shlex.split(words))
