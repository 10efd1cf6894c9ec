#!/usr/bin/env bash
# Recognises languages from embeddings: trains probes on the training part of VoxLingua107 and tests them on the other parts; reads
# EXP/emb_VARIANT/voxlingua107_all, writes EXP/language_VARIANT/PART_PROBE/{predictions.tsv,result.json,confusion.png}.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
weights=           # encoders of the model, e.g. "teacher untrained"
tests=dev          # parts to ask about, e.g. "dev test"
probes=logistic    # e.g. "logistic linear_svm mlp"
options=           # more for steps/probe.sh, e.g. --options="--set C=0.01"
help_message="usage: $0 [--cmd C] --weights 'W ...' [--tests 'dev test'] [--probes 'P ...'] [--options='--set k=v'] DATA EXP"
. "$(dirname "$0")/../utils/environment.sh"
. utils/parse_options.sh; set -f   # what is in a list of names is no pattern
[ $# -eq 2 ] || { echo "$help_message" >&2; exit 1; }
[ -n "$weights" ] || { echo "$0: error: --weights names no encoder; see python3 -m sslspk.bin.show_config --weights" >&2; exit 1; }
data=$1 exp=$2

for variant in $weights; do
  emb=$exp/emb_$variant/voxlingua107_all
  [ -d "$emb" ] || emb=$exp/voxlingua107_all/$variant   # statistics
  for part in $tests; do
    asked=$data/voxlingua107_${part}_packed
    for probe in $probes; do
      out=$exp/language_$variant/${part}_$probe
      # shellcheck disable=SC2086  # --options holds several words
      steps/probe.sh --cmd "$cmd" --classifier "$probe" $options --labels "$data/voxlingua107_all/utt2lang" \
        --train "$data/voxlingua107_train_packed" --test "$asked" "$emb" "$out"
      steps/score_classes.sh --cmd "$cmd" --labels "$asked/utt2lang" --utt2spk "$asked/utt2spk" --cavg true "$out/predictions.tsv" "$out"
    done
  done
done
