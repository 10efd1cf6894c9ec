#!/usr/bin/env bash
# Trains a calibration (one score file) or a fusion (several) on a trial list. Use another list than those you report.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
p_target=0.05     # prior of a target in the application
label_kind=speaker   # what the labels of the list are, for the results: pseudo, speaker
made_on=          # short description of the list, stored in the model
utt2dur=          # seconds of each utterance: adds the durations of both sides of a trial
embeddings=       # directory with the embeddings of both sides: adds the lengths of the vectors
help_message="usage: $0 [--p-target 0.05] [--label-kind pseudo|speaker] [--made-on TEXT] [--utt2dur FILE] [--embeddings DIR]
       TRIALS SCORES... MODEL.json"
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. "$SSLSPK_ROOT"/utils/parse_options.sh
. "$SSLSPK_ROOT"/utils/launch.sh
. "$SSLSPK_ROOT"/utils/done.sh
[ $# -ge 3 ] || { echo "$help_message" >&2; exit 1; }
model=${*: -1}
files=("${@:1:$#-1}")   # the list and the scores

die() { echo "$0: error: $*" >&2; exit 1; }
inputs=("${files[@]}" ${utt2dur:+"$utt2dur"} ${embeddings:+"$embeddings/xvector.scp"})
for file in "${inputs[@]}"; do
  [ -s "$file" ] || die "there is no $file, or it is empty; run the stage that makes it."
done
options=(--p-target "$p_target" --label-kind "$label_kind")
for option in made_on utt2dur embeddings; do [ -z "${!option}" ] || options+=("--${option//_/-}" "${!option}"); done
key="train_calibration $p_target $label_kind $utt2dur $embeddings${made_on:+ $made_on}"
dir=$(dirname "$model") name=$(basename "$model" .json)
if done_skip "$dir/.train_calibration_$name" "$key" "${inputs[@]}" -- "$model"; then
  echo "$0: $model is up to date, skipped"
  exit 0
fi

mkdir -p "$dir/log"
log=$dir/log/train_calibration_$name.log
launch "$cmd" "$log" python3 -m sslspk.bin.train_calibration "${options[@]}" "${files[@]}" "$model"
[ -s "$model" ] || die "$model did not come out; see $log, then run the step again."
done_mark "$dir/.train_calibration_$name" "$key" "${inputs[@]}"
grep -E '^(weight|offset|Cllr) ' "$log"
echo "$0: wrote $model"
