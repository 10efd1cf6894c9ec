#!/usr/bin/env bash
# Computes Kaldi's fbank or MFCC features: reads DATA/wav.scp, writes DATA/feats.scp, utt2num_frames and utt2dur.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
nj=4                   # number of parallel jobs, and of archives
conf=conf/fbank.yaml   # Kaldi's options, with underscores; "": Kaldi's own defaults at 80 bins
set=()                 # KEY=VALUE, overrides the conf
compress=true          # true: one byte per value, as Kaldi's; false: float32
channel=first          # channel to take of several: first, a number from 0 on (as Kaldi's --channel), or mix, the mean of all
work=                  # folder for a copy of DATA with the new files; DATA itself is only read
allow_pipes=false      # true: run the entries of DATA/wav.scp that are commands
help_message="usage: $0 [options] DATA [LOGDIR [ARKDIR]]
Archives go to ARKDIR (default DATA/data), logs to LOGDIR (default DATA/log). Any bad recording stops the step.
With --work the later steps read that folder in place of DATA.
example: $0 --nj 8 --conf conf/fbank.yaml --set num_mel_bins=40 data/voxceleb1_test"
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. "$SSLSPK_ROOT"/utils/parse_options.sh
. "$SSLSPK_ROOT"/utils/launch.sh
. "$SSLSPK_ROOT"/utils/done.sh
. "$SSLSPK_ROOT"/utils/archives.sh
[ $# -ge 1 ] && [ $# -le 3 ] || { echo "$help_message" >&2; exit 1; }
data=$1

die() { echo "$0: error: $*" >&2; exit 1; }
[ -d "$data" ] || die "there is no data directory $data; run the stage that prepares it."
[ -z "$conf" ] || [ -f "$conf" ] || die "there is no configuration $conf; check --conf, or give --conf \"\" for the defaults."
options=()
[ -z "$conf" ] || options+=(--conf "$conf")
for item in ${set[@]+"${set[@]}"}; do options+=("--set=$item"); done
archives_place "$@"
archives_options make_feats ${options[@]+"${options[@]}"}
chosen=
[ "$channel" = first ] || chosen=" channel=$channel"
archives_begin make_feats feats "$known" "compress=$compress$chosen" utt2dur utt2num_frames
rm -f "$data/utt2num_frames"   # it counts the frames of the old features

launch "$cmd" JOB=1:"$jobs" "$log/make_feats.$JOB.log" \
  OMP_NUM_THREADS=1 python3 -m sslspk.bin.make_feats extract ${options[@]+"${options[@]}"} --compress "$compress" \
  --channel "$channel" --allow-pipes "$allow_pipes" "$data/split$jobs/$JOB" "$ark.$JOB.ark" "$ark.$JOB.scp"
archives_end utt2dur utt2num_frames
