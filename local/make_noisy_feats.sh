#!/usr/bin/env bash
# Prepares --input feats for one system: noisy copies of the training audio on disk, and the features of all of it. Reads DATA and AUGMENT
# (what
# steps/make_augment_lists.sh wrote; without it no copies are made), writes OUT.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
nj=4               # number of parallel jobs
conf=              # YAML of the system; must be given
set=()             # KEY=VALUE, overrides the conf
help_message="usage: $0 [--cmd C] [--nj N] --conf conf/X.yaml [--set k=v]... DATA AUGMENT OUT"
. "$(dirname "$0")/../utils/environment.sh"
. utils/parse_options.sh
[ $# -eq 3 ] || { echo "$help_message" >&2; exit 1; }
data=$1 augment=$2 out=$3

overrides=()
for item in ${set[@]+"${set[@]}"}; do overrides+=(--set "$item"); done
for part in augment features; do
  python3 -m sslspk.bin.show_config --conf "$conf" --set data.input=feats "${overrides[@]}" $part > "$out.$part.yaml"
done
if [ -f "$augment/.done" ]; then
  steps/augment_data.sh --cmd "$cmd" --nj "$nj" --conf "$out.augment.yaml" "$data" "$augment" "$out"
else local/combine_once.sh "$out" "$data"; fi
steps/make_feats.sh --cmd "$cmd" --nj "$nj" --conf "$out.features.yaml" "$out"
