#!/usr/bin/env bash
# The statistics baseline: reads DATA/feats.scp, writes OUT/{raw,standardised,deviation}/{xvector.{ark,scp},provenance.json}.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
conf=conf/fbank.yaml   # feature options that DATA/feats.scp was made with
allow_pipes=false      # true: run the entries of wav.scp that are commands
help_message="usage: $0 [--cmd C] [--conf conf/fbank.yaml] [--allow-pipes true] DATA TRAIN_DATA OUT"
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. "$SSLSPK_ROOT"/utils/parse_options.sh
. "$SSLSPK_ROOT"/utils/launch.sh
. "$SSLSPK_ROOT"/utils/done.sh
. "$SSLSPK_ROOT"/utils/utterances.sh
[ $# -eq 3 ] || { echo "$help_message" >&2; exit 1; }
data=$1 reference=$2 out=$3

die() { echo "$0: error: $*" >&2; exit 1; }
[ -f "$data/feats.scp" ] || die "$data has no feats.scp; run steps/make_feats.sh on it."
[ -f "$reference/wav.scp" ] || die "$reference has no wav.scp; run the stage that prepares it."
[ -f "$conf" ] || die "there is no configuration $conf; check --conf."
key="extract_statistics $(done_conf "$conf")"
utterance_tables "$reference"
inputs=("$data/feats.scp" "${audio_tables[@]}")
if done_skip "$out" "$key" "${inputs[@]}" -- "$out"/{raw,standardised,deviation}/{xvector.scp,provenance.json}; then echo "$0: $out is up to date, skipped"; exit 0; fi
"$SSLSPK_ROOT"/utils/validate_data_dir.sh --no-wav --allow-pipes "$allow_pipes" "$data"
mkdir -p "$out/log"
launch "$cmd" "$out/log/statistics.log" python3 -m sslspk.bin.extract_statistics --conf "$conf" --reference "$reference" \
  --allow-pipes "$allow_pipes" "$data" "$out"
total=$(wc -l < "$data/feats.scp")
for variant in raw standardised deviation; do
  got=$(wc -l < "$out/$variant/xvector.scp")
  [ "$got" -eq "$total" ] || die "$got of $total vectors came out in $out/$variant; see $out/log, then run the step again."
done
done_mark "$out" "$key" "${inputs[@]}"
echo "$0: wrote $total vectors of each kind to $out"
