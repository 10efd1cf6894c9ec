"""The rules of the house, as tests: floors, torch-free floors, sizes, one step - one program, fast --help."""
import ast
import functools
import itertools
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sslspk.cli import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "sslspk"
FLOORS = (  # from the ground up; a module imports from its own package and from lower floors
    {"config", "branches", "launch", "errors", "progress", "plain_yaml", "reading", "versions"}, {"io"},
    {"corpora", "backend", "metrics", "ivector"}, {"features"}, {"data"}, {"losses"}, {"nn"}, {"encoders"}, {"methods"}, {"train"},
    {"api"}, {"export", "report"}, {"bin"}, {"cli"})
HEAVY = {"torch", "torchaudio", "scipy", "sklearn", "matplotlib"}
MODULES = sorted(PACKAGE.rglob("*.py"))
OWN_CODE = sorted([*MODULES, *(ROOT / "local").rglob("*.py"), *(ROOT / "tools").rglob("*.py")])
SCRIPTS = sorted(path for folder in ("steps", "utils", "local", "tools", "egs") for path in (ROOT / folder).rglob("*.sh")
                 if not path.is_symlink() and not any(part.is_symlink() for part in path.parents))
PROGRAMS = [path for path in sorted((PACKAGE / "bin").glob("*.py")) if path.name != "__init__.py"]
STEPS = sorted((ROOT / "steps").glob("*.sh"))


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def each(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=relative)


@functools.cache   # six tests read each file
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(tree: ast.AST, top_only: bool = False) -> set[str]:
    """Dotted names of what is imported; with top_only, of what importing the module itself imports."""
    found = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the floor"
            # Of `from sslspk import config` the name matters, of `from sslspk.io import ark` the module does already.
            found |= {f"sslspk.{alias.name}" for alias in node.names} if node.module == "sslspk" else {node.module}
        elif not (top_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)):
            found |= imports(node, top_only)
    return found


def floor_of(name: str) -> int:
    found = [level for level, names in enumerate(FLOORS) if name in names]
    assert found, f"sslspk/{name} stands on no floor; add it to the plan (docs/architecture.md) and here"
    return found[0]


def package_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_test_file_has_a_name_of_its_own():
    """pytest imports them all as modules without a package: of two with one name it takes one."""
    names = [path.name for path in (ROOT / "tests").rglob("*.py") if path.name != "conftest.py"]
    assert {name for name in names if names.count(name) > 1} == set()


def test_what_is_imported_is_declared():
    """A package that comes with another one today may not tomorrow: each that any file imports is in setup.py."""
    files = [path for folder in ("sslspk", "tests", "tools", "local") for path in (ROOT / folder).rglob("*.py")]
    own = {"sslspk", *(path.stem for path in files if path.is_relative_to(ROOT / "tests") or path.is_relative_to(ROOT / "tools")),
           *(path.parent.name for path in files)}
    declared = set(re.findall(r'"([a-z-]+)(?:\.yaml)?[><=]', (ROOT / "setup.py").read_text())) | {"sklearn"}
    for path in files:
        foreign = {name.split(".")[0] for name in imports(parse(path))} - own - set(sys.stdlib_module_names) - declared
        assert not foreign, f"{relative(path)} imports {', '.join(sorted(foreign))}, which setup.py does not name"


@each([path for path in MODULES if path != PACKAGE / "__init__.py"])
def test_imports_go_down(path):
    own = package_of(path)
    for name in imports(parse(path)):
        if name.startswith("sslspk."):
            other = name.split(".")[1]
            assert other == own or floor_of(other) < floor_of(own) or floor_of(own) == 0 == floor_of(other), \
                f"{relative(path)} imports {name}, which is not below it"


