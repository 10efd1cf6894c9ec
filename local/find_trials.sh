#!/usr/bin/env bash
# Prints the path of a trial list, DATA/NAME/trials_LIST; copies without silence (NAME_vad) are not searched.
set -euo pipefail
help_message="usage: $0 DATA LIST"
. "$(dirname "$0")/../utils/environment.sh"
. utils/parse_options.sh
[ $# -eq 2 ] || { echo "$help_message" >&2; exit 1; }
for file in "$1"/*/"trials_$2"; do
  if [ -f "$file" ] && [[ $file != *_vad/* ]]; then printf '%s\n' "$file"; exit; fi
done
echo "$0: error: there is no $1/*/trials_$2; run stage 0, or correct --lists." >&2
exit 1
