#!/usr/bin/env bash
# Trains one system: reads a data directory, writes EXP/{config.yaml,ckpt/,log/,tensorboard/,final.pt}; goes on where it stopped.
set -euo pipefail
cmd=utils/run.pl
ngpu=0           # GPUs of this machine to train on; 0 trains on the CPU
ranks=0          # training processes (0: one per GPU, or one on the CPU)
conf=
set=()           # overrides, e.g. --set train.lr=0.1 --set method.out_dim=10000
init_from=       # final.pt whose encoder the training starts from
help_message="usage: $0 [--cmd C] [--ngpu N] [--conf conf/X.yaml] [--set k=v]... [--init-from M] DATA EXP"
if [ -f ./path.sh ]; then . ./path.sh; fi
. utils/parse_options.sh
[ $# -eq 2 ] || { echo "$help_message" >&2; exit 1; }
data=$1 exp=$2

[ -n "$conf" ] || { echo "$0: --conf names no configuration; give one, such as --conf conf/dino_ecapa.yaml" >&2; exit 1; }
[ -d "$data" ] || { echo "$0: there is no data directory $data; run the stages before this one" >&2; exit 1; }
[ "$ranks" -gt 0 ] || ranks=$((ngpu > 0 ? ngpu : 1))
options=(--conf "$conf")
for item in "${set[@]}"; do options+=(--set "$item"); done
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
[ -s "$exp/final.pt" ] || { echo "$0: $exp/final.pt was not written; see $log" >&2; exit 1; }
echo "$0: wrote $exp/final.pt"
