#!/usr/bin/env bash
# Copies a Kaldi data directory with the clusters of its utterances in place of its speakers. See --help.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
exec python3 -m sslspk.bin.relabel_data_dir "$@"
