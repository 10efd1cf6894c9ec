#!/usr/bin/env bash
# Repairs a Kaldi data directory: sorts its tables and keeps what all of them share; the old files go to DIR/.backup. See --help.
set -euo pipefail
if [ -f ./path.sh ]; then . ./path.sh; fi
root=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} exec python3 -m sslspk.bin.fix_data_dir "$@"
