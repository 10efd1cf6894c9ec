#!/usr/bin/env bash
# MFCC and VAD for i-vectors. They are written to DATA_mfcc, a copy of DATA, since their frames differ from those of the filter banks.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
nj=4   # number of parallel jobs
help_message="usage: $0 [--cmd C] [--nj N] DATA"
. "$(dirname "$0")/../utils/environment.sh"
. utils/parse_options.sh
[ $# -eq 1 ] || { echo "$help_message" >&2; exit 1; }
data=$1 options=(--cmd "$cmd" --nj "$nj") confs=conf
[ -f $confs/mfcc_ivector.yaml ] || confs=../voxceleb/conf   # of a recipe that has none

steps/make_feats.sh "${options[@]}" --conf $confs/mfcc_ivector.yaml --work "${data}_mfcc" "$data"
steps/compute_vad.sh "${options[@]}" --conf $confs/vad.yaml --feats-conf $confs/mfcc_ivector.yaml --work "${data}_mfcc" "$data"
