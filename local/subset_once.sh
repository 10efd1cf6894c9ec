#!/usr/bin/env bash
# Copies the utterances that begin the lines of LIST from the data directory DIR to OUT, unless that was done before and nothing has changed.
set -euo pipefail
help_message="usage: $0 LIST DIR OUT"
. "$(dirname "$0")/../utils/environment.sh"
. utils/parse_options.sh
. utils/done.sh
[ $# -eq 3 ] || { echo "$help_message" >&2; exit 1; }

if done_skip "$3" "subset $1 $2" "$1" "$2" -- "$3/wav.scp"; then echo "$0: $3 is up to date, skipped"; exit 0; fi
utils/subset_data_dir.sh --utt-list "$1" "$2" "$3"
done_mark "$3" "subset $1 $2" "$1" "$2"
