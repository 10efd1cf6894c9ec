#!/usr/bin/env bash
# Computes Kaldi's fbank or MFCC features: reads DATA/wav.scp, writes DATA/feats.scp, utt2num_frames and utt2dur.
set -euo pipefail
cmd=utils/run.pl
nj=4                   # number of parallel jobs, and of archives
conf=conf/fbank.yaml   # Kaldi's options, with underscores; "": Kaldi's own defaults at 80 bins
set=()                 # KEY=VALUE, overrides the conf; may be repeated
compress=true          # true: one byte per value, as Kaldi's; false: float32
allow_pipes=false      # true: run the entries of DATA/wav.scp that are commands
help_message="usage: $0 [options] DATA [LOGDIR [ARKDIR]]
Archives go to ARKDIR (default DATA/data), logs to LOGDIR (default DATA/log). Any bad recording stops the step.
example: $0 --nj 8 --conf conf/fbank.yaml --set num_mel_bins=40 data/voxceleb1_test"
if [ -f ./path.sh ]; then . ./path.sh; fi
. utils/parse_options.sh
. utils/done.sh
[ $# -ge 1 ] && [ $# -le 3 ] || { echo "$help_message" >&2; exit 1; }
data=$1 log=${2:-$1/log} arkdir=${3:-$1/data}

die() { echo "$0: error: $*" >&2; exit 1; }
[ -d "$data" ] || die "there is no data directory $data; run the stage that prepares it."
[ -z "$conf" ] || [ -f "$conf" ] || die "there is no configuration $conf; check --conf, or give --conf \"\" for the defaults."
options=()
[ -z "$conf" ] || options+=(--conf "$conf")
for item in ${set[@]+"${set[@]}"}; do options+=(--set "$item"); done
key=$(python3 -m sslspk.bin.make_feats options ${options[@]+"${options[@]}"})
mkdir -p "$arkdir" "$log"
ark=$(readlink -f "$arkdir") base=feats_$(basename "$(readlink -f "$data")")
key="make_feats compress=$compress ark=$ark $key" stamp=$data/.make_feats
archives() {  # what an earlier run made for this DATA (another one of the same ARKDIR may be called NAME.1)
  local path
  for path in "$ark/$base".*.ark; do
    if [[ ${path#"$ark/$base."} =~ ^[0-9]+\.ark$ ]]; then echo "$path"; fi
  done
}
mapfile -t made < <(archives)
if done_skip "$stamp" "$key" "$data"/{wav.scp,utt2spk,feats.scp} ${made[@]+"${made[@]}"}; then
  echo "$0: $data/feats.scp is up to date, skipped"
  exit 0
fi

utils/validate_data_dir.sh --no-feats --allow-pipes "$allow_pipes" "$data"
total=$(grep -c "" "$data/wav.scp")
jobs=$nj
[ "$jobs" -le "$total" ] || jobs=$total
# Tables of an earlier run would point into archives that are about to change.
rm -f "$data/feats.scp" "$data/utt2num_frames"
rm -f ${made[@]+"${made[@]}"} ${made[@]+"${made[@]/%ark/scp}"}
utils/split_data.sh "$data" "$jobs"
$cmd JOB=1:"$jobs" "$log/make_feats.JOB.log" \
  OMP_NUM_THREADS=1 python3 -m sslspk.bin.make_feats extract ${options[@]+"${options[@]}"} --compress "$compress" \
  --allow-pipes "$allow_pipes" "$data/split$jobs/JOB" "$ark/$base.JOB.ark" "$ark/$base.JOB.scp"
scps=()
for n in $(seq "$jobs"); do scps+=("$ark/$base.$n.scp"); done
python3 -m sslspk.bin.make_feats merge "$data" "${scps[@]}"
mapfile -t made < <(archives)
done_mark "$stamp" "$key" "$data"/{wav.scp,utt2spk,feats.scp} "${made[@]}"
