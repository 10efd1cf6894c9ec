#!/usr/bin/env bash
# Scores a trial list: reads ENROL_DIR/xvector.scp and TEST_DIR/xvector.scp, writes OUT/scores_NAME and OUT/result_NAME.json.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
backend=cosine   # how two embeddings are compared: cosine, lda, plda
model=           # directory of the trained back-end (steps/train_backend.sh); lda and plda need one
mean=            # cosine: directory of embeddings whose mean is subtracted first; empty: none
enrol_map=       # "model utt1 utt2 ..." lines: the list names models, averages of these utterances of ENROL_DIR
snorm=           # score normalisation with the cohort: as, s, z or t; empty: none
cohort=          # directory of embeddings of other speakers than those of the list
cohort_utt2spk=  # the cohort is the means of these speakers or clusters; empty: its utterances
cohort_label_kind=speaker   # what --cohort-utt2spk holds, for the result: pseudo, speaker
top_n=300        # for --snorm as: how many of the highest cohort scores of each side count
provenance=      # JSON file whose keys go to the result (system, labels used ...); empty: that beside the embeddings, if both sides have one
utt2spk=         # utterance -> speaker, for the interval; empty: the part of an id before its first hyphen
spk2gender=      # speaker -> gender: adds the figures of the trials within one gender
bootstrap=       # replicates of the bootstrap over speakers, 0: none; empty: 200 where the speakers are known
help_message="usage: $0 [--backend cosine|lda|plda [--model DIR]] [--mean DIR] [--snorm as --cohort DIR] [--enrol-map FILE]
       [--provenance JSON_FILE] TRIALS ENROL_DIR TEST_DIR OUT
NAME is the file name of TRIALS, without .txt."
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. "$SSLSPK_ROOT"/utils/parse_options.sh
. "$SSLSPK_ROOT"/utils/launch.sh
. "$SSLSPK_ROOT"/utils/done.sh
[ $# -eq 4 ] || { echo "$help_message" >&2; exit 1; }
trials=$1 enrol=$2 test=$3 out=$4

die() { echo "$0: error: $*" >&2; exit 1; }
name=$(basename "$trials" .txt)
if [ -z "$provenance" ] && [ -s "$test/provenance.json" ] && cmp -s "$enrol/provenance.json" "$test/provenance.json"; then
  provenance=$test/provenance.json
fi
inputs=("$trials" "$enrol/xvector.scp" "$test/xvector.scp")
for dir in "$mean" "$cohort"; do [ -z "$dir" ] || inputs+=("$dir/xvector.scp"); done
for file in "$enrol_map" "$cohort_utt2spk" "$provenance" "$utt2spk" "$spk2gender"; do [ -z "$file" ] || inputs+=("$file"); done
[ -z "$model" ] || inputs+=("$model/transform.mat")
for file in "${inputs[@]}"; do
  [ -s "$file" ] || die "there is no $file, or it is empty; run the stage that makes it."
done
[ -z "$model" ] || inputs+=("$model")
options=(--backend "$backend")
for option in model mean enrol_map snorm cohort cohort_utt2spk cohort_label_kind top_n provenance utt2spk spk2gender bootstrap; do
  [ -z "${!option}" ] || options+=("--${option//_/-}" "${!option}")
done
key="score $backend $model $mean $enrol_map $snorm $cohort $cohort_utt2spk $cohort_label_kind $top_n $provenance"
key+=" $utt2spk $spk2gender $bootstrap"
stamp=$out/.score_$name outputs=("$out/scores_$name")
[ "$(awk 'NF { print NF; exit }' < "$trials")" = 2 ] || outputs+=("$out/result_$name.json")   # a list without labels gives scores alone
if done_skip "$stamp" "$key" "${inputs[@]}" -- "${outputs[@]}"; then
  echo "$0: $out/scores_$name is up to date, skipped"
  exit 0
fi

mkdir -p "$out/log"
log=$out/log/score_$name.log
launch "$cmd" "$log" python3 -m sslspk.bin.score "${options[@]}" "$trials" "$enrol" "$test" "$out"
total=$(grep -c "[^[:space:]]" "$trials")
got=$(wc -l < "$out/scores_$name")
[ "$got" -ge "$total" ] || die "$got of $total scores came out; see $log, then run the step again."
done_mark "$stamp" "$key" "${inputs[@]}"
grep -E '^(trials|EER|minDCF|actDCF|Cllr|bootstrap|no interval|same gender|note:)' "$log"
echo "$0: wrote ${outputs[*]}"
