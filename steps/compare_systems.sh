#!/usr/bin/env bash
# Tests whether one system is better than another on a trial list: reads A/scores_NAME and B/scores_NAME, writes OUT/comparison_NAME.json,
# and OUT/disagreements_NAME: the trials on which only one of them is right.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
utt2spk=           # utterance -> speaker; empty: the part of an id before its first hyphen
bootstrap=1000     # replicates of the bootstrap over speakers, the same ones for both systems
seed=0             # seed of the bootstrap
trials_shown=1000  # number of lines in disagreements_NAME
help_message="usage: $0 [--utt2spk FILE] [--bootstrap N] [--seed N] [--trials-shown N] TRIALS A B OUT
A and B: directories that steps/score.sh wrote to. NAME is the file name of TRIALS, without .txt."
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. "$SSLSPK_ROOT"/utils/parse_options.sh
. "$SSLSPK_ROOT"/utils/launch.sh
. "$SSLSPK_ROOT"/utils/done.sh
[ $# -eq 4 ] || { echo "$help_message" >&2; exit 1; }
trials=$1 a=$2 b=$3 out=$4

die() { echo "$0: error: $*" >&2; exit 1; }
name=$(basename "$trials" .txt)
inputs=("$trials" "$a/scores_$name" "$b/scores_$name" ${utt2spk:+"$utt2spk"})
for file in "${inputs[@]}"; do
  [ -s "$file" ] || die "there is no $file, or it is empty; score this list with steps/score.sh."
done
options=(--bootstrap "$bootstrap" --seed "$seed" --trials-shown "$trials_shown" ${utt2spk:+--utt2spk "$utt2spk"})
log=$out/log/compare_systems_$name.log stamp=$out/.compare_systems_$name
key="compare_systems ${options[*]@Q} ${a@Q} ${b@Q}"
if done_skip "$stamp" "$key" "${inputs[@]}" -- "$out"/{comparison_"$name".json,disagreements_"$name"}; then
  echo "$0: $out/comparison_$name.json is up to date, skipped"
else
  mkdir -p "$out/log"
  launch "$cmd" "$log" python3 -m sslspk.bin.compare_systems "${options[@]}" "$trials" "$a" "$b" "$out"
  done_mark "$stamp" "$key" "${inputs[@]}"
fi
grep -v '^#' "$log" || [ $? -eq 1 ]
echo "$0: wrote $out/comparison_$name.json and $out/disagreements_$name"
