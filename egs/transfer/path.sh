# The environment of a recipe: sourced by run.sh, by every step, and by jobs on other machines.
# shellcheck shell=bash
SSLSPK_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
export SSLSPK_ROOT
# A virtual environment that is active and has the requirements stays; otherwise the one that tools/*.sh made is used.
if [ -x "$SSLSPK_ROOT/.venv/bin/python3" ] &&
   ! { [ -n "${VIRTUAL_ENV:-}" ] && compgen -G "$VIRTUAL_ENV/lib/python3.*/site-packages/kaldiio" > /dev/null; }; then
  case ":$PATH:" in
    *":$SSLSPK_ROOT/.venv/bin:"*) ;;
    *) export PATH="$SSLSPK_ROOT/.venv/bin:$PATH" ;;
  esac
fi
case ":${PYTHONPATH:-}:" in
  *":$SSLSPK_ROOT:"*) ;;
  *) export PYTHONPATH="$SSLSPK_ROOT${PYTHONPATH:+:$PYTHONPATH}" ;;
esac
# Kaldi's tables are sorted by byte, whatever language the terminal speaks.
export LC_ALL=C