@each(MODULES)
def test_torch_stays_where_it_belongs(path):
    """Never below the features; where the rest must start fast (configs, registries, programs) not at the top level."""
    tree, own = parse(path), package_of(path)
    anywhere = {name.split(".")[0] for name in imports(tree)}
    at_import = {name.split(".")[0] for name in imports(tree, top_only=True)}
    if own in ("io", "corpora", "metrics", "backend", "ivector") or path.parent == PACKAGE:
        assert not anywhere & {"torch", "torchaudio"}
    if own in ("bin", "cli") or path.parent == PACKAGE or path.name == "__init__.py" or path.name.startswith("config"):
        assert not at_import & HEAVY
    if own == "io":
        allowed = {"numpy", "scipy", "kaldiio", "soundfile", "av", "sslspk"}
        assert anywhere - sys.stdlib_module_names <= allowed


def test_torchaudio_is_imported_in_one_feature_file_and_one_encoder_file():
    users = [path for path in MODULES if any(name.split(".")[0] == "torchaudio" for name in imports(parse(path)))]
    folders = [package_of(path) for path in users]
    assert set(folders) <= {"features", "encoders"}, [relative(path) for path in users]
    assert len(folders) == len(set(folders)), [relative(path) for path in users]


@each(OWN_CODE)
def test_bars_are_for_terminals(path):
    """sslspk.progress alone draws them, and knows what a log is."""
    drawn = any(name.split(".")[0] == "tqdm" for name in imports(parse(path)))
    assert not drawn or path == PACKAGE / "progress.py", f"{relative(path)}: loop over progress.over(...)"


@each(OWN_CODE)
def test_files_and_functions_are_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 40, f"{relative(path)}: {node.name} is longer than 40 lines"


@each(OWN_CODE)
def test_nothing_is_caught_blindly_and_no_name_is_made_at_run_time(path):
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.ExceptHandler):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            for kind in caught:
                assert kind is not None, f"{relative(path)}:{node.lineno}: a bare except"
                assert not (isinstance(kind, ast.Name) and kind.id in ("Exception", "BaseException")), \
                    f"{relative(path)}:{node.lineno}: except {kind.id}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("eval", "exec", "globals", "__import__"), f"{relative(path)}:{node.lineno}"


def test_classes_have_two_levels_at_most():
    """A contract and its implementations, above whatever a library gives; config models likewise."""
    bases: dict[str, set[str]] = {}
    for path in MODULES:
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.ClassDef):
                names = {base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in node.bases}
                bases.setdefault(node.name, set()).update(names - {"Config", node.name})

    def level(name: str) -> int:
        return 1 + max((level(base) for base in bases[name] if base in bases), default=0)

    assert {name: level(name) for name in bases if level(name) > 2} == {}


@each(sorted((ROOT / "egs").glob("*/run.sh")))
def test_stages_are_announced_as_the_head_of_the_recipe_calls_them(path):
    text = path.read_text()
    head = re.search(r"^# Stages: (.*(?:\n# \d.*)*)", text, re.M)[1].replace("\n# ", " ")
    stages = re.findall(r"at_stage (\d+) \"(.*)\"", text)
    assert ", ".join(f"{number} {name}" for number, name in stages) == head and len(stages) > 5


@each(sorted((ROOT / "egs").glob("*/run*.sh")))
def test_a_line_of_a_recipe_holds_one_command(path):
    """`if x; then y; fi` and what stands in braces is one."""
    def code(line: str) -> str:
        bare = re.sub(r"\"(?:\\.|[^\"\\])*\"|'[^']*'|\$\{[^}]*\}", "x", line)
        return re.sub(r";;|; (then|do|fi|done|else|esac)\b|\{ .* \}", "", re.sub(r"(^|\s)#.*", "", bare))
    assert [line for line in path.read_text().splitlines() if ";" in code(line)] == []


@each(sorted((ROOT / "egs").glob("*/run.sh")))
def test_a_recipe_is_a_page(path):
    assert len(path.read_text().splitlines()) <= 170


