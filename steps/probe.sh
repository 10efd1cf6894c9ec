#!/usr/bin/env bash
# Trains a probe on frozen embeddings and predicts a test part: writes OUT/{predictions.tsv,probe.yaml,provenance.json}.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
classifier=             # logistic | linear_svm | rbf_svm | mlp | knn | plda | ridge; empty: the conf's, or logistic, or for a regression ridge
conf=                   # YAML of the probe; empty: defaults (sslspk/backend/config_probe.py)
set=()                  # KEY=VALUE, overrides the conf, e.g. --set C=0.1 --set length_norm=true
labels=                 # utterance -> class or number, at least for the training part
target=classification   # classification | regression
train=                  # data directory that the classifier is trained on
valid=                  # data directory that tells when to stop training an mlp; empty: after all its passes
test=                   # data directory that the classifier is tested on
help_message="usage: $0 [--cmd C] [--classifier NAME] [--conf C] [--set k=v]... [--target classification|regression]
       --labels FILE --train DATA_DIR [--valid DATA_DIR] --test DATA_DIR EMB_DIR OUT
EMB_DIR/xvector.scp holds the embeddings of both parts."
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. "$SSLSPK_ROOT"/utils/parse_options.sh
. "$SSLSPK_ROOT"/utils/launch.sh
. "$SSLSPK_ROOT"/utils/done.sh
[ $# -eq 2 ] || { echo "$help_message" >&2; exit 1; }
emb=$1 out=$2

die() { echo "$0: error: $*" >&2; exit 1; }
for option in labels train test; do [ -n "${!option}" ] || die "--$option is needed; see --help."; done
[ -z "$conf" ] || [ -f "$conf" ] || die "there is no configuration $conf; check --conf."
inputs=("$labels" "$train/utt2spk" "$test/utt2spk" ${valid:+"$valid/utt2spk"} "$emb/xvector.scp")
for file in "${inputs[@]}"; do
  [ -f "$file" ] && [ -s "$file" ] || die "there is no file $file, or it is empty; run the stage that makes it."
done
[ ! -f "$emb/provenance.json" ] || inputs+=("$emb/provenance.json")
options=(--target "$target" --labels "$labels" --train "$train" --test "$test") text=
[ -z "$valid" ] || options+=(--valid "$valid")
[ -z "$classifier" ] || options+=(--classifier "$classifier")
[ -z "$conf" ] || options+=(--conf "$conf") text=$(done_conf "$conf")
for item in ${set[@]+"${set[@]}"}; do options+=("--set=$item"); done
key="probe ${options[*]@Q} $text"
if done_skip "$out" "$key" "${inputs[@]}" -- "$out"/{predictions.tsv,probe.yaml,provenance.json}; then
  echo "$0: $out is up to date, skipped"
  exit 0
fi

mkdir -p "$out/log"
log=$out/log/probe.log
rm -f "$out/predictions.tsv"
launch "$cmd" "$log" python3 -m sslspk.bin.probe "${options[@]}" "$emb" "$out"
total=$(wc -l < "$test/utt2spk")
got=$(($(wc -l < "$out/predictions.tsv") - 1))
[ "$got" -eq "$total" ] || die "$got of $total predictions came out; see $log, then run the step again."
done_mark "$out" "$key" "${inputs[@]}"
grep -E '^(trained |note:)' "$log"
echo "$0: wrote $out/predictions.tsv"
