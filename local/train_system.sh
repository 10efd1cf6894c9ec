#!/usr/bin/env bash
# Trains one system after those that it starts from (`after:` in its conf; MoCo before C3-MoCo before C3-DINO): reads DATA, writes
# EXPS/SYSTEM for each of them. The options of training hold for all, --set for the last one alone.
set -euo pipefail
cuda_cmd=utils/run.pl
ngpu=0
nodes=1            # machines for each training
requeue=false      # true: a training that the scheduler stops goes back into the queue
conf=              # YAML of the last system; those before it lie beside it
common=()          # KEY=VALUE for every system of the chain; may be repeated
set=()             # KEY=VALUE for the last system; may be repeated
chain=-            # the systems before it, oldest first; -: as its conf says
part=              # suffix of the earlier systems' experiments
help_message="usage: $0 [--cuda-cmd C] [--ngpu N] [--nodes N] [--requeue true] --conf conf/X.yaml [--common k=v]... [--set k=v]... [--part _spk500] DATA EXP"
. "$(dirname "$0")/../utils/environment.sh"
. utils/parse_options.sh
[ $# -eq 2 ] || { echo "$help_message" >&2; exit 1; }
data=$1 exp=$2

shared=(--cmd "$cuda_cmd" --ngpu "$ngpu" --nodes "$nodes" --requeue "$requeue") own=() from=()
for item in ${common[@]+"${common[@]}"}; do shared+=(--set "$item"); done
for item in ${set[@]+"${set[@]}"}; do own+=(--set "$item"); done
[ "$chain" != - ] || chain=$(python3 -m sslspk.bin.show_config --conf "$conf" --chain)
for earlier in $chain; do
  before=$(dirname "$exp")/$earlier$part
  steps/train.sh --conf "$(dirname "$conf")/$earlier.yaml" "${shared[@]}" "${from[@]}" "$data" "$before"
  from=(--init-from "$before/final.pt")
done
steps/train.sh --conf "$conf" "${shared[@]}" "${own[@]}" "${from[@]}" "$data" "$exp"
