#!/usr/bin/env bash
# Makes a data directory of parts of each utterance of another one. See --help.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
exec python3 -m sslspk.bin.cut_data_dir "$@"
