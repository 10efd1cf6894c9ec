# Sourced by a recipe's path.sh, by every step, and so by jobs on other machines: finds the toolkit and its Python, or says what is wrong.
# A path.sh may add to this; a step that finds one in its folder reads it first.
# shellcheck shell=bash
case " ${BASH_SOURCE[*]} " in
  *" ./path.sh "*) ;;
  *) if [ -f ./path.sh ]; then . ./path.sh; fi ;;
esac

# Where this file really is, whatever links led here.
SSLSPK_ROOT=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
export SSLSPK_ROOT
if [ ! -f "$SSLSPK_ROOT/sslspk/__init__.py" ]; then
  echo "$0: error: $SSLSPK_ROOT is no checkout of sslspk; link to one: rm -r steps utils local; ln -s CHECKOUT/{steps,utils,local} ." >&2
  return 1
fi
case $(readlink -f "$0") in
  "$SSLSPK_ROOT"/utils/*|"$SSLSPK_ROOT"/steps/*) ;;   # these need no recipe around them
  *) if [ ! utils -ef "$SSLSPK_ROOT/utils" ]; then
       echo "$0: error: $PWD is no recipe; cd to one, or make it one: ln -sfn $SSLSPK_ROOT/{steps,utils,local} ." >&2
       return 1
     fi ;;
esac

# An active virtual environment stays; otherwise the one that tools/setup_env.sh made is used.
if [ -x "$SSLSPK_ROOT/.venv/bin/python3" ] &&
   ! { [ -n "${VIRTUAL_ENV:-}" ] && compgen -G "$VIRTUAL_ENV/lib/python3.*/site-packages/kaldiio" > /dev/null; }; then
  case ":$PATH:" in
    *":$SSLSPK_ROOT/.venv/bin:"*) ;;
    *) export PATH="$SSLSPK_ROOT/.venv/bin:$PATH" ;;
  esac
fi
# This checkout comes before any other sslspk.
case "${PYTHONPATH:-}:" in
  "$SSLSPK_ROOT:"*) ;;
  *) export PYTHONPATH="$SSLSPK_ROOT${PYTHONPATH:+:$PYTHONPATH}" ;;
esac
# Kaldi's tables are sorted by byte, whatever language the terminal speaks.
# shellcheck disable=SC2031  # the other one is of a subshell
export LC_ALL=C

if ! _environment_python=$(command -v python3); then
  echo "$0: error: there is no python3 on PATH; install Python 3.10 to 3.13 (Debian: python3-venv)." >&2
  return 1
fi
if [ "${SSLSPK_PYTHON:-}" != "$_environment_python" ]; then   # asked once for all that a recipe starts
  . "$SSLSPK_ROOT/utils/python_ready.sh"
  if ! python_ready "$SSLSPK_ROOT" "$_environment_python"; then
    echo "$0: error: $_environment_python lacks what is named above; run: bash $SSLSPK_ROOT/tools/setup_env.sh" >&2
    return 1
  fi
  export SSLSPK_PYTHON=$_environment_python
fi
unset _environment_python
