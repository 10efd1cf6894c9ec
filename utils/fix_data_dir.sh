#!/usr/bin/env bash
# Repairs a Kaldi data directory: sorts its tables and keeps what all of them share; the old files go to DIR/.backup. See --help.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
exec python3 -m sslspk.bin.fix_data_dir "$@"
