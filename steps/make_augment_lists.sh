#!/usr/bin/env bash
# Packs noises, babble and impulse responses for augmentation: reads DATA_ROOT/{musan,rirs}_*, writes OUT/{noise,rir_small,...}.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
nj=4               # number of parallel jobs, and of archives of each kind
rir_seconds=1.0    # impulse responses are cut this long after their peak
num_babble=0       # babbles to make; 0: as many as there are recordings of speech
babble_seconds=20  # length of a babble
seed=0             # seed of the babble
help_message="usage: $0 [options] DATA_ROOT OUT
Reads those of DATA_ROOT/musan_{noise,music,speech} and rirs_{small,medium,large,real} that are there. Each OUT/KIND is a
packed data directory: noise, music, speech, babble (sums of 3-10 random recordings of speech at equal level),
rir_{small,medium,large,real} (cut from their peak). Without any of them it says so and writes nothing.
example: $0 --nj 8 data data/augment"
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. "$SSLSPK_ROOT"/utils/parse_options.sh
. "$SSLSPK_ROOT"/utils/launch.sh
. "$SSLSPK_ROOT"/utils/done.sh
[ $# -eq 2 ] || { echo "$help_message" >&2; exit 1; }
root=$1 out=$2

[ -d "$root" ] || { echo "$0: error: there is no folder $root; run the stage that prepares the corpora." >&2; exit 1; }
found=()
missing=()
for name in musan_{noise,music,speech} rirs_{small,medium,large,real}; do
  if [ -d "$root/$name" ]; then found+=("$root/$name/wav.scp"); else missing+=("$name"); fi
done
kinds=("$out"/{noise,music,speech,babble,rir_{small,medium,large,real}})
done_own "$out" "${kinds[@]}"   # OUT may be MUSAN itself, by mistake
if [ ${#found[@]} -eq 0 ]; then
  rm -rf "${kinds[@]}" "$out/.done"
  echo "$0: $root has no noises and no impulse responses (${missing[*]}); nothing to pack"
  exit 0
fi
[ ${#missing[@]} -eq 0 ] || echo "$0: not in $root and left out: ${missing[*]}"
key="make_augment_lists rir=$rir_seconds babble=$num_babble,$babble_seconds seed=$seed missing=${missing[*]-}"
find_outputs() {
  mapfile -t outputs < <(find "$out" -mindepth 2 -maxdepth 2 -type f \( -name wav.scp -o -name 'utt2*' -o -name 'spk2*' \) | LC_ALL=C sort)
}
mkdir -p "$out"
find_outputs
inputs=("${found[@]}")
for scp in "${found[@]}"; do [ ! -f "${scp%wav.scp}segments" ] || inputs+=("${scp%wav.scp}segments"); done
if done_skip "$out" "$key" "${inputs[@]}" -- "${outputs[@]}"; then echo "$0: $out is up to date, skipped"; exit 0; fi

for scp in "${found[@]}"; do "$SSLSPK_ROOT"/utils/validate_data_dir.sh --no-feats "$(dirname "$scp")"; done
rm -rf "${kinds[@]}"
mkdir -p "$out/log"
rm -f "$out"/log/make_augment_lists.*.log   # those of an earlier run with more jobs would be counted
launch "$cmd" JOB=1:"$nj" "$out/log/make_augment_lists.$JOB.log" \
  OMP_NUM_THREADS=1 python3 -m sslspk.bin.make_augment_lists pack --job "$JOB" --jobs "$nj" --rir-seconds "$rir_seconds" \
  --num-babble "$num_babble" --babble-seconds "$babble_seconds" --seed "$seed" "$root" "$out"
python3 -m sslspk.bin.make_augment_lists merge --jobs "$nj" "$root" "$out"
cat "$out"/log/make_augment_lists.*.log | step=$0 awk '/: left out, silent:/ { n++ }
  END { if (n) printf "%s: %d silent recordings left out (named in the logs)\n", ENVIRON["step"], n }'
find_outputs
done_mark "$out" "$key" "${inputs[@]}" -- "${outputs[@]}"
