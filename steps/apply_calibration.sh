#!/usr/bin/env bash
# Calibrates or fuses the scores of a list with what train_calibration.sh wrote: writes OUT/scores_NAME and OUT/result_NAME.json.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
same_list=false   # allow the list that the model was trained on; the result states it
utt2dur=          # seconds of each utterance, if the training had them
embeddings=       # directory with the embeddings of both sides, if the training had it
provenance=       # JSON file whose keys are added to the result, as are those of the results beside SCORES
utt2spk=          # utterance -> speaker, for the interval; empty: the part of an id before its first hyphen
spk2gender=       # speaker -> gender: adds the figures of the trials within one gender
bootstrap=        # replicates of the bootstrap over speakers, 0: none; empty: 200 where the speakers are known
help_message="usage: $0 [--utt2dur FILE] [--embeddings DIR] [--provenance JSON_FILE] MODEL.json TRIALS SCORES... OUT
NAME is the file name of TRIALS, without .txt."
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. "$SSLSPK_ROOT"/utils/parse_options.sh
. "$SSLSPK_ROOT"/utils/launch.sh
. "$SSLSPK_ROOT"/utils/done.sh
[ $# -ge 4 ] || { echo "$help_message" >&2; exit 1; }
out=${*: -1} trials=$2
files=("${@:1:$#-1}")   # the model, the list and the scores

die() { echo "$0: error: $*" >&2; exit 1; }
name=$(basename "$trials" .txt)
inputs=("${files[@]}" ${embeddings:+"$embeddings/xvector.scp"})
for file in "$utt2dur" "$provenance" "$utt2spk" "$spk2gender"; do [ -z "$file" ] || inputs+=("$file"); done
for file in "${inputs[@]}"; do
  [ -s "$file" ] || die "there is no $file, or it is empty; run the stage that makes it."
done
for file in "${files[@]:2}"; do
  [ ! "$file" -ef "$out/scores_$name" ] || die "$file would be overwritten by its own calibration; choose another OUT."
done
options=()
for option in same_list utt2dur embeddings provenance utt2spk spk2gender bootstrap; do
  [ -z "${!option}" ] || options+=("--${option//_/-}" "${!option}")
done
key="apply_calibration $same_list $utt2dur $embeddings $provenance $utt2spk $spk2gender $bootstrap"
stamp=$out/.apply_calibration_$name outputs=("$out/scores_$name")
[ "$(awk 'NF { print NF; exit }' < "$trials")" = 2 ] || outputs+=("$out/result_$name.json")   # a list without labels gives scores alone
if done_skip "$stamp" "$key" "${inputs[@]}" -- "${outputs[@]}"; then
  echo "$0: $out/scores_$name is up to date, skipped"
  exit 0
fi

mkdir -p "$out/log"
log=$out/log/apply_calibration_$name.log
launch "$cmd" "$log" python3 -m sslspk.bin.apply_calibration "${options[@]}" "${files[@]}" "$out"
total=$(grep -c "[^[:space:]]" "$trials")
got=$(wc -l < "$out/scores_$name")
[ "$got" -ge "$total" ] || die "$got of $total scores came out; see $log, then run the step again."
done_mark "$stamp" "$key" "${inputs[@]}"
grep -E '^(EER|minDCF|actDCF|Cllr|note:)' "$log"
echo "$0: wrote ${outputs[*]}"
