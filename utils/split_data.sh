#!/usr/bin/env bash
# Splits a Kaldi data directory into DIR/splitN/1 ... DIR/splitN/N for N parallel jobs. See --help.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
exec python3 -m sslspk.bin.split_data "$@"
