#!/usr/bin/env bash
# Filterbank or MFCC features: reads DATA/wav.scp, writes DATA/{feats.scp,utt2num_frames,utt2dur} and archives that Kaldi reads.
set -euo pipefail
cmd=utils/run.pl
nj=4                  # number of parallel jobs
conf=conf/fbank.yaml  # feature options
set=()                # overrides, e.g. --set num_mel_bins=40
compress=true         # one byte per value, as Kaldi's --compress=true
allow_pipes=false     # true: run the entries of DATA/wav.scp that are commands
help_message="usage: $0 [--cmd C] [--nj N] [--conf conf/fbank.yaml] [--set k=v] [--compress true|false] DATA [LOGDIR [ARKDIR]]"
if [ -f ./path.sh ]; then . ./path.sh; fi
. utils/parse_options.sh
. utils/done.sh
[ $# -ge 1 ] && [ $# -le 3 ] || { echo "$help_message" >&2; exit 1; }
data=$1 log=${2:-$1/log} ark=${3:-$1/ark}

die() { echo "$0: error: $*" >&2; exit 1; }
[ -d "$data" ] || die "there is no data directory $data; run the stage that prepares it."
[ -s "$conf" ] || die "there is no $conf; --conf names the feature options."
key="make_feats compress=$compress ark=$ark ${set[*]} $(done_conf "$conf")"
stamp=$data/.make_feats
if [ -s "$data/feats.scp" ] && done_skip "$stamp" "$key" "$data/wav.scp"; then
  echo "$0: $data/feats.scp is up to date, skipped"
  exit 0
fi

rm -f "$data/feats.scp" "$data/utt2num_frames"
utils/validate_data_dir.sh --no-feats --allow-pipes "$allow_pipes" "$data"
total=$(grep -c "" "$data/wav.scp")
[ "$nj" -le "$total" ] || nj=$total
utils/split_data.sh "$data" "$nj"
mkdir -p "$log" "$ark"
ark=$(readlink -f "$ark")
options=(--conf "$conf" --compress "$compress" --allow-pipes "$allow_pipes")
for item in "${set[@]}"; do options+=(--set "$item"); done
$cmd JOB=1:"$nj" "$log/make_feats.JOB.log" \
  OMP_NUM_THREADS=1 python3 -m sslspk.bin.make_feats "${options[@]}" "$data/split$nj/JOB" "$ark/feats.JOB.ark" "$ark/feats.JOB.scp"
for pair in .utt2num_frames:utt2num_frames .utt2dur:utt2dur :feats.scp; do
  out=$data/${pair#*:}
  for n in $(seq "$nj"); do cat "$ark/feats.$n.scp${pair%%:*}"; done | LC_ALL=C sort > "$out.tmp"
  got=$(grep -c "" "$out.tmp")
  [ "$got" -eq "$total" ] || die "$got of $total utterances came out in ${pair#*:}; see $log"
  mv "$out.tmp" "$out"
done
utils/validate_data_dir.sh --allow-pipes "$allow_pipes" "$data"
done_mark "$stamp" "$key" "$data/wav.scp"
echo "$0: wrote features of $total utterances to $data/feats.scp"
