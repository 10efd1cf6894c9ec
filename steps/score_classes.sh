#!/usr/bin/env bash
# Measures a classification over folds: reads predictions.tsv of each fold, writes OUT/{result.json,confusion.tsv} and,
# of up to 240 classes, OUT/confusion.png.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
labels=()        # utterance -> true class, such as utt2emotion; all together they name exactly the utterances that were tested
pool=none        # none | mean | vote: measure utterances, or groups by the mean posterior or by majority vote
groups=          # utterance -> recording or subject, for --pool
utt2spk=         # utterance -> speaker, for the interval; empty: the groups with --pool, else the part of an id before its first hyphen
cavg=false       # true: the detection cost of languages too (NIST's Cavg)
unseen=refuse    # refuse | wrong: stop at a test utterance of a class that training did not have, or count it as wrong
bootstrap=1000   # replicates of the bootstrap over speakers, 0: no interval
help_message="usage: $0 --labels TABLE [--pool none|mean|vote --groups TABLE] [--utt2spk FILE] [--cavg true | --unseen wrong]
       PREDICTIONS... OUT
PREDICTIONS are files predictions.tsv, one per fold; of a regression (columns utt, value) the RMSE is measured."
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. "$SSLSPK_ROOT"/utils/parse_options.sh
. "$SSLSPK_ROOT"/utils/launch.sh
. "$SSLSPK_ROOT"/utils/done.sh
[ $# -ge 2 ] || { echo "$help_message" >&2; exit 1; }
out=${*: -1} predictions=("${@:1:$#-1}")

die() { echo "$0: error: $*" >&2; exit 1; }
[ ${#labels[@]} -gt 0 ] || die "--labels is needed; give the table of the true classes."
inputs=("${predictions[@]}" "${labels[@]}" ${groups:+"$groups"} ${utt2spk:+"$utt2spk"})
for file in "${inputs[@]}"; do
  [ -f "$file" ] && [ -s "$file" ] || die "there is no file $file, or it is empty; run the stage that makes it."
done
outputs=("$out/result.json")
for file in "${predictions[@]}"; do
  from=$(dirname "$file")/provenance.json
  [ ! -f "$from" ] || inputs+=("$from")
done
options=(--pool "$pool" --bootstrap "$bootstrap")
[ "$cavg" = false ] || options+=(--cavg "$cavg")   # a result without it stays as it is
options+=(${groups:+--groups "$groups"} ${utt2spk:+--utt2spk "$utt2spk"})
[ "$unseen" = refuse ] || options+=(--unseen "$unseen")
for file in "${labels[@]}"; do options+=(--labels "$file"); done
key="score_classes ${options[*]@Q}"
stamp=$out/.score_classes
if done_skip "$stamp" "$key" "${inputs[@]}" -- "${outputs[@]}"; then
  echo "$0: $out is up to date, skipped"
  exit 0
fi

rm -f "$out/result.json"
log="$out/log/score_classes.log"
launch "$cmd" "$log" python3 -m sslspk.bin.score_classes "${options[@]}" "${predictions[@]}" "$out"
grep -v '^#' "$log" || [ $? -eq 1 ]
[ -s "$out/result.json" ] || die "$out/result.json did not come out; the reason stands above."
done_mark "$stamp" "$key" "${inputs[@]}"
echo "$0: wrote $out/result.json"
