#!/usr/bin/env bash
# The checks and benchmarks that need a GPU, one after the other, in under eight minutes; exit status 1 where a check fails.
set -euo pipefail
device=cuda     # cuda or cpu: cpu shows that the script works, where there is no GPU
small=false     # true: small sizes, for a try on a CPU
parts=          # only these, such as "steps loader"; all of them unless given
out=            # folder that gets each part's output as NAME.txt besides
help_message="usage: $0 [options]
Parts, each with its share of the time, after which it says what it did not reach:
  on_device, on_device_bf16, on_device_compiled   loss and gradients of the methods beside the CPU's
  two_ranks     a training on two GPUs (nccl) beside one; on a CPU two processes (gloo)
  kmeans        10^6 x 192 points to 50,000 clusters
  loader        crops a second through loader processes, copied to the device
  extraction    embeddings of an ECAPA-TDNN, one at a time and together
  steps         seconds a step of every method: float32, bf16, bf16 compiled
Without a GPU, and without --device cpu, nothing is run, and the exit status is 3."
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tools/setup_env.sh
. utils/parse_options.sh
[ $# -eq 0 ] || { echo "$0: error: '$1' is no option; see $0 --help." >&2; exit 1; }
case $device in cuda|cpu) ;; *) echo "$0: error: --device is cuda or cpu, not '$device'." >&2; exit 1 ;; esac

for name in $parts; do
  case "$name" in
    on_device|on_device_bf16|on_device_compiled|two_ranks|kmeans|loader|extraction|steps) ;;
    *) echo "$0: error: there is no part '$name'; see $0 --help." >&2; exit 1 ;;
  esac
done
gpus=0
if [ "$device" = cuda ]; then gpus=$(python3 -c 'import torch; print(torch.cuda.device_count())'); fi
if [ "$device" = cuda ] && [ "$gpus" = 0 ]; then
  echo "$0: not run: PyTorch finds no GPU here. With --device cpu --small true the script shows on the CPU that it works." >&2
  exit 3
fi

size=(--batch 32) slack=1; batch=32; points=1000000; clusters=50000; iterations=5
workers="1 4 8"; steps=50; recordings=400; ranked="--batch 128"; some=""; bf16="--only dino moco simclr moco+dino"
if [ "$device" = cpu ]; then slack=3; fi   # times the shares: there it is no matter of minutes
if [ "$small" = true ]; then
  size=(--small --batch 2 --steps 1 --only dino); batch=4; points=3000; clusters=20; iterations=2
  workers=1; steps=2; recordings=3; ranked="--batch 8 --steps 4"; some="--only dino"; bf16="--only dino"
fi
failed="" unfinished=""

part() {  # NAME SECONDS SHARE PROGRAM OPTION...: run it; after its share it begins nothing more, after these seconds it is stopped
  local name=$1 limit=$(($2 * slack)) share=(--seconds "$(($3 * slack))") rc=0
  [ "$3" -gt 0 ] || share=()
  shift 3
  [[ -z $parts || " $parts " == *" $name "* ]] || return 0
  echo "== $name"
  timeout "$limit" python3 "tools/bench/$1.py" --device "$device" ${share[@]+"${share[@]}"} "${@:2}" 2>&1 \
    | { if [ -n "$out" ]; then mkdir -p "$out" && tee "$out/$name.txt"; else cat; fi; } || rc=$?
  case $rc in
    0) ;;
    124) unfinished="$unfinished $name"; echo "$name: stopped after $limit s; what is not above was not reached" ;;
    *) failed="$failed $name"; echo "$name: exit status $rc" ;;
  esac
}

# shellcheck disable=SC2086
{
  part on_device 50 35 on_device --batch $batch $some
  part on_device_bf16 35 25 on_device --batch $batch --precision bf16 $bf16
  if [ "$device" = cpu ] || [ "$gpus" -gt 1 ]; then part two_ranks 50 0 two_ranks $ranked; else echo "== two_ranks: not run on one GPU"; fi
  part kmeans 75 0 kmeans --points $points --clusters $clusters --iterations $iterations --init kmeans++ --ours
  part loader 30 20 loader --steps $steps --workers $workers
  part extraction 35 0 embed --number $recordings
  part steps 140 110 steps "${size[@]}"
  part on_device_compiled 60 30 on_device --batch $batch --compile $some
}
[ -z "$unfinished" ] || echo "$0: stopped before the end:$unfinished"
[ -z "$failed" ] || { echo "$0: failed:$failed" >&2; exit 1; }
echo "$0: no check failed on $device"
