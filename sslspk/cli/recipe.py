"""Make a copy of a recipe in a folder of your own.

    sslspk recipe work/voxceleb                      then: cd work/voxceleb && ./run.sh --mini true
    sslspk recipe --name own work/own                also makes work/voxceleb, whose configurations own uses

DIR gets copies of the recipe's scripts and configurations, which you can edit, and links to the toolkit. The recipe writes its results into
DIR. If a recipe uses configurations or scripts of another recipe, that one is created next to DIR as well, unless it is there already.
"""
import argparse
import os
import re
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from sslspk.errors import InputError, named, shown

PACKAGE = Path(__file__).resolve().parent.parent
LINKS = ("steps", "utils", "local")
TOOLKIT = ".toolkit"   # of an installed package: a copy of the shell parts, which belong together with the recipe


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", default="voxceleb", help=f"{', '.join(names())} (default: voxceleb)")
    parser.add_argument("dir", metavar="DIR", help="a folder that is not there yet, or is empty")


def run(args: argparse.Namespace) -> None:
    if args.name not in names():
        raise InputError(f"there is no recipe {shown(args.name)}; choose one of {', '.join(names())}.")
    target = Path(os.path.abspath(args.dir))
    if not free(target):
        raise InputError(f"{named(target)} is there and not an empty folder; choose another name.")
    beside = [(other, target.parent / other) for other in sorted(needed(args.name) - {args.name})]
    for other, place in beside:
        if place == target or not (free(place) or ((place / script(other)).exists() and (place / "path.sh").exists())):
            raise InputError(f"{named(place)} is where {args.name} needs the recipe {other}; choose another folder for both.")
    for other, place in beside:
        if free(place):
            lay_out(other, place)
            print(f"{other} is in {named(place)}, since {args.name} uses it")
    lay_out(args.name, target)
    print(f"{args.name} is in {args.dir}; see: cd {shlex.quote(args.dir)} && ./{script(args.name)} --help")


def free(place: Path) -> bool:
    """Whether a recipe can be laid out there."""
    return not os.path.lexists(place) or (place.is_dir() and not place.is_symlink() and not any(place.iterdir()))


def root() -> Path:
    """Where egs, steps, utils and local are: the checkout, or within an installed package."""
    return PACKAGE.parent if (PACKAGE.parent / "egs").is_dir() else PACKAGE / "recipes"


def names() -> list[str]:
    """The recipes that are there."""
    return sorted(path.parent.name for path in (root() / "egs").glob("*/path.sh"))


def script(name: str) -> str:
    """The first script of a recipe."""
    return "run.sh" if (root() / "egs" / name / "run.sh").exists() else min(path.name for path in (root() / "egs" / name).glob("run*.sh"))


def needed(name: str) -> set[str]:
    """The recipe and those that its scripts and configurations name as ../NAME/, and theirs."""
    found, waiting = set(), {name}
    while waiting:
        one = waiting.pop()
        found.add(one)
        for path in files_of(one):
            code = re.sub(r"(^|\s)#.*", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
            waiting |= set(re.findall(r"\.\./(\w+)/", code)) & set(names()) - found
    return found


def files_of(name: str) -> list[Path]:
    """What makes a recipe: its scripts and configurations."""
    recipe = root() / "egs" / name
    return sorted(path for pattern in ("*.sh", "conf/**/*") for path in recipe.glob(pattern) if path.is_file() and not path.is_symlink())


def lay_out(name: str, target: Path) -> None:
    """Make the folder of a recipe, whole or not at all. Raises OSError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        recipe = Path(folder, "recipe")
        for path in files_of(name):
            place = recipe / path.relative_to(root() / "egs" / name)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
        _set_python(recipe / "path.sh")
        where = root()
        if where != PACKAGE.parent:
            shutil.copytree(where, recipe / TOOLKIT, ignore=lambda folder, names: {"egs"} if Path(folder) == where else set())
            (recipe / TOOLKIT / "sslspk").symlink_to(PACKAGE)
            where = Path(TOOLKIT)
        for link in LINKS:
            (recipe / link).symlink_to(where / link)
        os.replace(recipe, target)


def _set_python(path: Path) -> None:
    """Let path.sh put the Python that runs this, which has the packages, first on PATH."""
    environment = f"export VIRTUAL_ENV={shlex.quote(sys.prefix)}; " if sys.prefix != sys.base_prefix else ""
    text = path.read_text(encoding="utf-8")
    head, _, rest = text.partition("\n")
    folder = shlex.quote(os.path.dirname(sys.executable))
    line = f'{environment}export PATH={folder}:"$PATH"   # the Python of the command that laid this recipe out'
    path.write_text(f"{head}\n{line}\n{rest}", encoding="utf-8")
