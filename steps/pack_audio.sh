#!/usr/bin/env bash
# Packs audio into a few archives with random access: reads the data directory DATA, writes the data directory OUT.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
nj=4               # number of parallel jobs, and of archives
format=pcm         # pcm: a crop is one read; flac: half the space, but decoded at each read
rate=16000         # samples per second in the archives; other rates are resampled
vad=false          # true: cut out the frames that DATA/vad.scp marks as unvoiced
channel=first      # channel to take of several: first, a number from 0 on (as Kaldi's --channel), or mix, the mean of all
allow_pipes=false  # true: run the entries of DATA/wav.scp that are commands
help_message="usage: $0 [options] DATA OUT
Packs one channel (see --channel) of every utterance of DATA; one that cannot be speech (all zeros, ...) stops the step, and the
logs name all of them. OUT gets wav.scp (archive:offset), utt2num_samples, utt2dur and
copies of utt2*, spk2*, text, feats.scp, vad.scp, cmvn.scp and trials*; with --vad true not those about frames. What is not
copied is named. Each utterance of DATA/segments becomes a recording of its own.
example: $0 --nj 8 data/voxceleb1_dev data/voxceleb1_dev_packed"
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. "$SSLSPK_ROOT"/utils/parse_options.sh
. "$SSLSPK_ROOT"/utils/launch.sh
. "$SSLSPK_ROOT"/utils/done.sh
. "$SSLSPK_ROOT"/utils/utterances.sh
[ $# -eq 2 ] || { echo "$help_message" >&2; exit 1; }
data=$1 out=$2

die() { echo "$0: error: $*" >&2; exit 1; }
[ "$format" = pcm ] || [ "$format" = flac ] || die "--format takes pcm or flac, not '$format'."
[ -d "$data" ] || die "there is no data directory $data; run the stage that prepares it."
mkdir -p "$out"
[ "$(readlink -f "$data")" != "$(readlink -f "$out")" ] || die "OUT is DATA itself ($data); give another directory."
[ ! -f "$out/wav.scp" ] || [ -d "$out/ark" ] ||
  die "$out is a data directory that this step did not make; give another OUT, or remove that one."
[ "$vad" = false ] || [ -f "$data/vad.scp" ] || die "$data/vad.scp is missing; run steps/compute_vad.sh $data first."
key="pack_audio format=$format rate=$rate vad=$vad"
[ "$channel" = first ] || key="$key channel=$channel"
utterance_tables "$data"
inputs=("${data_tables[@]}")
[ "$vad" = false ] || inputs+=("$data/vad.scp")

copy_tables() {  # what DATA knows about the same utterances, as it is now
  local table
  cmp -s "$data/label_source" "$out/label_source" || rm -f "$out/label_source"
  for table in "$data"/{utt2*,spk2*,text,feats.scp,vad.scp,cmvn.scp,frame_shift,trials*,label_source}; do
    case $vad:${table##*/} in
      *:utt2num_samples|*:utt2dur|true:feats.scp|true:vad.scp|true:cmvn.scp|true:utt2num_frames) continue ;;
    esac
    if [ ! -f "$table" ] || cmp -s "$table" "$out/${table##*/}"; then continue; fi
    cp "$table" "$out/.${table##*/}.tmp"
    mv "$out/.${table##*/}.tmp" "$out/${table##*/}"
  done
}

say_left_out() {  # files of DATA that OUT has not; those about frames and recordings would be wrong there
  local path left=()
  for path in "$data"/*; do
    case ${path##*/} in split[0-9]*|ark|data|log|q|conf|bad_files.txt|segments) continue ;; esac
    if [ ! -e "$out/${path##*/}" ]; then left+=("${path##*/}"); fi
  done
  if [ ${#left[@]} -gt 0 ]; then echo "$0: not copied to $out: ${left[*]:0:9}$([ ${#left[@]} -lt 10 ] || echo " ...")"; fi
}

if done_skip "$out" "$key" "${inputs[@]}" -- "$out"/{wav.scp,utt2num_samples,utt2dur}; then
  copy_tables
  echo "$0: $out is up to date, skipped"
  exit 0
fi

"$SSLSPK_ROOT"/utils/validate_data_dir.sh --no-feats --allow-pipes "$allow_pipes" "$data"
total=$(grep -c "" "$utts")
jobs=$nj
[ "$jobs" -le "$total" ] || jobs=$total
"$SSLSPK_ROOT"/utils/split_data.sh --work "$out" "$data" "$jobs"   # DATA is only read
ark=$(readlink -f "$out")/ark log=$out/log
mkdir -p "$ark" "$log"
# Tables of an earlier run would point into archives that are about to change.
find "$out" -maxdepth 1 -type f \( -name '*.scp' -o -name 'utt2*' -o -name 'spk2*' -o -name text -o -name segments \) -delete
find "$ark" -maxdepth 1 -type f -name 'wav.*' -delete
launch "$cmd" JOB=1:"$jobs" "$log/pack_audio.$JOB.log" \
  OMP_NUM_THREADS=1 python3 -m sslspk.bin.pack_audio --format "$format" --rate "$rate" --vad "$vad" \
  --channel "$channel" --allow-pipes "$allow_pipes" "$out/split$jobs/$JOB" "$ark/wav.$JOB.ark" "$ark/wav.$JOB.scp"
copy_tables
python3 -m sslspk.bin.merge_tables --jobs "$jobs" --ids "$utts" --logs "$log" \
  "$ark/wav.JOB.scp.utt2num_samples" "$out/utt2num_samples" "$ark/wav.JOB.scp.utt2dur" "$out/utt2dur" \
  "$ark/wav.JOB.scp" "$out/wav.scp"
"$SSLSPK_ROOT"/utils/validate_data_dir.sh --no-feats "$out"

how="to their first channel"
[ "$channel" = first ] || how="by --channel $channel"
for n in $(seq "$jobs"); do cat "$ark/wav.$n.scp.counts"; done | step=$0 out=$out how=$how awk '
  { count[$1] += $2 }
  END {
    printf "%s: packed %d utterances into %s; ", ENVIRON["step"], count["utterances"], ENVIRON["out"]
    printf "%d resampled, ", count["resampled"]
    printf "%d reduced %s, %.1f s of silence cut", count["channels_dropped"], ENVIRON["how"], count["seconds_cut"]
    if (count["clipped"]) printf ", %d badly clipped (named in the logs)", count["clipped"]
    if (count["without_voice"]) printf ", %d kept whole for want of a voiced frame", count["without_voice"]
    print ""
  }'
say_left_out
rm -rf "$out/split$jobs"
done_mark "$out" "$key" "${inputs[@]}"
