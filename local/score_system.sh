#!/usr/bin/env bash
# Scores trial lists with each encoder of one system: reads EXP/emb_VARIANT/NAME and DATA/NAME/trials_LIST, writes
# EXP/scores_VARIANT/{scores,result}_trials_LIST.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
weights=           # encoders of the model, e.g. "teacher student untrained"
lists=veri_test2   # names of the lists
help_message="usage: $0 [--cmd C] --weights 'W ...' [--lists 'L ...'] DATA EXP"
. "$(dirname "$0")/../utils/environment.sh"
. utils/scoring.sh
. utils/parse_options.sh; set -f   # what is in a list of names is no pattern
[ $# -eq 2 ] || { echo "$help_message" >&2; exit 1; }
[ -n "$weights" ] || { echo "$0: error: --weights names no encoder; see python3 -m sslspk.bin.show_config --weights" >&2; exit 1; }
data=$1 exp=$2

for list in $lists; do
  trials=$(local/find_trials.sh "$data" "$list")
  for variant in $weights; do
    scoring_of "$trials" "$exp" "$variant"
    steps/score.sh --cmd "$cmd" "${of[@]}" "$trials" "$emb" "$emb" "$exp/scores_$variant"
  done
done
