#!/usr/bin/env bash
# Makes a data directory of tar shards (wespeaker, WebDataset, Lhotse Shar) that are read where they lie: reads SHARDS, writes OUT.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
nj=4            # number of parallel jobs, each with its share of the tars
speaker=auto    # where the speaker is named: auto (cuts, .spk, .json, .cls), none, another ending such as txt, or json:KEY
prefix=none     # speaker or shard: put it before each id, which must be unique over all tars
check=header    # full: decode every recording and look for what cannot be speech
help_message="usage: $0 [options] SHARDS OUT
SHARDS is a folder of tars, a folder of Lhotse Shar, a list of tars (wespeaker's shard.list), cuts.*.jsonl(.gz), or a tar.
OUT gets wav.scp (tar:offset), utt2num_samples, utt2dur, utt2spk and spk2utt; no audio is copied. Tars must not be compressed.
example: $0 --nj 8 /corpora/voxceleb2/shard.list data/voxceleb2"
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. "$SSLSPK_ROOT"/utils/parse_options.sh
. "$SSLSPK_ROOT"/utils/launch.sh
. "$SSLSPK_ROOT"/utils/done.sh
[ $# -eq 2 ] || { echo "$help_message" >&2; exit 1; }
shards=$1 out=$2

die() { echo "$0: error: $*" >&2; exit 1; }
case $prefix in none|speaker|shard) ;; *) die "--prefix takes none, speaker or shard, not '$prefix'." ;; esac
case $check in full|header) ;; *) die "--check takes full or header, not '$check'." ;; esac
[ -e "$shards" ] || die "there is no $shards; give the folder, list or tar of the shards."
files=$(python3 -m sslspk.bin.import_shards --list "$shards")
mapfile -t inputs <<< "$files"
[ ! -f "$shards" ] || inputs+=("$shards")
done_own "$out" "$out/wav.scp"
key="import_shards $shards speaker=$speaker prefix=$prefix check=$check"
outputs=("$out"/{wav.scp,utt2num_samples,utt2dur})
[ "$speaker" = none ] || outputs+=("$out"/{utt2spk,spk2utt})
if done_skip "$out" "$key" "${inputs[@]}" -- "${outputs[@]}"; then echo "$0: $out is up to date, skipped"; exit 0; fi

log=$out/log jobs=$nj
[ "$jobs" -le "${#inputs[@]}" ] || jobs=${#inputs[@]}
mkdir -p "$log"
launch "$cmd" JOB=1:"$jobs" "$log/import_shards.$JOB.log" \
  OMP_NUM_THREADS=1 python3 -m sslspk.bin.import_shards --speaker "$speaker" --prefix "$prefix" --check "$check" \
  --jobs "$jobs" --job "$JOB" "$shards" "$out"
python3 -m sslspk.bin.import_shards --gather --speaker "$speaker" --jobs "$jobs" "$shards" "$out"
"$SSLSPK_ROOT"/utils/validate_data_dir.sh --no-feats "$out"
for n in $(seq "$jobs"); do rm -f "$out/.part.$n.jsonl"; done
done_mark "$out" "$key" "${inputs[@]}"
