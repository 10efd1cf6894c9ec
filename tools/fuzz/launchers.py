"""conf/slurm.conf and conf/queue.conf, and the command lines of the launchers: what becomes of an option is known."""
import random
from pathlib import Path

from fuzz import mutate
from fuzz.case import Case, anything, either, function, said, write

BUILT_IN = "command sbatch\noption mem=* --mem-per-cpu=$0\n"
SOUND = """# ours
command sbatch --account=speech
option mem=* --mem-per-cpu=$0
option mem=0
option gpu=* --gres=gpu:$0
option gpu=0
default gpu=0
"""
EXPECTED = ["--mem-per-cpu=4G", "--gres=gpu:2"]


def prepare(base: Path) -> None:
    write(base / "slurm.conf", SOUND)


def warm(base: Path) -> None:
    _expand("slurm.conf")()


def _expand(path: str, options: dict | None = None):
    def call() -> list[str]:
        from sslspk.launch import conf
        return conf.expand(conf.load(path, "slurm.conf", BUILT_IN), options or {"mem": "4G", "gpu": "2"})
    return function(call, "slurm.pl")


def _conf(what: str, text: str | bytes, words: list[str] | None = None, must: bool = False, options: dict | None = None):
    def make(base: Path) -> Case:
        write("conf/slurm.conf", text)
        return Case(what, _expand("conf/slurm.conf", options), either(repr(words)) if words is not None else None, not must,
            ("slurm.conf",))
    return make


def _line(*words: str, becomes: str | None = None, must: bool = False, names: tuple[str, ...] = ()):
    """A launcher's command line, and the line of bash of job 2."""
    def make(base: Path) -> Case:
        def call() -> str:
            from sslspk.launch import request
            return request.shell_line(request.parse(["run.pl", *words]), 2)
        text = " ".join(words)
        return Case(text[:100], function(call, "run.pl"), (either(repr(becomes)) if becomes is not None else None), not must, names)
    return make


def _default(**defaults: str):
    """A default of the conf as if it were given on the command line."""
    def make(base: Path) -> Case:
        def call() -> object:
            from sslspk.launch import request
            return request.with_defaults(request.parse(["run.pl", "JOB=1:4", "x.JOB.log", "true"]), defaults, "conf/slurm.conf").options
        return Case(f"defaults {defaults}"[:100], function(call, "run.pl"), None, True, ("slurm.conf",))
    return make


