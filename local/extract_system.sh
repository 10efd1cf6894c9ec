#!/usr/bin/env bash
# Extracts the embeddings of one data directory with each encoder of one system: reads DATA and EXP/final.pt, writes
# EXP/emb_VARIANT/NAME, NAME being that of DATA unless --name gives another.
set -euo pipefail
cmd=utils/run.pl
nj=4
ngpu=0
weights=           # encoders of the model, e.g. "teacher student untrained"
name=
help_message="usage: $0 [--cmd C] [--nj N] [--ngpu N] --weights 'W ...' [--name N] DATA EXP"
if [ -f ./path.sh ]; then . ./path.sh; fi
. utils/parse_options.sh
[ $# -eq 2 ] || { echo "$help_message" >&2; exit 1; }
[ -n "$weights" ] || { echo "$0: error: --weights names no encoder; see python3 -m sslspk.bin.show_config --weights" >&2; exit 1; }
data=$1 exp=$2

for variant in $weights; do
  which=(--weights "$variant"); [ "$variant" != untrained ] || which=(--untrained true)
  steps/extract_embeddings.sh --cmd "$cmd" --nj "$nj" --ngpu "$ngpu" "${which[@]}" "$data" "$exp" \
    "$exp/emb_$variant/${name:-$(basename "$data")}"
done
