#!/usr/bin/env bash
# The i-vector system from audio to embeddings: MFCC and VAD of the data directories (in copies NAME_mfcc beside them), UBM, total
# variability, and the i-vectors EXP/emb_ivector/NAME of each, NAME being that of the directory. No label is read.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
nj=4                     # number of parallel jobs
conf=conf/ivector_mfcc.yaml   # YAML of the i-vectors; also conf/ivector_short.yaml, conf/mini/ivector_mfcc.yaml
set=()                   # KEY=VALUE, overrides the conf
help_message="usage: $0 [--cmd C] [--nj N] [--conf conf/ivector_mfcc.yaml] [--set k=v]... TRAIN_DATA EXP [TEST_DATA]..."
. "$(dirname "$0")/../utils/environment.sh"
. utils/parse_options.sh
[ $# -ge 2 ] || { echo "$help_message" >&2; exit 1; }
train=$1 exp=$2
options=(--cmd "$cmd" --nj "$nj")
training=(--conf "$conf")
for item in ${set[@]+"${set[@]}"}; do training+=(--set "$item"); done

for data in "$train" "${@:3}"; do local/ivector_feats.sh "${options[@]}" "$data"; done
steps/train_ubm.sh "${options[@]}" "${training[@]}" "${train}_mfcc" "$exp/ubm"
steps/train_ivector.sh "${options[@]}" "${training[@]}" "${train}_mfcc" "$exp/ubm" "$exp"
for data in "$train" "${@:3}"; do
  steps/extract_ivectors.sh "${options[@]}" "${data}_mfcc" "$exp" "$exp/emb_ivector/$(basename "$data")"
done
