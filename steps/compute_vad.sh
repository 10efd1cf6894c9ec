#!/usr/bin/env bash
# Energy-based voice activity detection as Kaldi's: reads DATA/wav.scp, writes DATA/vad.scp (0 or 1 for each frame).
set -euo pipefail
cmd=utils/run.pl
nj=4                       # number of parallel jobs
conf=conf/vad.yaml         # VAD options
feats_conf=conf/mfcc.yaml  # features whose first column is the energy
set=()                     # overrides of VAD options
allow_pipes=false          # true: run the entries of DATA/wav.scp that are commands
help_message="usage: $0 [--cmd C] [--nj N] [--conf conf/vad.yaml] [--set k=v] DATA [LOGDIR [ARKDIR]]"
if [ -f ./path.sh ]; then . ./path.sh; fi
. utils/parse_options.sh
. utils/done.sh
[ $# -ge 1 ] && [ $# -le 3 ] || { echo "$help_message" >&2; exit 1; }
data=$1 log=${2:-$1/log} ark=${3:-$1/ark}

die() { echo "$0: error: $*" >&2; exit 1; }
[ -d "$data" ] || die "there is no data directory $data; run the stage that prepares it."
for file in "$conf" "$feats_conf"; do [ -s "$file" ] || die "there is no $file; see --conf and --feats-conf."; done
key="compute_vad ark=$ark ${set[*]} $(done_conf "$conf" "$feats_conf")"
stamp=$data/.compute_vad
if [ -s "$data/vad.scp" ] && done_skip "$stamp" "$key" "$data/wav.scp"; then
  echo "$0: $data/vad.scp is up to date, skipped"
  exit 0
fi

rm -f "$data/vad.scp"
utils/validate_data_dir.sh --no-feats --allow-pipes "$allow_pipes" "$data"
total=$(grep -c "" "$data/wav.scp")
[ "$nj" -le "$total" ] || nj=$total
utils/split_data.sh "$data" "$nj"
mkdir -p "$log" "$ark"
ark=$(readlink -f "$ark")
options=(--conf "$conf" --feats-conf "$feats_conf" --allow-pipes "$allow_pipes")
for item in "${set[@]}"; do options+=(--set "$item"); done
$cmd JOB=1:"$nj" "$log/compute_vad.JOB.log" \
  OMP_NUM_THREADS=1 python3 -m sslspk.bin.compute_vad "${options[@]}" "$data/split$nj/JOB" "$ark/vad.JOB.ark" "$ark/vad.JOB.scp"
for n in $(seq "$nj"); do cat "$ark/vad.$n.scp"; done | LC_ALL=C sort > "$data/vad.scp.tmp"
got=$(grep -c "" "$data/vad.scp.tmp")
[ "$got" -eq "$total" ] || die "$got of $total utterances came out; see $log"
mv "$data/vad.scp.tmp" "$data/vad.scp"
utils/validate_data_dir.sh --no-feats --allow-pipes "$allow_pipes" "$data"
done_mark "$stamp" "$key" "$data/wav.scp"
echo "$0: wrote VAD decisions of $total utterances to $data/vad.scp"
