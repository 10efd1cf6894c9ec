#!/usr/bin/env bash
# The curve over beta: trains one system with each value of method.beta, writes and prints exp/CURVE_SYSTEM.md: accuracy of phonemes, equal
# error rates of both latents, and their nats. A large beta empties z_c.
#   ./run_curve.sh --voxceleb1 /corpora/VoxCeleb1 --phones phones.txt --ngpu 1
#   ./run_curve.sh --system dsvae_short --betas "0.3 3 10" --set train.steps=600 --voxceleb1 ... --phones ...
# The experiments are SYSTEM_beta0.01 and so on. Finished parts are kept: the same command resumes.
set -euo pipefail
betas=             # values of method.beta; empty: "0.01 0.03 0.1 0.3 1 3 10", with --mini true "0.01 10"
system=dsvae       # conf/NAME.yaml
seeds=0            # as for run.sh
mini=false         # true: on the corpus that is synthesised here
stop_stage=6       # last stage to run, of those of run.sh
exps=              # as for run.sh
tag=               # prefix of the names
PASS=()            # all other options are those of run.sh
help_message="usage: $0 [--betas 'B ...'] [--system NAME] [--mini true] [options of run.sh]"
. "$(dirname "$0")/path.sh"
. utils/parse_options.sh
set -f   # a name with * or ? in it is no pattern
die() { echo "$0: error: $*" >&2; exit 1; }
[ $# -eq 0 ] || die "'$1' is no option; see $0 --help"
values="0.01 0.03 0.1 0.3 1 3 10"
if [ "$mini" = true ]; then
  values="0.01 10"
  : "${exps:=exp_mini}"
fi
: "${betas:=$values}" "${exps:=exp}"
[[ $betas =~ ^[0-9.e-]+(\ +[0-9.e-]+)*$ ]] || die "--betas takes numbers such as \"0.3 3 10\", not '${betas:0:40}'"
names=()
for beta in $betas; do
  name=${tag:+${tag}_}beta$beta
  ./run.sh --systems "$system" --seeds "$seeds" --mini "$mini" --exps "$exps" --stop-stage "$stop_stage" "${PASS[@]}" \
    --tag "$name" --set "method.beta=$beta"
  for seed in $seeds; do
    suffix=
    [ "$seed" = 0 ] || suffix=_seed$seed
    names+=("${system}_$name$suffix")
  done
done
python3 local/show_disentangle.py --curve "${names[*]}" --out "$exps/CURVE_$system${tag:+_$tag}.md" "$exps"