def test_nothing_that_a_recipe_makes_is_tracked():
    """Of a recipe its scripts, confs and results; no data, no experiment, and no large file anywhere."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("no git checkout")
    names = [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    for name in (name for name in names if name.startswith("egs/")):
        _, _, first, *rest = name.split("/")
        assert first == "conf" or (not rest and first.endswith((".sh", ".md"))), f"{name} is tracked; ignore it (.gitignore)"
    large = [name for name in names if (ROOT / name).stat().st_size > 1_000_000]
    assert not large, f"{large[0]} has more than 1 MB"


@each(STEPS)
def test_every_step_has_its_program(path):
    assert (PACKAGE / "bin" / f"{path.stem}.py").is_file()
    assert os.access(path, os.X_OK), "chmod +x"


@each(STEPS)
def test_every_step_runs_where_cmd_says(path):
    """--cmd is an option of each, and runs the program of the step, with a log."""
    text = path.read_text()
    assert re.search(r"^cmd=utils/run.pl\b", text, re.MULTILINE)
    assert re.search(r'^\s*launch "\$cmd" .*log', text, re.MULTILINE), f"{relative(path)} runs nothing by $cmd"


@each([path for path in SCRIPTS if "utils/split_data.sh " in path.read_text() and path.stem != "archives"])
def test_a_step_only_reads_its_data(path):
    """The pieces for its jobs lie below its OUT. (archives.sh adds features to a data directory, or with --work to a copy.)"""
    assert path.read_text().count("utils/split_data.sh ") == path.read_text().count("utils/split_data.sh --work ")


@each([*STEPS, *(path for path in SCRIPTS if path.parent.name == "utils" and path.stem != "experiments")])
def test_a_step_finds_its_siblings_from_any_folder(path):
    """By $SSLSPK_ROOT, or by its own place. (experiments.sh is of recipes.)"""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        bare = re.search(r"(^|[;&|({]|\$\(|\b(if|do|then|else|exec|while))\s*(!\s+)?(\.\s+)?(utils|steps|local)/\w",
                         re.split(r"(?:^|\s)#", line)[0])
        assert not bare, f'{relative(path)}:{number}: say "$SSLSPK_ROOT"/{line.strip().removeprefix(". ")}'


@each(SCRIPTS)
def test_jobs_are_given_to_a_launcher_by_launch_alone(path):
    """It quotes what a user named; a bare $cmd would have it executed."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        bare = re.search(r"(^|[\s;&|(])\$\{?(\w+_)?cmd\b", line.partition("#")[0])
        assert not bare, f'{relative(path)}:{number}: say launch "$cmd" ...'


@each(SCRIPTS)
def test_numbers_of_the_shell_have_a_bound(path):
    """Its arithmetic wraps around: a number of twenty digits passes for a small one."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        assert not re.search(r"\[\[ \$\w+ =~ .*\[0-9\][*+]", line), f"{relative(path)}:{number}: say [0-9]{{1,9}}"


@each(SCRIPTS)
def test_replacements_are_quoted(path):
    """In ${x/a/$b} bash 5.2 takes a & of $b for what it found, and the path of data/R&D becomes that of data/RD."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        bare = re.search(r"\$\{[\w@*]+(\[[@*]\])?//?(?!/)[^{}/]*/[^\"{}]*\$", line)
        assert not bare, f'{relative(path)}:{number}: quote what is put in: ${{x/a/"$b"}}'


@each(SCRIPTS)
def test_shell_hides_no_failure(path):
    text = path.read_text()
    assert not re.search(r"\|\|\s*(true|:)(\s|;|$)", text)
    if text.startswith("#!"):
        assert "\nset -euo pipefail\n" in text
        assert os.access(path, os.X_OK), "chmod +x"


def wrong_texts(script: str) -> list[str]:
    """What is wrong with the texts of --help, which utils/parse_options.sh takes from the line of each option."""
    lines, found = script.split("\n"), []
    for line, after in itertools.pairwise(lines):
        if re.match(r"help_message=|\. .*parse_options\.sh", line):
            break
        option = re.match(r"([a-z][a-z0-9_]*)=(\(.*\)\s)?", line)
        text = re.search(r"\s#\s+(.*)$", line)
        if option and not text:
            found.append(f"{option[1]} has no text")
        elif option and re.match(r"\s*#", after):
            found.append(f"{option[1]} goes on in the next line, which --help does not show")
        elif option and re.match("(of|by) ", text[1]):
            found.append(f"{option[1]} does not say what it is")
        elif option and option[2] and "repeat" in text[1]:
            found.append(f"{option[1]} says that it may be repeated, and so does --help itself")
    return found


@each([path for path in SCRIPTS if re.search(r"^\. .*parse_options\.sh", path.read_text(), re.MULTILINE)])
def test_help_says_what_each_option_is(path):
    assert wrong_texts(path.read_text()) == []


@pytest.mark.parametrize(("lines", "found"), [
    ("nj=4   # number of jobs", []), ("nj=4", ["nj has no text"]), ("nj=4  # number\n       # of jobs", ["nj goes on in"]),
    ("seed=0  # of the drawing", ["seed does not say"]), ("set=()  # KEY=VALUE (repeatable)", ["set says that it may be repeated"]),
    ('a="x  # y"   # one\nset=(1 2)  # KEY=VALUE', []), ("nj=4  # jobs\nhelp_message='usage'\nx=1", [])])
def test_the_rule_finds_texts(lines, found):
    said = wrong_texts(f"#!/usr/bin/env bash\n# Head.\n{lines}\n. utils/parse_options.sh\nlater=1\n")
    assert len(said) == len(found) and all(map(str.startswith, said, found))


def words_of(node: ast.AST) -> str:
    """What a message says besides the values that it quotes; of two ways to say it, the longer one."""
    if isinstance(node, ast.JoinedStr):
        return "".join(map(words_of, node.values))
    if isinstance(node, ast.BinOp):
        return words_of(node.left) + words_of(node.right)
    if isinstance(node, ast.IfExp):
        return max(words_of(node.body), words_of(node.orelse), key=len)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def sentences(node: ast.AST) -> Iterator[ast.expr]:
    """The strings below a node that may be printed as a message: no docstring, nothing that --help shows, nothing of several lines."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            continue
        if isinstance(child, ast.keyword) and child.arg in ("help", "description", "epilog", "usage"):
            continue
        if isinstance(child, ast.Assign) and getattr(child.targets[0], "id", "") == "HELP":
            continue
        if isinstance(child, ast.expr) and (said := words_of(child)):
            if "\n" not in said:
                yield child
        else:
            yield from sentences(child)


def fragments(tree: ast.AST) -> Iterator[str]:
    """Texts of --help and of options' descriptions that a reader does not understand without what stands before them."""
    for node in ast.walk(tree):
        said = words_of(node.value) if isinstance(node, ast.keyword) and node.arg in ("help", "description") else ""
        if re.match("(of|by|those) |default:", said, re.IGNORECASE):
            yield said


@each(OWN_CODE)
def test_help_and_descriptions_can_be_read_alone(path):
    assert list(fragments(parse(path))) == [], "say what the option is: not `of k-means` but `iterations of k-means`"


def test_the_rule_finds_fragments():
    code = 'add("--a", help="of " f"{x}")\nField(0, description="Of k-means")\nadd("-b", help="default: 1")\nField(1, description="x of y")'
    assert list(fragments(ast.parse(code))) == ["of ", "Of k-means", "default: 1"]


def bare_docstrings(tree: ast.AST) -> Iterator[str]:
    """Docstrings that do not say what is returned or done, but only of what."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            said = ast.get_docstring(node) or ""
            if re.match("(Of|Those) ", said):
                yield said


@each(OWN_CODE)
def test_docstrings_say_what_is_returned_or_done(path):
    assert list(bare_docstrings(parse(path))) == [], "begin with the thing or the verb: `The name of a figure`, not `Of a figure`"


def test_the_rule_finds_bare_docstrings():
    code = 'def f():\n    """Of x."""\nclass A:\n    """Those of y."""\n    def g(self):\n        """The name of x."""\ndef h(): pass'
    assert sorted(bare_docstrings(ast.parse(code))) == ["Of x.", "Those of y."]


@each(OWN_CODE)
def test_sentences_are_short(path):
    """Those of errors, warnings and lines of a log, wherever they are written down; local/show_*.py write pages."""
    for node in sentences(parse(path)):
        if not path.name.startswith("show_"):
            assert len(words_of(node)) <= 160, f"{relative(path)}:{node.lineno}: shorten this sentence"
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("InputError", "MachineError") and node.args:
            assert len(words_of(node.args[0])) <= 160, f"{relative(path)}:{node.lineno}: shorten this sentence"


@pytest.mark.parametrize(("code", "found"), [
    ('raise InputError(f"{x} is wrong; " "change it")', [" is wrong; change it"]), ('LACKS = {1: "it is full" + more}', ["it is full"]),
    ('print(("a" if x else "longer"), f(b="inner"))', ["longer", "inner"]), ('return 1, "why" "so"', ["whyso"]),
    ('"""A docstring."""\nf(help="an option", description="a program")\nx = "two\\nlines"', [])])
def test_the_rule_finds_sentences(code, found):
    assert [words_of(node) for node in sentences(ast.parse(code))] == found


@each([*OWN_CODE, *SCRIPTS, ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))])
def test_words_are_those_of_the_field(path):
    """Words that readers stopped at: say input type, frozen, without a program, not significant, and who or what."""
    said = path.read_text(encoding="utf-8")
    if path == PACKAGE / "data/config.py":
        said = re.sub(r'"road"|input` road', "", said)   # the name that older models have
    found = re.search(r"\b(roads?|held still|by hand|lest|whoever|cannot be told)\b", said)
    assert not found, f"{relative(path)}: another word for {found[0]!r}"


@each([*OWN_CODE, *SCRIPTS])
def test_nothing_is_left_for_later(path):
    assert not re.search(r"\b(TODO|FIXME|XXX)\b", path.read_text(encoding="utf-8"))


def help_of(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess:
    """Run with --help; every Python in it writes what it imports to stderr."""
    environment = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1", "PYTHONPATH": str(ROOT),
                   "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}
    return subprocess.run([*words, "--help"], cwd=cwd, env=environment, text=True, capture_output=True, timeout=60)


def check_help(result: subprocess.CompletedProcess) -> None:
    assert result.returncode == 0, result.stderr[-2000:]
    assert "usage:" in result.stdout.lower()
    loaded = {line.rpartition("|")[2].strip().split(".")[0] for line in result.stderr.splitlines() if "import time" in line}
    assert not loaded & HEAVY


@each(PROGRAMS)
def test_help_of_a_program_is_quick(path, tmp_path):
    check_help(help_of(sys.executable, "-m", f"sslspk.bin.{path.stem}", cwd=tmp_path))


@pytest.mark.parametrize("words", [(), *((name,) for name in COMMANDS)], ids="".join)
def test_help_of_the_console_command_is_quick(words, tmp_path):
    check_help(help_of(sys.executable, "-m", "sslspk.cli", *words, cwd=tmp_path))


@each(STEPS)
def test_help_of_a_step_is_quick(path, tmp_path):
    check_help(help_of(path, cwd=tmp_path))


@each(sorted((ROOT / "local").glob("*.py")))
def test_help_of_a_corpus_program_is_quick(path, tmp_path):
    check_help(help_of(sys.executable, str(path), cwd=tmp_path))


def test_importtime_would_tell_torch(tmp_path):
    """The probe of the tests above sees a heavy import when there is one."""
    (tmp_path / "torch.py").write_text("")
    (tmp_path / "late.py").write_text("import torch; print('usage:')\n")
    with pytest.raises(AssertionError):
        check_help(help_of(sys.executable, "late.py", cwd=tmp_path))
