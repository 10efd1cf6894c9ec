#!/usr/bin/env bash
# Makes noisy copies of a data directory for training on features from disk: reads DATA and AUGDIR, writes OUT (clean + noisy).
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
nj=4                     # number of parallel jobs, and of archives
conf=conf/augment.yaml   # YAML with the keys of `augment` in a system's configuration
copies=1                 # noisy copies of each utterance
seed=0                   # seed of the random choice of noises
set=()                   # KEY=VALUE, overrides the conf
help_message="usage: $0 [options] DATA AUGDIR OUT
AUGDIR is what steps/make_augment_lists.sh wrote. OUT holds the utterances of DATA and their copies ID-noise1, ID-noise2 ...;
utt2uniq maps each copy to the utterance it was made from. Features are not carried over: run steps/make_feats.sh on OUT.
example: $0 --copies 2 data/voxceleb1_dev_packed data/augment data/voxceleb1_dev_noisy"
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. "$SSLSPK_ROOT"/utils/parse_options.sh
. "$SSLSPK_ROOT"/utils/launch.sh
. "$SSLSPK_ROOT"/utils/done.sh
. "$SSLSPK_ROOT"/utils/utterances.sh
[ $# -eq 3 ] || { echo "$help_message" >&2; exit 1; }
data=$1 lists=$2 out=$3

die() { echo "$0: error: $*" >&2; exit 1; }
[ -d "$data" ] || die "there is no data directory $data; run the stage that prepares it."
[ -d "$lists" ] || die "there is no folder $lists; run steps/make_augment_lists.sh first."
[ -z "$conf" ] || [ -f "$conf" ] || die "there is no configuration $conf; check --conf, or give --conf \"\" for the defaults."
[[ $copies =~ ^[1-9]$ ]] || die "--copies takes a number from 1 to 9, not '$copies'."
[[ $seed =~ ^[0-9]{1,9}$ ]] || die "--seed takes a whole number of at most 9 digits, not '${seed:0:40}'."
mkdir -p "$out"
[ "$(readlink -f "$data")" != "$(readlink -f "$out")" ] || die "OUT is DATA itself ($data); give another directory."
[ ! -f "$out/wav.scp" ] || [ -d "$out/ark" ] || die "$out is a data directory that this step did not make; give another OUT."
key="augment_data copies=$copies seed=$seed set=${set[*]+${set[*]@Q}} $([ -z "$conf" ] || done_conf "$conf")"
utterance_tables "$data"
inputs=("${data_tables[@]}") outputs=("$out"/{wav.scp,utt2uniq})
for name in utt2num_samples utt2spk; do [ ! -f "$data/$name" ] || outputs+=("$out/$name"); done
for scp in "$lists"/*/wav.scp; do [ ! -f "$scp" ] || inputs+=("$scp"); done
if done_skip "$out" "$key" "${inputs[@]}" -- "${outputs[@]}"; then
  echo "$0: $out is up to date, skipped"
  exit 0
fi

"$SSLSPK_ROOT"/utils/validate_data_dir.sh --no-feats "$data"
total=$(grep -c "" "$utts")
jobs=$nj
[ "$jobs" -le "$total" ] || jobs=$total
"$SSLSPK_ROOT"/utils/split_data.sh --work "$out" "$data" "$jobs"   # DATA is only read
overrides=()
for item in ${set[@]+"${set[@]}"}; do overrides+=("--set=$item"); done
[ -z "$conf" ] || overrides+=(--conf "$conf")
ark=$(readlink -f "$out")/ark log=$out/log
mkdir -p "$ark" "$log"
# Tables of an earlier run would point into archives that are about to change.
find "$out" -maxdepth 1 -type f \( -name '*.scp' -o -name 'utt2*' -o -name 'spk2*' -o -name text -o -name segments \) -delete
find "$ark" -maxdepth 1 -type f -name 'wav.*' -delete
launch "$cmd" JOB=1:"$jobs" "$log/augment_data.$JOB.log" \
  OMP_NUM_THREADS=1 python3 -m sslspk.bin.augment_data copy ${overrides[@]+"${overrides[@]}"} --copies "$copies" \
  --seed "$seed" "$out/split$jobs/$JOB" "$lists" "$ark/wav.$JOB.ark" "$ark/wav.$JOB.scp"
scps=()
for n in $(seq "$jobs"); do scps+=("$ark/wav.$n.scp"); done
python3 -m sslspk.bin.augment_data merge --copies "$copies" "$data" "$out" "${scps[@]}"
"$SSLSPK_ROOT"/utils/validate_data_dir.sh --no-feats "$out"
rm -rf "$out/split$jobs"
done_mark "$out" "$key" "${inputs[@]}"
