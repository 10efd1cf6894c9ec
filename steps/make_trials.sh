#!/usr/bin/env bash
# Draws a trial list from utt2spk, half targets, half non-targets. The speakers may be clusters. Used for calibration on training data, for
# a corpus without a list, and (--across, --within) for trials between utterances of different or of the same emotion.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
num_trials=20000   # number of trials, half of them targets
seed=0             # seed of the random choice
utt2session=       # utterance -> session: leaves out target pairs within a session; empty: keeps them
across=            # FILE such as utt2emotion: every pair is of two of its classes
within=            # FILE such as utt2emotion: every pair is of one of its classes
help_message="usage: $0 [--cmd C] [--num-trials 20000] [--seed 0] [--utt2session FILE] [--across FILE | --within FILE] UTT2SPK OUT_TRIALS"
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. "$SSLSPK_ROOT"/utils/parse_options.sh
. "$SSLSPK_ROOT"/utils/launch.sh
. "$SSLSPK_ROOT"/utils/done.sh
[ $# -eq 2 ] || { echo "$help_message" >&2; exit 1; }
utt2spk=$1 out=$2

die() { echo "$0: error: $*" >&2; exit 1; }
inputs=("$utt2spk" ${utt2session:+"$utt2session"} ${across:+"$across"} ${within:+"$within"})
for file in "${inputs[@]}"; do
  [ -s "$file" ] || die "there is no $file, or it is empty; run the stage that makes it."
done
key="make_trials $num_trials $seed $utt2session${across:+ across $across}${within:+ within $within}"
stamp=$(dirname "$out")/.make_trials_$(basename "$out")
if done_skip "$stamp" "$key" "${inputs[@]}" -- "$out"; then
  echo "$0: $out is up to date, skipped"
  exit 0
fi

log="$(dirname "$out")/log/make_trials_$(basename "$out").log"
launch "$cmd" "$log" \
  python3 -m sslspk.bin.make_trials --num-trials "$num_trials" --seed "$seed" ${utt2session:+--utt2session "$utt2session"} \
  ${across:+--across "$across"} ${within:+--within "$within"} "$utt2spk" "$out"
grep -v '^#' "$log" || [ $? -eq 1 ]
[ -s "$out" ] || die "$out did not come out; the reason stands above."
done_mark "$stamp" "$key" "${inputs[@]}"
echo "$0: wrote $out, $(wc -l < "$out") trials"
