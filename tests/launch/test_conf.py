"""queue.conf and slurm.conf: the grammar, what beats what, the order of words, and what is said of mistakes."""
import os
import re
from pathlib import Path

import pytest

from sslspk.errors import InputError
from sslspk.launch import conf
from sslspk.launch.gridengine import GridEngine
from sslspk.launch.request import Request, with_defaults
from sslspk.launch.slurm import Slurm

ROOT = Path(__file__).resolve().parents[2]
TEXT = """# of a cluster
command sbatch --account "my group"   # with a comment
option mem=* --mem-per-cpu $0
option mem=0          # nothing
option max-jobs=* -a $0 -b $0
option kind=fast -p fast
option gpu=* --gres=gpu:$0
option gpu=0
default gpu=0
default kind=fast
"""


@pytest.fixture
def example() -> conf.Conf:
    return conf.parse(TEXT, "conf/x.conf")


def expanded(read: conf.Conf, options: dict[str, str]) -> list[str]:
    request = Request("x.pl", options, (), "", 1, 1, "l", ("true",))
    return conf.expand(read, with_defaults(request, read.defaults, read.path).options)


def test_options_expand_in_the_order_given_and_defaults_after(example):
    assert example.command == ["sbatch", "--account", "my group"]
    given = {"mem": "2G", "gpu": "1", "max_jobs": "x y"}
    assert expanded(example, given) == ["--mem-per-cpu", "2G", "--gres=gpu:1", "-a", "x y", "-b", "x y", "-p", "fast"]
    assert conf.expand(example, {"gpu": "1", "mem": "2G"})[0] == "--gres=gpu:1"


def test_an_exact_value_beats_any_value(example):
    assert expanded(example, {"mem": "0"}) == ["-p", "fast"]


@pytest.mark.parametrize("given, parts", [
    ({"foo": "1"}, ("conf/x.conf does not describe the option --foo", "option foo=*", "leave the option out")),
    ({"kind": "slow"}, ("conf/x.conf describes --kind only for the values fast", "'slow'")),
])
def test_an_option_that_is_not_described_is_refused_in_one_sentence(example, given, parts):
    with pytest.raises(InputError) as raised:
        conf.expand(example, given)
    assert all(part in str(raised.value) for part in parts) and "\n" not in str(raised.value)


@pytest.mark.parametrize("line, parts", [
    ("optoin mem=* -m $0", ("x:2", "not understood")),
    ("option mem", ("x:2", "not understood")),
    ("option mem=* -m", ("x:2", "no $0")),
    ("option mem=* -m '$0", ("x:2", "quotation")),
    ("default mem=*", ("x:2", "one value")),
    ("default mem=1 -m", ("x:2", "one value")),
    ("command sbatch", ("x:2", "line 1 says this already in 'command sbatch'")),
    ("option mem=* -m $0\noption mem=1 -m 2\noption mem=* -M $0", ("x:4", "line 2 says this already")),
    ("default max-time=1\ndefault time=2", ("x:3", "line 2 says this already")),
    ("option mem=* " + "-m $0 " * 10_000 + "'", ("x:2", "quotation")),
    ("optoin\x1b[31m", ("x:2", "not understood in 'optoin\\x1b[31m'")),
])
def test_a_mistake_is_told_with_its_line(line, parts):
    with pytest.raises(InputError) as raised:
        conf.parse(f"command qsub\n{line}\n", "x")
    assert all(part in str(raised.value) for part in parts) and len(str(raised.value)) <= 180 and str(raised.value).isprintable()


def test_a_command_is_needed():
    with pytest.raises(InputError, match=re.escape("no line 'command PROGRAM...'")):
        conf.parse("option mem=* $0\n", "x")


def test_words_of_the_environment_and_both_names_of_the_time(monkeypatch):
    monkeypatch.setenv("ACCOUNT", "speech")
    read = conf.parse("command sbatch -A $ACCOUNT\noption max-time=* --time=$0\n", "x")
    assert read.command == ["sbatch", "-A", "speech"] and conf.expand(read, {"time": "1:0:0"}) == ["--time=1:0:0"]


def test_which_file_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert conf.load(None, "slurm.conf", TEXT).path.startswith("the built-in settings")
    with pytest.raises(InputError, match=r"there is no configuration other\.conf; check --config"):
        conf.load("other.conf", "slurm.conf", TEXT)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/slurm.conf").write_text("command mine\n")
    (tmp_path / "other.conf").write_text("command other\n")
    assert conf.load(None, "slurm.conf", TEXT).command == ["mine"]
    assert conf.load("other.conf", "slurm.conf", TEXT).command == ["other"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "shift-jis", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_comments_are_in_any_encoding(tmp_path, encoding, end):
    comment = "# ソ表 of the group" if encoding == "shift-jis" else "# Müller's nodes"
    path = tmp_path / "slurm.conf"
    lines = [comment, f"command sbatch -A x {comment}", f"{comment} option a=b", "option\tmem=*\t-m $0", ""]
    path.write_bytes(end.join(lines).encode(encoding))
    read = conf.load(str(path), "slurm.conf", "command none")
    assert read.command == ["sbatch", "-A", "x"] and read.options == {"mem": {"*": ["-m", "$0"]}}


@pytest.mark.parametrize(("make", "parts"), [
    (lambda path: path.write_bytes("command sbatch -A Müller".encode("latin-1")), (":1: not UTF-8 in 'command sbatch -A M", "xfcller'")),
    (lambda path: path.write_bytes("command sbatch".encode("utf-16")), ("zero bytes",)),
    (lambda path: path.write_bytes(b"command sbatch\n\0\0\0\0\n"), (":2: zero bytes",)),
    (lambda path: path.write_bytes(b"# x\n" * 300_000), ("larger than 1 MB",)),
    (lambda path: path.mkdir(), ("is a folder, not a file",)), (os.mkfifo, ("is a pipe, not a file",)),
    (lambda path: path.symlink_to("/dev/zero"), ("is a device, not a file",)), (lambda path: path.symlink_to("gone"), ("No such file",)),
], ids=["latin-1", "utf-16", "zero bytes", "large", "folder", "pipe", "device", "dangling"])
def test_what_is_no_configuration_is_told(tmp_path, monkeypatch, make, parts):
    (tmp_path / "conf").mkdir()
    make(tmp_path / "conf/slurm.conf")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^conf/slurm\.conf") as raised:
        conf.load(None, "slurm.conf", TEXT)
    assert all(part in str(raised.value) for part in parts) and str(raised.value).isprintable()


@pytest.mark.parametrize("kind", [Slurm, GridEngine])
@pytest.mark.parametrize("recipe", ["voxceleb", "iemocap", "adress"])
def test_the_files_of_the_recipes_know_what_the_built_in_settings_know(kind, recipe, monkeypatch):
    monkeypatch.chdir(ROOT / "egs" / recipe)
    shipped, built_in = conf.load(None, kind.conf, "command none"), conf.parse(kind.settings, "built in")
    given = {"mem": "2G", "num_threads": "3", "gpu": "1", "time": "1:0:0"}
    flat = [" ".join(conf.expand(one, given)).replace("=", " ") for one in (shipped, built_in)]
    assert flat[0] == flat[1] and shipped.path == f"conf/{kind.conf}"
    assert conf.expand(shipped, {"mem": "0", "gpu": "0"}) == []
