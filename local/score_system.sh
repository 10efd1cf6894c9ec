#!/usr/bin/env bash
# Scores one trial list with each encoder of one system: reads EXP/emb_VARIANT/NAME and the list of DATA, writes
# EXP/scores_VARIANT/{scores,result}_trials_LIST.
set -euo pipefail
cmd=utils/run.pl
weights=           # encoders of the model, e.g. "teacher student untrained"
help_message="usage: $0 [--cmd C] --weights 'W ...' DATA LIST EXP"
if [ -f ./path.sh ]; then . ./path.sh; fi
. utils/parse_options.sh
[ $# -eq 3 ] || { echo "$help_message" >&2; exit 1; }
[ -n "$weights" ] || { echo "$0: error: --weights names no encoder; see python3 -m sslspk.bin.show_config --weights" >&2; exit 1; }
data=$1 list=$2 exp=$3

for variant in $weights; do
  emb=$exp/emb_$variant/$(basename "$data") out=$exp/scores_$variant
  [ -d "$emb" ] || emb=$exp/$(basename "$data")/$variant   # statistics
  steps/score.sh --cmd "$cmd" --spk2gender "$data/spk2gender" --provenance "$emb/provenance.json" \
    "$data/trials_$list" "$emb" "$emb" "$out"
done
