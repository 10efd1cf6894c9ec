#!/usr/bin/env bash
# Trains one system: reads a data directory, writes EXP/{config.yaml,ckpt/,log/,tensorboard/,final.pt}; goes on where it stopped.
set -euo pipefail
cmd=utils/run.pl
ngpu=0           # GPUs of this machine to train on; 0 trains on the CPU
ranks=0          # training processes (0: one per GPU, or one on the CPU)
conf=            # YAML of the system, such as conf/dino_ecapa.yaml; must be given
set=()           # KEY=VALUE, overrides the conf; may be repeated, e.g. --set train.lr=0.1 --set method.out_dim=10000
init_from=       # final.pt whose encoder the training starts from
help_message="usage: $0 [--cmd C] [--ngpu N] [--conf conf/X.yaml] [--set k=v]... [--init-from M] DATA EXP"
echo "$0 $*"
if [ -f ./path.sh ]; then . ./path.sh; fi
. utils/parse_options.sh
[ $# -eq 2 ] || { echo "$help_message" >&2; exit 1; }
data=$1 exp=$2

die() { echo "$0: error: $*" >&2; exit 1; }
[ -n "$conf" ] || die "--conf names no configuration; give one, such as --conf conf/dino_ecapa.yaml."
[ -f "$conf" ] || die "there is no configuration $conf; check --conf."
[ -d "$data" ] || die "there is no data directory $data; run the stages before this one."
[[ $ranks =~ ^[0-9]+$ ]] || die "--ranks takes a whole number from 0 on, not '$ranks'."
[ "$ranks" -gt 0 ] || ranks=$((ngpu > 0 ? ngpu : 1))
options=(--conf "$conf")
for item in ${set[@]+"${set[@]}"}; do options+=(--set "$item"); done
[ -z "$init_from" ] || options+=(--init-from "$init_from")
if [ -s "$exp/final.pt" ]; then   # nothing to do, unless the options are others: then one sentence says so
  exec python3 -m sslspk.bin.train "${options[@]}" "$data" "$exp"
fi
utils/validate_data_dir.sh --no-feats --no-wav "$data"
program=(python3 -m sslspk.bin.train)
[ "$ranks" -eq 1 ] || program=(torchrun --standalone --nproc-per-node "$ranks" -m sslspk.bin.train)
[ "$ngpu" -gt 0 ] || export SSLSPK_DEVICE=cpu
export TORCHELASTIC_SIGNALS_TO_HANDLE=SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1   # torchrun passes these on to the ranks

mkdir -p "$exp/log"
log=$exp/log/train.log
[ ! -f "$log" ] || mv "$log" "$exp/log/train.$(date +%Y%m%d-%H%M%S).log"
echo "$0: training into $exp (log: $log)"
status=0
$cmd --gpu "$ngpu" "$log" "${program[@]}" "${options[@]}" "$data" "$exp" || status=$?
[ "$status" -eq 0 ] || [ ! -f "$exp/.stopped" ] || status=99   # stopped on request, saved: Grid Engine starts such a job again
[ "$status" -eq 0 ] || exit "$status"
[ -s "$exp/final.pt" ] || die "$exp/final.pt was not written; see $log, then run the same command again."
echo "$0: wrote $exp/final.pt"
