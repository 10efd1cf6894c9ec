"""queue.conf and slurm.conf in Kaldi's grammar: how options such as `--mem 2G` read in the words of a batch system.

    command sbatch --no-requeue      # what a job is submitted with
    option mem=* --mem-per-cpu $0    # $0 stands for the value given
    option mem=0                     # this value adds nothing; an exact value beats *
    default gpu=0                    # as if --gpu 0 were given where it is not

Hyphens and underscores in names are the same, `#` starts a comment. Options expand in the order of the command line,
defaults after them (Kaldi's order changes from run to run). Words may be quoted, and $NAME is the environment's.
What the launchers know by themselves, such as Kaldi's `option max_jobs_run=* -tc $0`, may stand there and changes nothing.
"""
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from sslspk.errors import InputError


@dataclass
class Conf:
    """A file, read. The words of an option stand under its name and value; "*" is any value."""
    path: str
    command: list[str] = field(default_factory=list)
    options: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    defaults: dict[str, str] = field(default_factory=dict)


def load(given: str | None, usual: str, built_in: str) -> Conf:
    """The file that --config names; else conf/`usual` where there is one; else the text of the built-in settings."""
    path = given or os.path.join("conf", usual)
    if not os.path.exists(path):
        if given:
            raise InputError(f"there is no configuration {given}; check --config, or leave it out for built-in settings.")
        return parse(built_in, f"the built-in settings (make a conf/{usual} for others)")
    with open(path, encoding="utf-8") as file:
        return parse(file.read(), path)


def parse(text: str, path: str) -> Conf:
    """Raises InputError, with the line, on what is not of the grammar."""
    conf = Conf(path)
    for number, line in enumerate(text.splitlines(), 1):
        words = re.sub(r"(^|\s)#.*", "", line).strip()
        if not words:
            continue
        try:
            _take(conf, *words.partition(" ")[::2])
        except ValueError as err:
            raise InputError(f"{path}:{number}: {err} in '{words}'; a line is 'command PROGRAM...', "
                             "'option NAME=VALUE WORDS...', 'option NAME=* WORDS with $0' or 'default NAME=VALUE'.") from None
    if not conf.command:
        raise InputError(f"{path}: no line 'command PROGRAM...' says how a job is submitted; add one.")
    return conf


def _take(conf: Conf, kind: str, rest: str) -> None:
    """Read one line. Raises ValueError."""
    if kind == "command":
        conf.command = _words(rest)
        return
    pair = re.fullmatch(r"([\w-]+)=(\S*)\s*(.*)", rest.strip())
    if kind not in ("option", "default") or pair is None:
        raise ValueError("not understood")
    name, value, words = canonical(pair[1]), pair[2], _words(pair[3])
    if kind == "default":
        if words or not value or value == "*":
            raise ValueError("a default is one value")
        conf.defaults[name] = value
        return
    if value == "*" and words and "$0" not in pair[3]:
        raise ValueError("no $0 to stand for the value")
    conf.options.setdefault(name, {})[value] = words


def _words(text: str) -> list[str]:
    return shlex.split(os.path.expandvars(text))


def canonical(name: str) -> str:
    """The name under which an option is known; --max-time is --time."""
    name = name.lstrip("-").replace("-", "_")
    return "time" if name == "max_time" else name


def expand(conf: Conf, options: Mapping[str, str]) -> list[str]:
    """The words that options, with the defaults already among them, stand for. Raises InputError on one that is not described."""
    words: list[str] = []
    for name, value in options.items():
        described = conf.options.get(name)
        option = f"--{name.replace('_', '-')}"
        if described is None:
            raise InputError(f"{conf.path} does not describe the option {option}; add a line "
                             f"'option {name}=* WORDS with $0' to it, or leave the option out.")
        if value not in described and "*" not in described:
            raise InputError(f"{conf.path} describes {option} only for the values {', '.join(described)}, not for '{value}'; add a "
                             f"line 'option {name}=* WORDS with $0' to it, or give one of these.")
        words += [word.replace("$0", value) for word in described.get(value, described.get("*", []))]
    return words
