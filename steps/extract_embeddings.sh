#!/usr/bin/env bash
# Extracts one embedding per utterance: reads a data directory and EXP/final.pt, writes OUTDIR/xvector.{scp,N.ark}
# and OUTDIR/provenance.json, which says what they come from.
set -euo pipefail
cmd=utils/run.pl
nj=4               # number of parallel jobs, and of archives
ngpu=0             # 0: on the CPU; else the jobs are shared by this many GPUs
weights=           # which encoder of the model (DINO: teacher, student); empty: the model's own choice
layer=             # a layer inside the encoder, averaged over time, in place of its embedding, e.g. pooling
untrained=false    # true: the same architecture with its initial weights, a baseline
allow_pipes=false  # true: run the entries of DATA/wav.scp that are commands
help_message="usage: $0 [--cmd C] [--nj N] [--ngpu N] [--weights W] [--layer L] [--untrained true|false] [--allow-pipes true]
       DATA EXP OUTDIR"
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. utils/parse_options.sh
. utils/launch.sh
. utils/done.sh
. utils/utterances.sh
[ $# -eq 3 ] || { echo "$help_message" >&2; exit 1; }
data=$1 model=$2/final.pt out=$3

[ -s "$model" ] || { echo "$0: error: there is no $model; train it with steps/train.sh" >&2; exit 1; }
utterances_of "$data"
key="extract_embeddings $weights $untrained${layer:+ $layer}"
done_own "$out" "$out"/xvector.*
if done_skip "$out" "$key" "${source_tables[@]}" "$model" -- "$out"/{xvector.scp,provenance.json}; then echo "$0: $out is up to date, skipped"; exit 0; fi

utils/validate_data_dir.sh --no-feats --no-wav --allow-pipes "$allow_pipes" "$data"
# An earlier run's table would point into archives that are about to change.
rm -f "$out"/xvector.*
total=$(wc -l < "$utts")
[ "$nj" -le "$total" ] || nj=$total
utils/split_data.sh "$data" "$nj"
options=(--allow-pipes "$allow_pipes")
[ -z "$weights" ] || options+=(--weights "$weights")
[ "$untrained" = false ] || options+=(--untrained)
[ -z "$layer" ] || options+=(--layer "$layer")
mkdir -p "$out/log"
gpus=(--gpu 0) gpu=-1
[ "$ngpu" -eq 0 ] || gpus=(--gpu 1 --max-jobs-run "$ngpu") gpu=0   # each job sees one GPU, its own
launch "$cmd" "${gpus[@]}" JOB=1:"$nj" "$out/log/extract.$JOB.log" \
  OMP_NUM_THREADS=1 python3 -m sslspk.bin.extract_embeddings "${options[@]}" --gpu "$gpu" \
  "$data/split$nj/$JOB" "$model" "$out/xvector.$JOB.ark" "$out/xvector.$JOB.scp"
for n in $(seq "$nj"); do grep -m1 '^warning: ' "$out/log/extract.$n.log" || [ $? -eq 1 ]; done | sed -n 1p >&2
python3 -m sslspk.bin.merge_tables --jobs "$nj" --ids "$utts" --logs "$out/log" "$out/xvector.JOB.scp" "$out/xvector.scp"
done_mark "$out" "$key" "${source_tables[@]}" "$model"
