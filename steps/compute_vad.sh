#!/usr/bin/env bash
# Kaldi's energy-based voice activity detection: reads DATA/wav.scp, writes DATA/vad.scp and utt2dur.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
nj=4                        # number of parallel jobs, and of archives
conf=conf/vad.yaml          # Kaldi's VAD options, with underscores; "": Kaldi's own defaults
set=()                      # KEY=VALUE, overrides the conf
feats_conf=conf/mfcc.yaml   # the features whose first column is the energy, whatever DATA/feats.scp holds
channel=first               # channel to take of several: first, a number from 0 on (as Kaldi's --channel), or mix, the mean of all
work=                       # folder for a copy of DATA with the new files; DATA itself is only read
allow_pipes=false           # true: run the entries of DATA/wav.scp that are commands
help_message="usage: $0 [options] DATA [LOGDIR [ARKDIR]]
The energy is computed from the audio, so the result does not depend on DATA/feats.scp; there are as many frames as --feats-conf
gives (conf/mfcc.yaml: snip_edges false). utt2num_frames is written only where there is no feats.scp. Archives go to ARKDIR
(default DATA/data), logs to LOGDIR (default DATA/log). Any bad recording stops the step.
With --work the later steps read that folder in place of DATA.
example: $0 --nj 8 --set vad_energy_threshold=5.0 data/voxceleb1_test"
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
[ -f "$feats_conf" ] || die "there is no configuration $feats_conf; check --feats-conf."
options=(--feats-conf "$feats_conf")
[ -z "$conf" ] || options+=(--conf "$conf")
for item in ${set[@]+"${set[@]}"}; do options+=("--set=$item"); done
archives_place "$@"
archives_options compute_vad "${options[@]}"
chosen=
[ "$channel" = first ] || chosen="channel=$channel"
archives_begin compute_vad vad "$known" "$chosen" utt2dur

launch "$cmd" JOB=1:"$jobs" "$log/compute_vad.$JOB.log" \
  OMP_NUM_THREADS=1 python3 -m sslspk.bin.compute_vad extract "${options[@]}" --channel "$channel" \
  --allow-pipes "$allow_pipes" "$data/split$jobs/$JOB" "$ark.$JOB.ark" "$ark.$JOB.scp"
tables=(utt2dur)
[ -f "$data/feats.scp" ] || tables+=(utt2num_frames)   # which counts the frames of the features where there are any
archives_end "${tables[@]}"
