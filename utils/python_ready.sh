# Sourced: whether a Python has what setup.py asks for. The answer is kept in its environment, so that asking again starts no Python.
# shellcheck shell=bash

python_ready() {  # ROOT PYTHON [--dev]: says what is wrong and returns 1 when it is not ready; --dev: the packages for tests, too
  local root=$1 python=$2 prefix hash packages
  prefix=$(dirname "$(dirname "$python")")
  packages=$(shopt -s nullglob; printf '%s\n' "$prefix"/lib/python3*/site-packages/*.dist-info | LC_ALL=C sort)
  # What is installed later, or another setup.py, makes another hash: a stamp never speaks of other packages than are there.
  hash=$({ printf '%s\n' "$packages"; cat "$root/setup.py"; } | md5sum | cut -d' ' -f1)
  if [ -n "$packages" ] && grep -qs "^$hash ready.*${3-}" "$prefix/.sslspk-ready"; then return 0; fi
  if ! "$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))'; then
    echo "$("$python" --version) is none of Python 3.10 to 3.13" >&2
    return 1
  fi
  PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} "$python" -m sslspk.versions ${3+"$3"} "$root/setup.py" || return 1
  if [ -n "$packages" ] && [ -w "$prefix" ]; then echo "$hash ready ${3-}" >> "$prefix/.sslspk-ready"; fi
}
