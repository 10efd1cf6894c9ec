# Where the jobs of this recipe run. Sourced by run.sh; `--cmd` on its command line wins over both lines. Choose one of the three:
# shellcheck shell=bash

# This machine, as many jobs at a time as there are cores (--max-jobs-run N changes that).
export train_cmd="utils/run.pl"
export cuda_cmd="utils/run.pl --gpu 1"

# Slurm; conf/slurm.conf says what the options become.
# export train_cmd="utils/slurm.pl --mem 4G"
# export cuda_cmd="utils/slurm.pl --mem 8G --num-threads 4 --gpu 1 --time 24:00:00"

# Grid Engine; conf/queue.conf says what the options become.
# export train_cmd="utils/queue.pl --mem 4G"
# export cuda_cmd="utils/queue.pl --mem 8G --num-threads 4 --gpu 1 --time 24:00:00"
