#!/usr/bin/env bash
# Joins several Kaldi data directories into one. See --help.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
exec python3 -m sslspk.bin.combine_data "$@"
