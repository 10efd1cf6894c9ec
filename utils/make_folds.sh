#!/usr/bin/env bash
# Cuts a Kaldi data directory into the folds of a cross-validation. See --help.
set -euo pipefail
if [ -f ./path.sh ]; then . ./path.sh; fi
root=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} exec python3 -m sslspk.bin.make_folds "$@"
