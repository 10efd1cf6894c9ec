#!/usr/bin/env bash
# Takes down what gridengine_up.sh brought up: its jobs, its daemons and its folder, nothing else.
# usage: tools/cluster/gridengine_down.sh [--keep] DIR
#   --keep   leave the folder with its logs
set -euo pipefail
# shellcheck source=tools/cluster/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
take_down_options gridengine_up.sh "$@"
if any_up; then
  # shellcheck source=/dev/null
  . "$dir/env.sh"
  if timeout 5 qdel -u '*' > /dev/null 2>&1; then   # a job outlives its execd
    no_jobs() { [ -z "$(timeout 5 qstat -u '*')" ]; }
    wait_until 5 no_jobs || echo "$0: some jobs do not listen; they are killed"
  fi
fi
stop_recorded
kill_jobs "SGE_ROOT=$dir" JOB_ID
remove_folder
