#!/usr/bin/env bash
# Runs all checks: ruff, shellcheck, then pytest; sets up the environment first when that is needed.
# usage: tools/test.sh [--cluster] [--browser] [--no-lint] [--lowest] [--python PYTHON] [pytest arguments]
#   --cluster   install Slurm and Grid Engine first where they are missing (root): the tests of queue.pl and slurm.pl bring up
#               private ones, and are skipped, with the reason, where there is none
#   --browser   install Chromium and Selenium first where they are missing (root): the tests of sslspk report open its page in a browser,
#               and are skipped, with the reason, where there is none
#   --no-lint   pytest only
#   --lowest    in an environment of its own (.venv-lowest) with the lowest versions that setup.py allows, on the oldest Python that is
#               here; the tests that are not slow
#   --python P  in an environment of its own (.venv-P) made with another Python, such as python3.13
# SSLSPK_CORPORA=DIR names real corpora (DIR/VoxCeleb1, DIR/musan ...) for the tests that read some.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
lint=true
cluster=false
browser=false
args=()
while [ $# -gt 0 ]; do
  case $1 in
    --help|-h) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    --cluster) cluster=true ;;
    --browser) browser=true ;;
    --no-lint) lint=false ;;
    --lowest)
      # The lowest numpy and scipy have no wheels for later Pythons.
      setup_env_venv=.venv-lowest setup_env_pythons="python3.10 python3.11 python3" setup_env_constraints=$PWD/.venv-lowest.txt
      lint=false args+=(-m "not slow") ;;
    --python)
      [ $# -ge 2 ] || { echo "$0: error: --python needs a Python after it, such as python3.13" >&2; exit 1; }
      setup_env_venv=.venv-$(basename "$2") setup_env_pythons=$2 lint=false
      shift ;;
    *) args+=("$1") ;;
  esac
  shift
done
if [ -n "${setup_env_constraints:-}" ]; then python3 -m sslspk.versions --lowest setup.py > "$setup_env_constraints"; fi
. tools/setup_env.sh
export OMP_NUM_THREADS=1
unset PYTHONDONTWRITEBYTECODE   # the tests start some thousand programs, each of which would compile the package again
if [ "$lint" = true ]; then
  echo "ruff"
  ruff check .
  echo "shellcheck"
  check_scripts() { printf '%s\0' "$@" | xargs -0 -P "$(nproc)" -n 4 shellcheck -x; }
  check_scripts tools/*.sh tools/cluster/*.sh sslspk/launch/*.sh .ci/run
  # From a recipe's folder, where the scripts run: only there do the files that they source have their names. What recipes share, once.
  (cd egs/voxceleb && check_scripts utils/*.sh steps/*.sh local/*.sh)
  for recipe in egs/*/; do
    (cd "$recipe" && check_scripts ./*.sh)
  done
fi
if [ "$cluster" = true ] && ! tools/cluster/install.sh; then
  echo "$0: the tests of a batch system that could not be installed are skipped" >&2
fi
if [ "$browser" = true ] && ! tools/install_browser.sh; then
  echo "$0: the tests in a browser, which could not be installed, are skipped" >&2
fi
echo "pytest"
# Three on two cores: some tests wait most of the time, for a batch system or a time-out.
exec python3 -m pytest -q -n 3 --dist worksteal ${args[@]+"${args[@]}"}
