#!/usr/bin/env bash
# Checks a Kaldi data directory; any bad entry is named and ends in exit status 1. See --help.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
exec python3 -m sslspk.bin.validate_data_dir "$@"
