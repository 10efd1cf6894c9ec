"""The examples of README.md and docs/: what a reader copies runs."""
import io
import itertools
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
COMMAND = re.compile(r"(.*\| )?(sslspk|python3 -m sslspk\.bin\.show_config|"
                     r"\S*steps/(train_calibration|extract_embeddings)\.sh) ")


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
    (folder / "exp/dino_ecapa/progress.jsonl").write_text('{"step": 10, "loss": 2.5}\n')
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
        elif words.startswith("python3 "):
            monkeypatch.setenv("PYTHONPATH", str(ROOT))
            assert subprocess.run([sys.executable, *shlex.split(words)[1:]], capture_output=True, check=False).returncode == 0, line
        else:
            recipe_copy.run(copy, *shlex.split(words))


@pytest.mark.parametrize("path", [path for folder in ("tools", "tools/cluster") for path in sorted((ROOT / folder).glob("*.sh"))
                                  if path.name != "common.sh"], ids=lambda path: path.name)
def test_tools_explain_themselves(path, tmp_path):
    """And do nothing else; a word that they do not know is refused."""
    copy = shutil.copytree(ROOT / "tools", tmp_path / "tools") / path.relative_to(ROOT / "tools")
    for words, status in (("--help",), 0), (("--no-such-option",), 1):
        if path.name == "test.sh" and status:
            continue   # hands what it does not know to pytest
        done = subprocess.run([copy, *words], cwd=tmp_path, text=True, capture_output=True, timeout=60)
        assert done.returncode == status and ("usage: " in done.stdout or len(done.stderr.replace(str(tmp_path), "")) < 160), done
        assert sorted(found.name for found in tmp_path.iterdir()) == ["tools"]


PATHS = [*PAGES, ROOT / "utils/README.md"]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (path.parent / link).exists()] == []


def simple_commands():
    """(page, words) of every command of the pages."""
    for path in PAGES:
        for block in blocks(path, "bash"):
            for line in block.replace("\\\n", "").splitlines():
                for part in re.split(r"&&|\|", line.partition(" #")[0]):
                    if part.strip():
                        yield pytest.param(path, shlex.split(part), id=f"{path.name} {part.strip()[:60]}")


@pytest.mark.parametrize(("path", "words"), [*simple_commands()])
def test_every_command_names_what_is_there(path, words):
    """Scripts of recipes and folders are looked at below; what `sslspk` is given runs above."""
    name, *rest = words[1:] if words[0] in ("bash", "python3") else words
    if words[:2] == ["python3", "-m"]:
        name = f"{words[2].replace('.', '/')}.py"
    elif name in (".", "find", "pip", "sslspk") or name.startswith("./"):
        return
    elif name == "cd":
        assert (ROOT / "egs" / rest[0].split("/")[-1]).is_dir()
        return
    found = ROOT / re.sub(r"^(\.\./|work/voxceleb/)*", "", name)
    text = found.read_text(encoding="utf-8")
    program = ROOT / f"sslspk/bin/{found.stem}.py"
    text += program.read_text(encoding="utf-8") if program.exists() else ""
    for option in re.findall(r"^--[a-z][\w-]*", "\n".join(rest), re.MULTILINE):
        assert re.search(rf'^{option[2:].replace("-", "_")}=|"{option}"|{option}[|)]', text, re.MULTILINE), option


def recipe_commands():
    """(recipe, words) of every command of a recipe's scripts, where the page's `cd egs/X` has led."""
    for path in PAGES:
        place = "voxceleb"
        for block in blocks(path, "bash"):
            for line in block.replace("\\\n", "").splitlines():
                for part in line.partition("  #")[0].split("&&"):
                    words = shlex.split(part.partition(" #")[0])
                    if words[:1] == ["cd"]:
                        place = words[1].rstrip("/").split("/")[-1]
                    elif words and words[0].startswith("./"):
                        yield pytest.param(place, words, id=f"{path.name} {place} {' '.join(words)[:60]}")


@pytest.mark.parametrize(("recipe", "words"), [*recipe_commands()])
def test_commands_of_recipes_name_what_is_there(recipe, words):
    """The script, its options, its systems."""
    folder = ROOT / "egs" / recipe
    text = (folder / words[0]).read_text(encoding="utf-8")
    if "PASS=()" in text:
        text += (folder / "run.sh").read_text(encoding="utf-8")
    options = {word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)}
    assert {name for name in options if not re.search(rf"^{name[2:].replace('-', '_')}=", text, re.MULTILINE)} <= {"--help"}
    values = dict(itertools.pairwise(words))
    for system in " ".join(values.get(name, "") for name in ("--system", "--systems")).split():
        confs = folder / "../voxceleb/conf" if recipe == "own" else folder / "conf"
        assert (folder / system).exists() if system.endswith(".yaml") else (confs / f"{system}.yaml").exists(), system
