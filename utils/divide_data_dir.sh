#!/usr/bin/env bash
# Divides a Kaldi data directory at random into parts of given shares. See --help.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
exec python3 -m sslspk.bin.divide_data_dir "$@"
