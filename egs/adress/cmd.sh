# Where the jobs of this recipe run. Sourced by run.sh; `--cmd` on its command line wins over both lines.
# utils/run.pl runs them on this machine, as many at a time as there are cores (--max-jobs-run N changes that).
# A command may carry options for a batch system, which run.pl reads and leaves alone: "utils/run.pl --mem 4G".
# shellcheck shell=bash
export train_cmd="utils/run.pl"
export cuda_cmd="utils/run.pl --gpu 1"
