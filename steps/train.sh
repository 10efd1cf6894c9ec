#!/usr/bin/env bash
# Trains one system: reads a data directory, writes EXP/{config.yaml,ckpt/,log/,tensorboard/,final.pt}; resumes from the newest checkpoint.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
ngpu=0           # GPUs of this machine to train on; 0 trains on the CPU
ranks=0          # training processes; 0: one per GPU, or one on the CPU
nodes=1          # machines, each with --ngpu GPUs: the tasks of one job array, which share EXP and find each other there
wait=60          # minutes that a machine waits for the others
requeue=false    # true: a training that the scheduler stops (time limit, preemption) saves and goes back into the queue
conf=            # YAML of the system, such as conf/dino_ecapa.yaml; must be given
set=()           # KEY=VALUE, overrides the conf, e.g. --set train.lr=0.1 --set method.out_dim=10000
init_from=       # final.pt whose encoder the training starts from, or "ARCH CHECKPOINT" as steps/extract_frame_model.sh takes it
help_message="usage: $0 [--cmd C] [--ngpu N] [--nodes N] [--requeue true] [--conf conf/X.yaml] [--set k=v]... [--init-from M] DATA EXP"
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. "$SSLSPK_ROOT"/utils/parse_options.sh
. "$SSLSPK_ROOT"/utils/launch.sh
. "$SSLSPK_ROOT"/utils/done.sh
. "$SSLSPK_ROOT"/utils/models.sh
[ $# -eq 2 ] || { echo "$help_message" >&2; exit 1; }
data=$1 exp=$2

die() { echo "$0: error: $*" >&2; exit 1; }
[ -n "$conf" ] || die "--conf names no configuration; give one, such as --conf conf/dino_ecapa.yaml."
[ -f "$conf" ] || die "there is no configuration $conf; check --conf."
[ -d "$data" ] || die "there is no data directory $data; run the stages before this one."
[[ $ranks =~ ^[0-9]{1,4}$ ]] || die "--ranks takes a whole number from 0 to 9999, not '${ranks:0:40}'."
[ "$ranks" -gt 0 ] || ranks=$((ngpu > 0 ? ngpu : 1))
[[ $nodes =~ ^[1-9][0-9]{0,3}$ ]] || die "--nodes takes a whole number from 1 to 9999, not '${nodes:0:40}'."
options=(--conf "$conf")
for item in ${set[@]+"${set[@]}"}; do options+=("--set=$item"); done
[ -z "$init_from" ] || options+=(--init-from "$init_from")
weights=$(model_file "$init_from")
key="train ${options[*]@Q} $(done_conf "$conf")"
find_finished() {   # sets `finished`, the words of a finished training for done_fresh and done_mark
  finished=("$exp" "$key" "$data" ${weights:+"$weights"} -- "$exp"/{final.pt,config.yaml})
  [ ! -s "$exp/progress.jsonl" ] || finished+=("$exp/progress.jsonl")   # once it is lost, of which a warning tells, nothing brings it back
}
stop_if_finished() {   # [locked]: nothing to do, unless the options are others (then one sentence says so) or the model is damaged
  [ -s "$exp/final.pt" ] || return 0
  find_finished
  if done_fresh "${finished[@]}" > /dev/null; then echo "$exp/final.pt is finished; nothing to do."; exit 0; fi
  local status=0
  python3 -m sslspk.bin.train --finished "${options[@]}" "$data" "$exp" || status=$?
  if [ "$status" -eq 0 ] && [ -w "$exp" ]; then
    [ $# -gt 0 ] || done_lock "$exp"
    done_mark "${finished[@]}"
  fi
  [ "$status" -eq 3 ] || exit "$status"
}
stop_if_finished
done_lock "$exp"
stop_if_finished locked   # while this script waited for the lock
"$SSLSPK_ROOT"/utils/validate_data_dir.sh --no-feats --no-wav "$data"
[ "$ngpu" -gt 0 ] || export SSLSPK_DEVICE=cpu
job=(--gpu "$ngpu") log=$exp/log/train.log logs=("$exp/log/train.log") program=(python3 -m sslspk.bin.train --ngpu "$ngpu" --ranks "$ranks")
[ "$requeue" = false ] || job+=(--requeue true)
if [ "$nodes" -gt 1 ]; then
  job+=(--together true JOB=1:"$nodes")   # all at once, or they wait in vain; they end and come back together
  log=$exp/log/train.node$JOB.log logs=() program+=(--nodes "$nodes" --node "$JOB" --wait "$wait")
  for ((node = 1; node <= nodes; node++)); do logs+=("${log/"$JOB"/"$node"}"); done
fi

mkdir -p "$exp/log"
for old in "${logs[@]}"; do [ ! -f "$old" ] || mv "$old" "${old%.log}.$(date +%Y%m%d-%H%M%S).log"; done
echo "$0: training into $exp (log: ${log/"$JOB"/*})"
rm -f "$exp/.stopped"
status=0
trap : USR2   # a training that is stopped ends below
export SSLSPK_FOLLOW=$TRAINING_FIGURES
launch "$cmd" "${job[@]}" "$log" "${program[@]}" "${options[@]}" "$data" "$exp" || status=$?
[ "$status" -le 128 ] || [ ! -f "$exp/.stopped" ] || status=99   # the launcher was stopped, and the training saved
[ "$status" -eq 0 ] || exit "$status"
[ -s "$exp/final.pt" ] || die "$exp/final.pt was not written; see ${log/"$JOB"/*}, then run the same command again."
find_finished
done_mark "${finished[@]}"
echo "$0: wrote $exp/final.pt"
