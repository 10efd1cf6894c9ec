"""Where a result comes from: the commit of the code that made it."""
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def git_commit() -> str:
    """Short hash of the checked-out commit, with '+' when tracked files were changed; 'unknown' outside a git checkout."""
    def git(*args: str) -> subprocess.CompletedProcess:
        return subprocess.run(["git", "-C", str(ROOT), *args], capture_output=True, text=True, check=False)
    try:
        head = git("rev-parse", "--short", "HEAD")
    except FileNotFoundError:
        return "unknown"
    if head.returncode:
        return "unknown"
    return head.stdout.strip() + ("+" if git("status", "--porcelain", "-uno").stdout.strip() else "")
