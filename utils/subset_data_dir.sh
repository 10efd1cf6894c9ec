#!/usr/bin/env bash
# Copies part of a Kaldi data directory to another one. See --help.
set -euo pipefail
if [ -f ./path.sh ]; then . ./path.sh; fi
root=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} exec python3 -m sslspk.bin.subset_data_dir "$@"
