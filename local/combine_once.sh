#!/usr/bin/env bash
# Joins data directories into OUT, unless that was done before and nothing has changed. Files that later steps added to OUT are kept.
set -euo pipefail
help_message="usage: $0 OUT DIR..."
. "$(dirname "$0")/../utils/environment.sh"
. utils/parse_options.sh
. utils/done.sh
[ $# -ge 2 ] || { echo "$help_message" >&2; exit 1; }
out=$1

if done_skip "$out" "combine ${*:2}" "${@:2}" -- "$out/wav.scp"; then echo "$0: $out is up to date, skipped"; exit 0; fi
utils/combine_data.sh "$out" "${@:2}"
done_mark "$out" "combine ${*:2}" "${@:2}"
