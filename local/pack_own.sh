#!/usr/bin/env bash
# Packs the audio of a user's data directory: writes DIR_packed, one channel at 16 kHz, without silence if the model needs that.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
nj=4               # number of parallel jobs
channel=first      # channel to take of several: first, a number from 0 on, or mix
vad=false          # true: silence is cut
help_message="usage: $0 [--cmd C] [--nj N] [--channel C] [--vad true] DIR"
. "$(dirname "$0")/../utils/environment.sh"
. utils/parse_options.sh
[ $# -eq 1 ] || { echo "$help_message" >&2; exit 1; }
data=$1 options=(--cmd "$cmd" --nj "$nj" --channel "$channel") confs=conf
[ -f $confs/vad.yaml ] || confs=../voxceleb/conf   # of a recipe that has none

[ "$vad" = false ] || steps/compute_vad.sh "${options[@]}" --conf $confs/vad.yaml --feats-conf $confs/mfcc.yaml "$data"
steps/pack_audio.sh "${options[@]}" --vad "$vad" "$data" "${data}_packed"
