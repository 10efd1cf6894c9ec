#!/usr/bin/env bash
# Copies part of a Kaldi data directory to another one. See --help.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
exec python3 -m sslspk.bin.subset_data_dir "$@"
