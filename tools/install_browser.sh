#!/usr/bin/env bash
# Installs Debian's chromium and chromium-driver (root), and selenium into the Python of this checkout, where they are missing.
# usage: tools/install_browser.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/cluster/common.sh
. tools/cluster/common.sh
case ${1:-} in
  "") ;;
  --help|-h) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "tools/${0##*/}"; exit 0 ;;
  *) die "there is no option $1; see $0 --help." ;;
esac
. tools/setup_env.sh
if ! command -v chromium > /dev/null || ! command -v chromedriver > /dev/null; then
  install_packages chromium chromium-driver
fi
if ! python3 -c 'import selenium' 2> /dev/null; then
  python3 -m pip install --quiet --compile -c tools/constraints.txt selenium
fi
