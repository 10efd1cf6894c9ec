#!/usr/bin/env bash
# The statistics baseline: reads DATA/feats.scp, writes OUT/{raw,standardised,deviation}/xvector.{ark,scp}.
set -euo pipefail
cmd=utils/run.pl
conf=conf/fbank.yaml   # how DATA/feats.scp was made
help_message="usage: $0 [--cmd C] [--conf conf/fbank.yaml] DATA TRAIN_DATA OUT"
if [ -f ./path.sh ]; then . ./path.sh; fi
. utils/parse_options.sh
. utils/done.sh
[ $# -eq 3 ] || { echo "$help_message" >&2; exit 1; }
data=$1 reference=$2 out=$3

[ -f "$data/feats.scp" ] || { echo "$0: error: $data has no feats.scp; run steps/make_feats.sh on it" >&2; exit 1; }
key="extract_statistics $(done_conf "$conf")"
inputs=("$data/feats.scp" "$reference/wav.scp")
for file in "$conf" "${inputs[@]}"; do [ -f "$file" ] || { echo "$0: error: there is no $file" >&2; exit 1; }; done
if done_skip "$out" "$key" "${inputs[@]}" -- "$out"/{raw,standardised,deviation}/xvector.scp; then echo "$0: $out is up to date, skipped"; exit 0; fi
utils/validate_data_dir.sh --no-wav "$data"
mkdir -p "$out/log"
$cmd "$out/log/statistics.log" python3 -m sslspk.bin.extract_statistics --conf "$conf" --reference "$reference" "$data" "$out"
total=$(wc -l < "$data/feats.scp")
for variant in raw standardised deviation; do
  got=$(wc -l < "$out/$variant/xvector.scp")
  [ "$got" -eq "$total" ] || { echo "$0: $got of $total vectors in $out/$variant; see $out/log" >&2; exit 1; }
done
done_mark "$out" "$key" "${inputs[@]}"
echo "$0: wrote $total vectors of each kind to $out"
