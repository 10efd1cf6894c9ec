#!/usr/bin/env bash
# DET plot of several systems: reads a trial list and a score file for each system, writes one picture.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
trials=          # trial list that all systems scored
title=           # title of the plot; empty: the list's file name
p_target=0.05    # prior of the minDCF that the diamonds mark
help_message="usage: $0 --trials TRIALS [options] OUT.png|OUT.svg|OUT.pdf NAME=SCORES ...
SCORES is a score file, or the directory that steps/score.sh wrote it to."
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. "$SSLSPK_ROOT"/utils/parse_options.sh
. "$SSLSPK_ROOT"/utils/launch.sh
[ $# -ge 2 ] || { echo "$help_message" >&2; exit 1; }
die() { echo "$0: error: $*" >&2; exit 1; }
[ -n "$trials" ] || die "--trials is needed; name the list that these systems scored."
[ -s "$trials" ] || die "there is no $trials, or it is empty; check --trials."
out=$1
shift

log="$(dirname "$out")/log/plot_det_$(basename "$out").log"
launch "$cmd" "$log" \
  python3 -m sslspk.bin.plot_det --trials "$trials" ${title:+--title "$title"} --p-target "$p_target" --out "$out" "$@"
grep -v '^#' "$log" || [ $? -eq 1 ]
[ -s "$out" ] || die "$out did not come out; the reason stands above."
echo "$0: wrote $out"
