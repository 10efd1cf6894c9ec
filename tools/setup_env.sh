#!/usr/bin/env bash
# Puts a Python that satisfies setup.py first on PATH for the tools that source it, making .venv when there is none.
# usage: bash tools/setup_env.sh     makes the environment and nothing else; then: . .venv/bin/activate
#
# An active virtual environment that has what setup.py asks for is used as it is; otherwise .venv in the repository is, and pip
# fills it with the versions of tools/constraints.txt. Stamps in it keep what was found, so that the next time costs nothing.
# Needs neither root nor apt. Tools that want another environment than .venv set, before they source this file:
#   setup_env_venv=.venv-lowest  setup_env_pythons="python3.10 python3.11"  setup_env_constraints=FILE
set -euo pipefail
if [ "${BASH_SOURCE[0]}" = "$0" ] && [ $# -gt 0 ]; then   # sourced, the words are those of the tool
  case $1 in
    --help|-h) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    *) echo "$0: error: '${1:0:40}' is no option; see $0 --help." >&2; exit 1 ;;
  esac
fi

setup_env_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
. "$setup_env_root/utils/python_ready.sh"

setup_env_make() {  # VENV: make it with the first Python of setup_env_pythons that setup.py allows and that can make one
  local python
  for python in ${setup_env_pythons:-python3 python3.13 python3.12 python3.11 python3.10}; do
    command -v "$python" > /dev/null || continue
    "$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))' 2> /dev/null || continue
    echo "making the virtual environment $1 with $("$python" --version)" >&2
    "$python" -m venv "$1" && return
    rm -rf "$1"
  done
  echo "$0: error: none of ${setup_env_pythons:-Python 3.10 to 3.13} here can make a virtual environment; install one with its venv" \
    "module (Debian: python3-venv), or activate an environment that has what setup.py asks for." >&2
  return 1
}

setup_env_command() {  # VENV: the command sslspk, in an environment that is older than it; pip would need the network
  local new=$1/bin/.sslspk.$$
  # For sh the second line starts Python; for Python it is a text. The folder's name may have spaces, and no #! may.
  # shellcheck disable=SC2016
  "$1/bin/python3" -c 'import sys; print("""#!/bin/sh
\x27\x27\x27exec\x27 "$(dirname "$0")/python3" "$0" "$@"
\x27 \x27\x27\x27
import sys

sys.path.insert(0, %r)
from sslspk.cli import main

sys.exit(main())""" % sys.argv[1])' "$setup_env_root" > "$new"
  chmod +x "$new"
  mv "$new" "$1/bin/sslspk"
}

setup_env() {
  local venv=$setup_env_root/${setup_env_venv:-.venv} constraints=${setup_env_constraints:-$setup_env_root/tools/constraints.txt}
  if [ -z "${setup_env_venv:-}" ] && [ -n "${VIRTUAL_ENV:-}" ] && [ "$(readlink -f "$VIRTUAL_ENV")" != "$(readlink -f "$venv")" ] &&
     python_ready "$setup_env_root" "$VIRTUAL_ENV/bin/python3" --dev 2> /dev/null; then
    PATH=$VIRTUAL_ENV/bin:$PATH
    return
  fi
  if [ ! -x "$venv/bin/python3" ]; then setup_env_make "$venv"; fi
  if ! python_ready "$setup_env_root" "$venv/bin/python3" --dev 2> /dev/null; then
    # An environment whose making was interrupted may lack pip.
    "$venv/bin/python3" -m pip --version > /dev/null 2>&1 || { rm -rf "$venv"; setup_env_make "$venv"; }
    echo "installing what setup.py asks for into $venv (about 5 GB, some minutes, only this once)" >&2
    # pip compiles the libraries. Where PYTHONDONTWRITEBYTECODE is set, every program would compile torch again at its start.
    (cd "$setup_env_root" && "$venv/bin/python3" -m pip install --quiet --compile -c "$constraints" -e '.[dev]')
    python_ready "$setup_env_root" "$venv/bin/python3" --dev
  fi
  # One that is a link belongs to another checkout.
  if [ ! -x "$venv/bin/sslspk" ] && [ ! -L "$venv" ]; then setup_env_command "$venv"; fi
  export VIRTUAL_ENV=$venv
  PATH=$venv/bin:$PATH
}

setup_env
if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  echo "ready: $VIRTUAL_ENV"
  if [ "$VIRTUAL_ENV" -ef "$setup_env_root/.venv" ]; then echo "for python3 and the command sslspk: . $VIRTUAL_ENV/bin/activate"; fi
fi
export PATH PYTHONPATH=$setup_env_root${PYTHONPATH:+:$PYTHONPATH} LC_ALL=C
unset -f setup_env setup_env_make setup_env_command
