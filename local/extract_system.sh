#!/usr/bin/env bash
# Extracts the embeddings of data directories with each encoder of one system: reads EXP/final.pt and the directories, writes
# EXP/emb_VARIANT/NAME for each.
set -euo pipefail
cuda_cmd=utils/run.pl  # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
nj=4               # number of parallel jobs
ngpu=0             # number of GPUs; 0: CPU
weights=           # encoders of the model, e.g. "teacher student untrained"; "ivector" of an i-vector system
from=              # folder of the final.pt (or final.npz), where it is another one than EXP
vad=false          # true: of each directory DIR the one without silence, DIR_vad, is read
help_message="usage: $0 [--cuda-cmd C] [--nj N] [--ngpu N] --weights 'W ...' [--vad true] [--from FOLDER] EXP DIR..."
. "$(dirname "$0")/../utils/environment.sh"
. utils/parse_options.sh; set -f   # what is in a list of names is no pattern
[ $# -ge 2 ] || { echo "$help_message" >&2; exit 1; }
[ -n "$weights" ] || { echo "$0: error: --weights names no encoder; see python3 -m sslspk.bin.show_config --weights" >&2; exit 1; }
exp=$1
silence=; [ "$vad" = false ] || silence=_vad

for dir in "${@:2}"; do
  for variant in $weights; do
    if [ "$variant" = ivector ]; then
      local/ivector_feats.sh --cmd "$cuda_cmd --gpu 0" --nj "$nj" "$dir"
      steps/extract_ivectors.sh --cmd "$cuda_cmd --gpu 0" --nj "$nj" "${dir}_mfcc" "${from:-$exp}" "$exp/emb_ivector/$(basename "$dir")"
      continue
    fi
    which=(--weights "$variant"); [ "$variant" != untrained ] || which=(--untrained true)
    steps/extract_embeddings.sh --cmd "$cuda_cmd" --nj "$nj" --ngpu "$ngpu" "${which[@]}" "$dir$silence" "${from:-$exp}" \
      "$exp/emb_$variant/$(basename "$dir")"
  done
done
