#!/usr/bin/env bash
# The checks and benchmarks that need a GPU, one after the other, in under eight minutes; exit status 1 where a check fails.
set -euo pipefail
device=cuda     # cuda or cpu: cpu shows that the script works, where there is no GPU
small=false     # true: small sizes, for a try on a CPU
out=            # folder that gets each part's output as NAME.txt besides
help_message="usage: $0 [options]
Parts: on_device (loss and gradients of every system of methods.py beside the CPU's, float32 and bf16), methods (seconds a step, float32 and
bf16), kmeans (10^6 x 192 points to 50,000 clusters), compiled (on_device with torch.compile). Each has a time limit.
Without a GPU, and without --device cpu, nothing is run, and the exit status is 3."
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tools/setup_env.sh
. utils/parse_options.sh
[ $# -eq 0 ] || { echo "$0: error: '$1' is no option; see $0 --help." >&2; exit 1; }
case $device in cuda|cpu) ;; *) echo "$0: error: --device is cuda or cpu, not '$device'." >&2; exit 1 ;; esac

if [ "$device" = cuda ] && ! python3 -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
  echo "$0: not run: PyTorch finds no GPU here. With --device cpu --small true the script shows on the CPU that it works." >&2
  exit 3
fi

batch=32; rounds=3; points=1000000; clusters=50000; iterations=5
if [ "$small" = true ]; then batch=16; rounds=1; points=3000; clusters=20; iterations=2; fi
failed=

part() {  # NAME SECONDS COMMAND...: run it, under a time limit; its failure is told at the end
  local name=$1 limit=$2 rc=0
  shift 2
  echo "== $name"
  timeout "$limit" "$@" 2>&1 | { if [ -n "$out" ]; then mkdir -p "$out" && tee "$out/$name.txt"; else cat; fi; } || rc=$?
  [ $rc = 0 ] || { failed="$failed $name"; echo "$name: exit status $rc$([ $rc != 124 ] || echo ", beyond $limit s")"; }
}

bench() { local name=$1; shift; echo python3 "tools/bench/$name.py" --device "$device" "$@"; }

# The words of a command hold no blanks, so that they may be split again.
# shellcheck disable=SC2046
{
  part on_device 60 $(bench on_device --batch $batch)
  part on_device_bf16 60 $(bench on_device --batch $batch --precision bf16)
  part methods 60 $(bench methods --batch $batch --rounds $rounds)
  part methods_bf16 60 $(bench methods --batch $batch --rounds $rounds --precision bf16)
  part kmeans 90 $(bench kmeans --points $points --clusters $clusters --iterations $iterations --init kmeans++ --ours)
  if [ "$device" = cuda ]; then part compiled 140 $(bench on_device --batch $batch --compile); fi
}
[ -z "$failed" ] || { echo "$0: failed:$failed" >&2; exit 1; }
echo "$0: all parts passed on $device"
