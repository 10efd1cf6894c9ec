#!/usr/bin/env bash
# Cuts a Kaldi data directory into the folds of a cross-validation. See --help.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
exec python3 -m sslspk.bin.make_folds "$@"
