#!/usr/bin/env bash
# Classifies each utterance by a trained classifier: reads a data directory and a model, writes
# OUTDIR/predictions.tsv (posteriors) and OUTDIR/provenance.json.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
ngpu=0             # 0: on the CPU, else on one GPU
seconds=0          # cut utterances into pieces no longer than this and average their posteriors; 0: whole
allow_pipes=false  # true: run the entries of DATA/wav.scp that are commands
help_message="usage: $0 [--cmd C] [--ngpu N] [--seconds S] [--allow-pipes true] DATA MODEL OUTDIR
       MODEL: final.pt, the folder of a training, or one that sslspk export wrote"
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. "$SSLSPK_ROOT"/utils/parse_options.sh
. "$SSLSPK_ROOT"/utils/launch.sh
. "$SSLSPK_ROOT"/utils/models.sh
. "$SSLSPK_ROOT"/utils/done.sh
. "$SSLSPK_ROOT"/utils/utterances.sh
[ $# -eq 3 ] || { echo "$help_message" >&2; exit 1; }
data=$1 model=$(model_file "$2") out=$3

[ -s "$model" ] || { echo "$0: error: there is no $model; train it with steps/train.sh" >&2; exit 1; }
utterances_of "$data"
key="classify $seconds"
if done_skip "$out" "$key" "${source_tables[@]}" "$model" -- "$out"/{predictions.tsv,provenance.json}; then
  echo "$0: $out is up to date, skipped"
  exit 0
fi

"$SSLSPK_ROOT"/utils/validate_data_dir.sh --no-feats --no-wav --allow-pipes "$allow_pipes" "$data"
mkdir -p "$out/log"
gpu=$((ngpu > 0 ? 0 : -1))
launch "$cmd" --gpu $((ngpu > 0)) "$out/log/classify.log" OMP_NUM_THREADS=1 python3 -m sslspk.bin.classify \
  --seconds "$seconds" --allow-pipes "$allow_pipes" --gpu "$gpu" "$data" "$model" "$out"
grep '^warning: ' "$out/log/classify.log" >&2 || [ $? -eq 1 ]
done_mark "$out" "$key" "${source_tables[@]}" "$model"
