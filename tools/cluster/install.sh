#!/usr/bin/env bash
# Installs Debian's Slurm and Grid Engine where they are missing (root); starts nothing. The tests of the launchers use them.
# usage: tools/cluster/install.sh
set -euo pipefail
# shellcheck source=tools/cluster/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
case ${1:-} in
  "") ;;
  --help|-h) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit 0 ;;
  *) die "there is no option $1; see $0 --help." ;;
esac
install_slurm true
install_gridengine true
