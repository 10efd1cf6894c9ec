#!/usr/bin/env bash
# MFCC and VAD as i-vectors read them: makes DATA_mfcc, a copy of DATA, since the frames have edges of their own.
set -euo pipefail
cmd=utils/run.pl
nj=4   # parallel jobs
help_message="usage: $0 [--cmd C] [--nj N] DATA"
. "$(dirname "$0")/../utils/environment.sh"
. utils/parse_options.sh
. utils/done.sh
. utils/utterances.sh
[ $# -eq 1 ] || { echo "$help_message" >&2; exit 1; }
data=$1 options=(--cmd "$cmd" --nj "$nj") confs=conf
[ -f $confs/mfcc_ivector.yaml ] || confs=../voxceleb/conf   # of a recipe that has none

utterance_tables "$data"
if ! done_skip "${data}_mfcc" ivector_system "${data_tables[@]}" -- "${data}_mfcc/wav.scp"; then
  utils/combine_data.sh "${data}_mfcc" "$data"
  done_mark "${data}_mfcc" ivector_system "${data_tables[@]}"
fi
steps/make_feats.sh "${options[@]}" --conf $confs/mfcc_ivector.yaml "${data}_mfcc"
steps/compute_vad.sh "${options[@]}" --conf $confs/vad.yaml --feats-conf $confs/mfcc_ivector.yaml "${data}_mfcc"
