# Sourced by the other tools: puts a Python that satisfies setup.py first on PATH, making .venv when there is none.
#
# An active virtual environment that satisfies setup.py is used as it is; otherwise .venv in the repository is, and pip
# fills it. A stamp in it holds setup.py's hash, so that the next time costs nothing. Needs neither root nor apt.
# shellcheck shell=bash

setup_env_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

setup_env_satisfied() {  # PYTHON: whether it has everything that setup.py asks for; says nothing
  PYTHONPATH=$setup_env_root "$1" -m sslspk.versions "$setup_env_root/setup.py" 2> /dev/null
}

setup_env_make() {  # VENV: make it with the newest Python that setup.py allows and that can make one
  local python
  for python in python3 python3.13 python3.12 python3.11 python3.10; do
    command -v "$python" > /dev/null || continue
    "$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))' || continue
    echo "making the virtual environment $1 with $("$python" --version)" >&2
    "$python" -m venv "$1" && return
    rm -rf "$1"
  done
  echo "$0: error: no Python 3.10 to 3.13 here can make a virtual environment; install one with its venv module" \
    "(Debian: python3-venv), or activate an environment that has what setup.py asks for." >&2
  return 1
}

setup_env() {
  local venv=$setup_env_root/.venv stamp hash
  stamp=$venv/.setup-hash
  if [ -n "${VIRTUAL_ENV:-}" ] && [ "$(readlink -f "$VIRTUAL_ENV")" != "$venv" ] &&
     setup_env_satisfied "$VIRTUAL_ENV/bin/python3"; then
    PATH=$VIRTUAL_ENV/bin:$PATH
    return
  fi
  hash=$(md5sum < "$setup_env_root/setup.py")
  if [ ! -x "$venv/bin/python3" ]; then setup_env_make "$venv"; fi
  if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$hash" ]; then
    if ! setup_env_satisfied "$venv/bin/python3"; then
      # An environment whose making was interrupted may lack pip.
      "$venv/bin/python3" -m pip --version > /dev/null 2>&1 || { rm -rf "$venv"; setup_env_make "$venv"; }
      echo "installing what setup.py asks for into $venv (about 5 GB, some minutes, only this once)" >&2
      # Compiling 5 GB of libraries takes longer than compiling what is used at its first import.
      (cd "$setup_env_root" && "$venv/bin/python3" -m pip install --quiet --no-compile -e '.[dev]')
    fi
    PYTHONPATH=$setup_env_root "$venv/bin/python3" -m sslspk.versions "$setup_env_root/setup.py"
    echo "$hash" > "$stamp"
  fi
  export VIRTUAL_ENV=$venv
  PATH=$venv/bin:$PATH
}

setup_env
export PATH PYTHONPATH=$setup_env_root${PYTHONPATH:+:$PYTHONPATH} LC_ALL=C
unset -f setup_env setup_env_make setup_env_satisfied
