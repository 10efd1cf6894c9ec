#!/usr/bin/env bash
# The participants of DATA whose MMSE score is known, with utt2mmse, and the folds of a cross-validation over them: reads
# DATA/{utt2spk,spk2mmse}, writes OUT (a data directory) and OUT/folds_CV.
set -euo pipefail
cv=5   # a number of folds, or loso: one participant in turn
help_message="usage: $0 [--cv N|loso] DATA OUT"
. "$(dirname "$0")/../utils/environment.sh"
. utils/parse_options.sh
[ $# -eq 2 ] || { echo "$help_message" >&2; exit 1; }
data=$1 out=$2

[ -s "$data/spk2mmse" ] || { echo "$0: error: $data/spk2mmse is missing or empty; prepare the corpus again." >&2; exit 1; }
mkdir -p "$out"
awk '{ sub(/\r$/, ""); if (FNR == 1) sub(/^\357\273\277/, "") }
  NR == FNR { if ($2 != "NA") score[$1] = $2; next } $2 in score { print $1, score[$2] }' \
  <(cat "$data/spk2mmse") <(cat "$data/utt2spk") > "$out/.known"   # awk takes a name like a=b/utt2spk for an assignment
[ -s "$out/.known" ] || { echo "$0: error: $data/spk2mmse knows no score, only NA." >&2; exit 1; }
cut -d' ' -f1 "$out/.known" > "$out/.utts"
utils/subset_data_dir.sh --utt-list "$out/.utts" "$data" "$out"
cmp -s "$out/.known" "$out/utt2mmse" || cp "$out/.known" "$out/utt2mmse"
number=(); [ "$cv" = loso ] || number=(--num-folds "$cv")
utils/make_folds.sh --by utt2spk "${number[@]}" "$out" "$out/folds_$cv"
