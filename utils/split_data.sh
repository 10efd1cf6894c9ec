#!/usr/bin/env bash
# Splits a Kaldi data directory into DIR/splitN/1 ... DIR/splitN/N for N parallel jobs. See --help.
set -euo pipefail
if [ -f ./path.sh ]; then . ./path.sh; fi
root=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} exec python3 -m sslspk.bin.split_data "$@"
