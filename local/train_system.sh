#!/usr/bin/env bash
# Trains one system after those that it starts from (`after:` in its conf; MoCo before C3-MoCo before C3-DINO): reads DATA, writes
# EXPS/SYSTEM for each of them. The options of training apply to all of them, --set only to the last one.
set -euo pipefail
cuda_cmd=utils/run.pl  # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
ngpu=0             # number of GPUs; 0: CPU
nodes=1            # machines for each training
requeue=false      # true: a training that the scheduler stops goes back into the queue
conf=              # YAML of the last system; those before it lie beside it
common=()          # KEY=VALUE for every system of the chain
set=()             # KEY=VALUE for the last system
chain=-            # the systems before it, oldest first; -: as its conf says
init_from=         # final.pt or "ARCH CHECKPOINT" in place of the oldest system; the others take its features and encoder
part=              # suffix of the earlier systems' experiments
help_message="usage: $0 [--cuda-cmd C] [--ngpu N] [--nodes N] [--requeue true] --conf conf/X.yaml [--common k=v]... [--set k=v]...
       [--init-from MODEL] [--part _spk500] DATA EXP"
. "$(dirname "$0")/../utils/environment.sh"
. utils/parse_options.sh
. utils/stages.sh
[ $# -eq 2 ] || { echo "$help_message" >&2; exit 1; }
data=$1 exp=$2

shared=(--cmd "$cuda_cmd" --ngpu "$ngpu" --nodes "$nodes" --requeue "$requeue") overrides=() own=() from=()
for item in ${common[@]+"${common[@]}"}; do overrides+=(--set "$item"); done
for item in ${set[@]+"${set[@]}"}; do own+=(--set "$item"); done
[ "$chain" != - ] || chain=$(python3 -m sslspk.bin.show_config --conf "$conf" --chain)
[ -z "$init_from" ] || { from=(--init-from "$init_from"); read -r _ chain <<< "$chain" || chain=; }
train() {   # CONF OUT [--set k=v]...: trains it from what was trained before
  local chosen=$1
  if [ -n "$chain" ]; then count_off "training $2"; fi
  if [ -n "$init_from" ]; then
    mkdir -p "$2"; chosen=$2/.conf.yaml
    python3 -m sslspk.bin.show_config --encoder-of "$init_from" --conf "$1" "${overrides[@]}" "${@:3}" > "$chosen"
  fi
  steps/train.sh --conf "$chosen" "${shared[@]}" "${overrides[@]}" "${@:3}" "${from[@]}" "$data" "$2"
  from=(--init-from "$2/final.pt")
}
start_count $(($(wc -w <<< "$chain") + 1))
for earlier in $chain; do train "$(dirname "$conf")/$earlier.yaml" "$(dirname "$exp")/$earlier$part"; done
train "$conf" "$exp" "${own[@]}"
