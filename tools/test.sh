#!/usr/bin/env bash
# Runs all checks: ruff, shellcheck, then pytest; sets up the environment first when that is needed.
# usage: tools/test.sh [--cluster] [--no-lint] [pytest arguments]
#   --cluster   install Slurm and Grid Engine first where they are missing (root): the tests of queue.pl and slurm.pl bring up
#               private ones, and are skipped, with the reason, where there is none
#   --no-lint   pytest only
# SSLSPK_CORPORA=DIR names real corpora (DIR/VoxCeleb1, DIR/musan ...) for the tests that read some.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
lint=true
cluster=false
args=()
for arg in "$@"; do
  case $arg in
    --help|-h) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    --cluster) cluster=true ;;
    --no-lint) lint=false ;;
    *) args+=("$arg") ;;
  esac
done
. tools/setup_env.sh
export OMP_NUM_THREADS=1
if [ "$lint" = true ]; then
  echo "ruff"
  ruff check .
  echo "shellcheck"
  shellcheck -x tools/*.sh tools/cluster/*.sh sslspk/launch/*.sh .ci/run
  for recipe in egs/*/; do
    # From a recipe's folder, where the scripts run: only there do the files that they source have their names.
    (cd "$recipe" && shopt -s nullglob && shellcheck -x ./*.sh utils/*.sh steps/*.sh local/*.sh)
  done
fi
if [ "$cluster" = true ] && ! tools/cluster/install.sh; then
  echo "$0: the tests of a batch system that could not be installed are skipped" >&2
fi
echo "pytest"
# Three on two cores: some tests wait most of the time, for a batch system or a time-out.
exec python3 -m pytest -q -n 3 --dist worksteal ${args[@]+"${args[@]}"}
