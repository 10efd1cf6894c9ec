#!/usr/bin/env bash
# Takes down what gridengine_up.sh brought up: its jobs, its daemons and its folder, nothing else.
# usage: tools/cluster/gridengine_down.sh [--keep] DIR
#   --keep   leave the folder with its logs
set -euo pipefail
# shellcheck source=tools/cluster/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
keep=false
case ${1:-} in
  --help|-h) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit 0 ;;
  --keep) keep=true; shift ;;
esac
[ $# -eq 1 ] || die "name the folder that was given to gridengine_up.sh."
find_folder "$1"
if is_up; then
  # shellcheck source=/dev/null
  . "$dir/env.sh"
  if timeout 5 qdel -u '*' > /dev/null 2>&1; then   # a job outlives its execd
    no_jobs() { [ -z "$(timeout 5 qstat -u '*')" ]; }
    wait_until 5 no_jobs || echo "$0: some jobs do not listen; they are killed"
  fi
fi
stop_recorded
kill_jobs "SGE_ROOT=$dir" JOB_ID
if [ "$keep" = true ]; then : > "$dir/pids"; else rm -rf "$dir"; fi
