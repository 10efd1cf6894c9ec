"""queue.conf and slurm.conf in Kaldi's grammar: how options such as `--mem 2G` read in the words of a batch system.

    command sbatch --no-requeue      # what a job is submitted with
    option mem=* --mem-per-cpu $0    # $0 stands for the value given
    option mem=0                     # this value adds nothing; an exact value beats *
    default gpu=0                    # as if --gpu 0 were given where it is not

Hyphens and underscores in names are the same, `#` starts a comment. Options expand in the order of the command line, defaults after them
(Kaldi's order changes from run to run). Words may be quoted, and $NAME is the environment's. Lines about options that the launchers handle
themselves, such as Kaldi's `option max_jobs_run=* -tc $0`, are ignored. A file is UTF-8; its comments may have any encoding. A line must
not be repeated.
"""
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from sslspk import reading
from sslspk.errors import InputError, named, shown

MOST_BYTES = 1 << 20   # of a file


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
    if not os.path.lexists(path):
        if given:
            raise InputError(f"there is no configuration {given}; check --config, or leave it out for built-in settings.")
        return parse(built_in, f"the built-in settings (make a conf/{usual} for others)")
    return parse(reading.text_bytes(path, MOST_BYTES, "give another file to --config"), named(path))


def parse(text: str | bytes, path: str) -> Conf:
    """Raises InputError, with the line, on what is not of the grammar."""
    conf, seen = Conf(path), {}
    for number, line in enumerate((text.encode() if isinstance(text, str) else text).splitlines(), 1):
        line = re.sub(rb"(^|\s)#.*", b"", line).strip()
        if not line:
            continue
        try:
            said = _take(conf, *re.fullmatch(r"(\S+)\s*(.*)", line.decode("utf-8"), re.DOTALL).groups())
            if said in seen:
                raise ValueError(f"line {seen[said]} says this already")
            seen[said] = number
        except ValueError as err:
            what = "not UTF-8" if isinstance(err, UnicodeDecodeError) else err
            raise InputError(f"{path}:{number}: {what} in {shown(line.decode('utf-8', 'backslashreplace'), 40)}; write 'command WORDS', "
                             "'option NAME=* WORDS $0' or 'default NAME=VALUE'.") from None
    if not conf.command:
        raise InputError(f"{path}: no line 'command PROGRAM...' says how a job is submitted; add one.")
    return conf


def _take(conf: Conf, kind: str, rest: str) -> tuple[str, ...]:
    """Read one line; returns what it is about. Raises ValueError."""
    if kind == "command":
        conf.command = _words(rest)
        return (kind,)
    pair = re.fullmatch(r"([\w-]+)=(\S*)\s*(.*)", rest.strip())
    if kind not in ("option", "default") or pair is None:
        raise ValueError("not understood")
    name, value, words = canonical(pair[1]), pair[2], _words(pair[3])
    if kind == "default":
        if words or not value or value == "*":
            raise ValueError("a default is one value")
        conf.defaults[name] = value
        return kind, name
    if value == "*" and words and "$0" not in pair[3]:
        raise ValueError("no $0 to stand for the value")
    conf.options.setdefault(name, {})[value] = words
    return kind, name, value


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
            raise InputError(f"{conf.path} does not describe the option {option[:30]}; add a line 'option {name[:28]}=* WORDS with $0' to "
                             "it, or leave the option out.")
        if value not in described and "*" not in described:
            raise InputError(f"{conf.path} describes {option} only for the values {', '.join(list(described)[:5])}, not for "
                             f"{shown(value, 40)}; add a line 'option {name}=* WORDS with $0' to it, or give one of these.")
        words += [word.replace("$0", value) for word in described.get(value, described.get("*", []))]
    return words
