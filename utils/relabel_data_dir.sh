#!/usr/bin/env bash
# Copies a Kaldi data directory with the clusters of its utterances in place of its speakers. See --help.
set -euo pipefail
if [ -f ./path.sh ]; then . ./path.sh; fi
root=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} exec python3 -m sslspk.bin.relabel_data_dir "$@"
