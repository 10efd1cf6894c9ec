#!/usr/bin/env python3
"""Prints what a run finds on this machine: versions, GPUs, free disk, corpora. Exits 1 if setup.py's requirements are not met."""
import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from sslspk import versions
from sslspk.errors import entry

# Corpus: the usual name of its folder, and what identifies it (one of these must be inside).
CORPORA = {
    "voxceleb1": ("VoxCeleb1", ("dev/wav", "test/wav", "vox1_meta.csv")),
    "voxceleb2": ("VoxCeleb2", ("dev/aac", "dev/wav", "vox2_meta.csv")),
    "musan": ("musan", ("noise", "music", "speech")),
    "rirs": ("RIRS_NOISES", ("simulated_rirs", "real_rirs_isotropic_noises")),
}
PLACES = (Path("egs/voxceleb/corpora"), Path("/data"), Path("/corpora"), Path("/export/corpora"), Path.home() / "data")


def find_corpus(name: str, given: str | None) -> tuple[Path | None, str]:
    """(folder, how it was found) or (None, remedy). Order: option, variable, SSLSPK_CORPORA, usual places."""
    folder, inside = CORPORA[name]
    explicit = [(given, f"--{name}"), (os.environ.get(name.upper()), name.upper())]
    shared = os.environ.get("SSLSPK_CORPORA")
    candidates = [(Path(path), source) for path, source in explicit if path]
    if not candidates:
        candidates = [(Path(shared, folder), "SSLSPK_CORPORA")] if shared else []
        candidates += [(ROOT / place / folder, "a usual place") for place in PLACES]
    for path, source in candidates:
        if any((path / part).exists() for part in inside):
            return path, source
    if explicit[0][0] or explicit[1][0]:
        return None, f"{candidates[0][0]} ({candidates[0][1]}) holds none of {', '.join(inside)}"
    return None, f"give --{name} DIR or set {name.upper()}"


def gpus() -> list[str]:
    """One line per GPU that the driver knows."""
    try:
        query = ["nvidia-smi", "--query-gpu=index,name,memory.total,memory.free", "--format=csv,noheader"]
        listing = subprocess.run(query, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return []
    return listing.stdout.strip().splitlines() if listing.returncode == 0 else []


def free_space() -> list[str]:
    """One line per file system that a run writes to."""
    lines = []
    for name, path in (("repository", ROOT), ("temporary files", Path(os.environ.get("TMPDIR", "/tmp")))):
        usage = shutil.disk_usage(path)
        lines.append(f"{path} ({name}): {usage.free / 1e9:.0f} of {usage.total / 1e9:.0f} GB free")
    return lines


def main() -> int:
    """Print the report; returns 1 if a requirement is not met or torch and torchaudio do not load together."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, (folder, _) in CORPORA.items():
        parser.add_argument(f"--{name}", metavar="DIR", help=f"where {folder} is (or the variable {name.upper()})")
    args = parser.parse_args()
    own = ROOT / ".venv"
    if "VIRTUAL_ENV" not in os.environ and (own / "bin/python3").exists() and Path(sys.prefix) != own:
        # The report must be about the Python that the recipes use; path.sh chooses it by the same rule.
        os.execv(own / "bin/python3", [str(own / "bin/python3"), __file__, *sys.argv[1:]])
    setup_py = str(ROOT / "setup.py")
    wanted = versions.requirements(setup_py)
    print(f"Python {sys.version.split()[0]} ({sys.executable})")
    names = [requirement.split(">")[0] for requirement in wanted]
    print("packages: " + ", ".join(f"{name} {versions.version(name) or 'missing'}" for name in names))
    for problem in versions.unmet(versions.requirements(setup_py, dev=True)[len(wanted):]):
        print(f"packages: for tests, {problem}; tools/test.sh installs it")
    print("GPUs: " + ("; ".join(gpus()) or "none"))
    print(f"CPU cores: {len(os.sched_getaffinity(0))}")
    for line in free_space():
        print("disk:", line)
    for name in CORPORA:
        path, note = find_corpus(name, getattr(args, name))
        print(f"{name}: {path} (from {note})" if path else f"{name}: not found; {note}")
    problems = versions.unmet(wanted) or list(filter(None, [versions.pair_problem()]))
    for problem in problems:
        print(f"check_env.py: error: {problem}", file=sys.stderr)
    if problems:
        active = "VIRTUAL_ENV" in os.environ and Path(sys.prefix) != own
        install = f"{sys.executable} -m pip install -c {ROOT}/tools/constraints.txt -e {ROOT}"
        print(f"check_env.py: mend it with: {install if active else versions.MEND}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    entry(main)
