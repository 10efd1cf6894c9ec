#!/usr/bin/env bash
# Checks a Kaldi data directory; any bad entry is named and ends in exit status 1. See --help.
set -euo pipefail
if [ -f ./path.sh ]; then . ./path.sh; fi
root=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} exec python3 -m sslspk.bin.validate_data_dir "$@"
