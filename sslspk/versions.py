"""Which packages are installed, whether they satisfy setup.py, and whether torch and torchaudio load. Standard library only.

    python3 -m sslspk.versions [--dev] SETUP_PY      prints what is wrong; exit status 1 when anything is
    python3 -m sslspk.versions --lowest SETUP_PY     prints a constraints file of the lowest versions that setup.py allows
"""
import argparse
import ast
import operator
import os
import re
import subprocess
import sys
from importlib import metadata
from types import TracebackType

from sslspk.errors import entry

PYTHON = ((3, 10), (3, 14))  # from, below: setup.py's python_requires
ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
SETUP = f"{ROOT}/tools/setup_env.sh"   # of a checkout; pip installs the package without it
MEND = f"bash {SETUP}" if os.path.exists(SETUP) else f"{sys.executable} -m pip install CHECKOUT"
HOLDS = {">=": operator.ge, "<": operator.lt, "!=": operator.ne}
PACKAGES = {"torch", "torchaudio", "numpy", "scipy", "sklearn", "kaldiio", "soundfile", "pydantic", "pydantic_core", "ruamel", "tqdm",
            "tensorboard", "matplotlib", "av", "safetensors"}   # as they are imported
PAIR = "import torch, torchaudio"
SECONDS = 300   # for that import, on a slow disk


def requirements(setup_py: str, dev: bool = False) -> list[str]:
    """Requirements ("torch>=2.6,<2.12") of a setup.py, with those of its extra `dev` if asked; the file is read, not run."""
    with open(setup_py, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    call = next(node for node in calls if isinstance(node.func, ast.Name) and node.func.id == "setup")
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    wanted = ast.literal_eval(given["install_requires"])
    return wanted + ast.literal_eval(given["extras_require"])["dev"] if dev else wanted


def unmet(wanted: list[str]) -> list[str]:
    """One sentence for each requirement ("name>=1.2,<3") that the running Python does not satisfy."""
    problems = []
    if not PYTHON[0] <= sys.version_info[:2] < PYTHON[1]:
        problems.append(f"Python {sys.version_info[0]}.{sys.version_info[1]} is none of 3.10 to 3.13")
    for requirement in wanted:
        name, bounds = _parts(requirement)
        have = version(name)
        if have is None:
            problems.append(f"{name} is not installed ({requirement} is needed)")
        elif not all(_holds(have, bound) for bound in bounds):
            problems.append(f"{name} is {have} ({requirement} is needed)")
    return problems


def lowest(wanted: list[str]) -> list[str]:
    """"name==1.2" for each requirement, its lowest version."""
    return [f"{name}=={bound[2:]}" for name, bounds in map(_parts, wanted) for bound in bounds if bound.startswith(">=")]


def version(name: str) -> str | None:
    """Installed version of a distribution, None when there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def pair_problem(python: str = sys.executable) -> str | None:
    """Why torch and torchaudio do not load together in `python`, as a sentence with the remedy; None when they do.

    They are imported in a child process, a few seconds: torchaudio is built for one version of torch and does not say
    which, so their numbers prove nothing.
    """
    try:
        done = subprocess.run([python, "-c", PAIR], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                              timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"torch and torchaudio took more than {SECONDS} s to load; look at the disk that {python} is on."
    if done.returncode == 0:
        return None
    reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    return f"torch {version('torch')} and torchaudio {version('torchaudio')} do not load together ({reason[:200]})."


def main() -> int:
    """Print what setup.py asks for and this Python lacks; exit 1 when there is anything."""
    parser = argparse.ArgumentParser(prog="sslspk.versions", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dev", action="store_true", help="the packages for tests, too")
    parser.add_argument("--lowest", action="store_true", help="print the lowest versions as constraints, and check nothing")
    parser.add_argument("setup_py")
    args = parser.parse_args()
    wanted = requirements(args.setup_py, args.dev or args.lowest)
    if args.lowest:
        print("\n".join(lowest(wanted)))
        return 0
    problems = unmet(wanted)
    pair = any(requirement.startswith("torchaudio") for requirement in wanted)
    if pair and not problems:
        problems += filter(None, [pair_problem()])
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def explain_failed_import(kind: type[BaseException], err: BaseException, trace: TracebackType | None) -> None:
    """A sys.excepthook: a package that is missing or does not load is one sentence; anything else is a traceback as usual."""
    name = os.path.basename(sys.argv[0])
    if isinstance(err, ModuleNotFoundError) and (err.name or "").split(".")[0] in PACKAGES:
        print(f"{name}: error: {sys.executable} has no package {err.name}; install what is needed with: {MEND}", file=sys.stderr)
    elif isinstance(err, ImportError | OSError) and _is_loading(trace, ("torch", "torchaudio")):
        print(f"{name}: error: torch {version('torch')} and torchaudio {version('torchaudio')} do not load together; "
              f"install a pair that does with: {MEND}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, err, trace)


def _is_loading(trace: TracebackType | None, packages: tuple[str, ...]) -> bool:
    """Whether the traceback ends while the module file of one of these packages runs."""
    while trace:
        frame = trace.tb_frame
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__", "").split(".")[0] in packages:
            return True
        trace = trace.tb_next
    return False


def _parts(requirement: str) -> tuple[str, list[str]]:
    name, bounds = re.fullmatch(r"([\w.-]+)(.*)", requirement).groups()
    return name, [bound.strip() for bound in bounds.split(",") if bound]


def _holds(have: str, bound: str) -> bool:
    sign, limit = re.fullmatch(r"(>=|<|!=)([\d.]+)", bound).groups()
    mine, other = _numbers(have), _numbers(limit)
    length = max(len(mine), len(other))
    return HOLDS[sign](mine + (0,) * (length - len(mine)), other + (0,) * (length - len(other)))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.match(r"\d+(\.\d+)*", text)[0].split("."))


if __name__ == "__main__":
    entry(main)