CRAFTED = [
    _conf("the sound one", SOUND, EXPECTED, True),
    _conf("latin-1 in a comment", "# Müller\n".encode("latin-1") + SOUND.encode(), EXPECTED),
    _conf("UTF-8 in a comment", "# Müller\n" + SOUND, EXPECTED, True),
    _conf("a byte order mark", "\ufeff" + SOUND, EXPECTED),
    _conf("UTF-16", SOUND.encode("utf-16"), EXPECTED),
    _conf("CRLF", SOUND.replace("\n", "\r\n"), EXPECTED),
    _conf("zero bytes at the end", SOUND + "\0" * 64),
    _conf("zero bytes alone", bytes(512)),
    _conf("empty", ""),
    _conf("no command", SOUND.replace("command sbatch --account=speech\n", "")),
    _conf("command without words", SOUND.replace("command sbatch --account=speech", "command")),
    _conf("command twice", SOUND + "command qsub\n", EXPECTED),
    _conf("an open quote", SOUND + "option x=* 'abc $0\n"),
    _conf("an unknown word", SOUND + "opton x=* $0\n"),
    _conf("a star without $0", SOUND + "option x=* -l x\n"),
    _conf("a line of 5000 letters", SOUND + "A" * 5000 + "\n"),
    _conf("default of nothing", SOUND + "default gpu=\n"),
    _conf("default of a star", SOUND + "default gpu=*\n"),
    _conf("default of two words", SOUND + "default gpu=1 2\n"),
    _conf("command with $(...)", SOUND.replace("sbatch", "sbatch $(touch CANARY)"), EXPECTED),
    _conf("an option with backquotes", SOUND.replace("--gres=gpu:$0", "'`touch CANARY`$0'"), ["--mem-per-cpu=4G", "`touch CANARY`2"]),
    _conf("a tab between the words", SOUND.replace("option mem=* ", "option\tmem=*\t"), EXPECTED),
    _conf("blanks before a line", SOUND.replace("option", "  option"), EXPECTED),
    _conf("a last line without end", SOUND.rstrip("\n"), EXPECTED, True),
    _conf("U+2028 inside a line", SOUND.replace("speech", "spe\u2028ech"), EXPECTED),
    _conf("a form feed inside a line", SOUND.replace("speech", "spe\fech"), EXPECTED),
    _conf("an option of the same value twice", SOUND + "option gpu=* --other=$0\n", ["--mem-per-cpu=4G", "--other=2"]),
    _conf("an option that is not described", SOUND, options={"foo": "x"}),
    _conf("a value with a newline", SOUND, ["--mem-per-cpu=4G\nx"], options={"mem": "4G\nx"}),
    _conf("a value of 5000 letters for an option not described", SOUND, options={"A" * 5000: "x"}),
    _conf("no value fits", SOUND.replace("option mem=* --mem-per-cpu=$0\n", ""), options={"mem": "A" * 5000}),
    _default(max_jobs_run="many"), _default(num_threads="9" * 5000), _default(requeue="yes"), _default(gpu="-1"),
    _line("JOB=1:4", "x.JOB.log", "echo", "JOB", becomes="echo 2", must=True),
    _line("JOB=1:4", "x.JOB.log", "echo", "a b", becomes='echo "a b"', must=True),
    _line("JOB=1:4", "x.log", "true", names=("JOB",)), _line("JOB=0:4", "x.JOB.log", "true", names=("JOB=0:4",)),
    _line("JOB=4:1", "x.JOB.log", "true", names=("JOB=4:1",)),
    _line("JOB=1:x", "x.JOB.log", "true", names=("JOB=1:x",)), _line("JOB=1:4:2", "x.JOB.log", "true", names=("JOB",)),
    _line("JOB=1:", "x.JOB.log", "true", names=("JOB=1:",)),
    _line("JOB=1:" + "9" * 5000, "x.JOB.log", "true"), _line("JOB=1:999999999999", "x.JOB.log", "true"),
    _line("JOB=١:٤", "x.JOB.log", "true", becomes="true"),
    _line("JOB=-1:4", "x.JOB.log", "true"), _line("JOB=1:4"), _line("JOB=1:4", "x.JOB.log"), _line(), _line("x.log"), _line("--mem"),
    _line("--mem", "x.log", "true"), _line("--num-threads", "two", "x.log", "true", names=("num-threads",)),
    _line("--num-threads", "²", "x.log", "true", names=("num-threads",)),
    _line("--num-threads", "A" * 5000, "x.log", "true", names=("num-threads",)),
    _line("--num-threads", "9" * 5000, "x.log", "true", names=("num-threads",)),
    _line("--gpu", "-1", "x.log", "true", names=("gpu",)), _line("--gpu", "1.5", "x.log", "true", names=("gpu",)),
    _line("--requeue", "yes", "x.log", "true", names=("requeue",)), _line("--requeue", "A" * 5000, "x.log", "true", names=("requeue",)),
    _line("--pick", "some", "x.log", "true", names=("pick",)), _line("--max-jobs-run", "0", "x.log", "true", names=("max-jobs-run",)),
    _line("--together", "true", "--max-jobs-run", "1", "JOB=1:2", "x.JOB.log", "true", names=("max-jobs-run",)),
    _line("--max-jobs-run=3", "x.log", "true", becomes="true", must=True), _line("--", "x.log", "true"),
    _line("", "true"), _line("x.log", "", becomes='""'), _line("\n.log", "true", becomes="true"),
]


def mutated(base: Path, rng: random.Random) -> Case:
    """A damaged conf: read by the grammar or refused; or an option with an awkward value, which stands there unchanged or is refused."""
    if rng.random() < 0.6:
        what, text = mutate.damage(rng, SOUND.encode())
        write("conf/slurm.conf", text)
        return Case(what, _expand("conf/slurm.conf"), anything, True, ("slurm.conf",))
    name, value = rng.choice(("mem", "gpu", "time", "num-threads", "max-jobs-run", "config", "requeue")), rng.choice(mutate.AWKWARD)

    def call() -> str:
        from sslspk.launch import request
        return request.parse(["run.pl", f"--{name}={value}", "x.log", "echo", value]).words[1]
    return Case(f"--{name}={value[:60]!r}", function(call, "run.pl"), said(repr(value)), True, (name,))
