#!/usr/bin/env bash
# Takes down what slurm_up.sh brought up: its jobs, its daemons and its folder, nothing else.
# usage: tools/cluster/slurm_down.sh [--keep] DIR
#   --keep   leave the folder with its logs
set -euo pipefail
# shellcheck source=tools/cluster/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
take_down_options slurm_up.sh "$@"
if any_up; then
  export SLURM_CONF=$dir/slurm.conf
  if timeout 5 scancel --user="$(id -un)" 2> /dev/null; then   # a job outlives its slurmd
    no_jobs() { [ -z "$(timeout 5 squeue -h)" ]; }
    wait_until 5 no_jobs || echo "$0: some jobs do not listen; they are killed"
  fi
fi
stop_recorded
kill_jobs "SLURM_CONF=$dir/slurm.conf" SLURM_JOB_ID
remove_folder
