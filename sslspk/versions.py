"""Which versions are installed, and whether they satisfy setup.py. Standard library only; nothing else is imported.

`python3 -m sslspk.versions SETUP_PY` prints what is missing and exits 1 when something is (tools/setup_env.sh asks so).
"""
import ast
import re
import sys
from importlib import metadata

from sslspk.errors import InputError, entry

PYTHON = ((3, 10), (3, 14))  # from, below: setup.py's python_requires


def requirements(setup_py: str) -> list[str]:
    """Requirements ("torch>=2.6,<2.12") of a setup.py with its extra `dev`; the file is read, not run."""
    with open(setup_py, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    call = next(node for node in calls if isinstance(node.func, ast.Name) and node.func.id == "setup")
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    return ast.literal_eval(given["install_requires"]) + ast.literal_eval(given["extras_require"])["dev"]


def unmet(wanted: list[str]) -> list[str]:
    """One sentence for each requirement ("name>=1.2,<3") that the running Python does not satisfy."""
    problems = []
    if not PYTHON[0] <= sys.version_info[:2] < PYTHON[1]:
        problems.append(f"Python {sys.version_info[0]}.{sys.version_info[1]} is none of 3.10 to 3.13")
    for requirement in wanted:
        name, bounds = re.fullmatch(r"([\w.-]+)(.*)", requirement).groups()
        have = version(name)
        if have is None:
            problems.append(f"{name} is not installed ({requirement} is needed)")
        elif not all(_holds(have, bound) for bound in bounds.split(",") if bound):
            problems.append(f"{name} is {have} ({requirement} is needed)")
    return problems


def version(name: str) -> str | None:
    """Installed version of a distribution, None when there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _holds(have: str, bound: str) -> bool:
    operator, limit = re.fullmatch(r"(>=|<)([\d.]+)", bound.strip()).groups()
    mine, other = _numbers(have), _numbers(limit)
    length = max(len(mine), len(other))
    mine, other = mine + (0,) * (length - len(mine)), other + (0,) * (length - len(other))
    return mine >= other if operator == ">=" else mine < other


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.match(r"\d+(\.\d+)*", text)[0].split("."))


def torch_pair_problem(torch: str | None, torchaudio: str | None) -> str | None:
    """What is wrong with a pair of versions, as a sentence with the remedy; None when they work together.

    torchaudio is built against one minor version of torch but no longer pins it, and a mismatched pair fails at import.
    """
    if torch is None:
        return "torch is not installed; install both with: pip install 'torch>=2.6,<2.12' 'torchaudio>=2.6,<2.12'."
    minor = ".".join(map(str, _numbers(torch)[:2]))
    install = f"install the one that belongs to this torch: pip install 'torchaudio=={minor}.*'"
    if torchaudio is None:
        return f"torch is {torch} but torchaudio is not installed; {install}."
    if _numbers(torch)[:2] != _numbers(torchaudio)[:2]:
        return f"torch {torch} and torchaudio {torchaudio} do not work together; {install}."
    return None


def check_torch_pair() -> None:
    """To be called before torch is imported. Raises InputError when torch and torchaudio are of different minors."""
    problem = torch_pair_problem(version("torch"), version("torchaudio"))
    if problem:
        raise InputError(problem)


def main() -> int:
    """Print what setup.py asks for and this Python lacks; exit 1 when there is anything."""
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        raise InputError("usage: python3 -m sslspk.versions SETUP_PY.")
    problems = unmet(requirements(sys.argv[1]))
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    entry(main)
