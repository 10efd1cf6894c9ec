# The environment of a recipe: sourced by run.sh, by every step, and by jobs on other machines.
# shellcheck shell=bash
_path_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# A virtual environment that is active and has the requirements stays; otherwise the one that tools/*.sh made is used.
if [ -x "$_path_root/.venv/bin/python3" ] &&
   ! { [ -n "${VIRTUAL_ENV:-}" ] && compgen -G "$VIRTUAL_ENV/lib/python3.*/site-packages/kaldiio" > /dev/null; }; then
  case ":$PATH:" in
    *":$_path_root/.venv/bin:"*) ;;
    *) export PATH="$_path_root/.venv/bin:$PATH" ;;
  esac
fi
case ":${PYTHONPATH:-}:" in
  *":$_path_root:"*) ;;
  *) export PYTHONPATH="$_path_root${PYTHONPATH:+:$PYTHONPATH}" ;;
esac
# Kaldi's tables are sorted by byte, whatever language the terminal speaks.
export LC_ALL=C
unset _path_root
