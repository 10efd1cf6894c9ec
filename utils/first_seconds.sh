#!/usr/bin/env bash
# Makes a data directory of the first seconds of each utterance of another one. See --help.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
exec python3 -m sslspk.bin.first_seconds "$@"
