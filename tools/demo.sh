#!/usr/bin/env bash
# From nothing to an equal error rate: sets up the environment, then runs the voxceleb recipe on a corpus that it makes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tools/setup_env.sh
