# What every q/NAME.sh does, after the assignments that the launcher writes above it: one task of a request.
#
# Its status goes to a file, written whole or not at all, for the launcher to find; nothing is read out of the log.
# shellcheck shell=bash disable=SC1091,SC2094,SC2154,SC2329
SECONDS=0
caught=       # the first signal that asked for the end
again=        # a signal came while we waited
child=        # the command: a process group of its own
exec {lifeline}> >(exec cat > /dev/null)
witness=$!    # a process beside the command, to tell a signal for everything in the job from one for this script; ends with it
forward() {   # SIGNAL: give the whole command its chance to save, and tell it once
  again=1
  [ -z "$caught" ] || return
  caught=$1
  if [ "$1" = TERM ]; then sleep 0.3; fi
  if [ -n "$child" ] && { [ "$1" != TERM ] || kill -0 "$witness"; } 2> /dev/null; then kill -TERM -- "-$child"; fi
}
for signal in USR1 USR2 TERM XCPU; do
  # shellcheck disable=SC2064
  trap "forward $signal" "$signal"
done

cd "$cwd" || exit 1
if [ -f ./path.sh ]; then . ./path.sh; fi
if [ -n "$name" ]; then
  line=${line//"$name"/$number} log=${log//"$name"/$number}
fi
# A submission whose answer was lost may have been repeated: the first of the two jobs to start is the one that counts.
(set -C; echo "$job" > "$sync/$number.begun.$run") 2> /dev/null || [ "$(cat "$sync/$number.begun.$run")" = "$job" ] || exit 0

finish() {  # STATUS
  {
    [ -z "$(tail -c 1 "$log")" ] || echo
    [ -z "${SLURM_JOB_ID:-}" ] || printf '# Accounting: %s\n' "begin_time=$begin" "end_time=$(date +%s)"
    echo "# Accounting: time=$SECONDS threads=$threads"
    echo "# Finished at $(date) with status $1"
  } >> "$log"
  echo "$1 ${caught:--}" > "$sync/.$number.$$" && mv "$sync/.$number.$$" "$sync/$number.status.$run"
  # Grid Engine starts a job again that ends with 99, and keeps one that ends with 100 in the queue for ever.
  [ "$plain_exit" = 0 ] || [ "$1" = 0 ] || exit 1
  exit "$1"
}

take_gpus() {  # N: lock N of this node's GPUs, as long as this job lives, where the batch system assigns none
  local locks=${SSLSPK_GPU_LOCKS:-/tmp/sslspk-gpus} count try gpu fd taken=() open
  count=$(nvidia-smi -L 2> /dev/null | grep -c '^GPU ')
  (umask 0; mkdir -p "$locks"; for ((gpu = 0; gpu < count; gpu++)); do : >> "$locks/$gpu"; done) 2> /dev/null
  for ((try = 0; try < 60 && count >= $1; try++)); do
    taken=() open=()
    for ((gpu = 0; gpu < count && ${#taken[@]} < $1; gpu++)); do
      exec {fd}< "$locks/$gpu" || continue
      if flock -n "$fd"; then taken+=("$gpu") open+=("$fd"); else exec {fd}<&-; fi
    done
    if [ ${#taken[@]} -eq "$1" ]; then
      CUDA_VISIBLE_DEVICES=$(IFS=,; echo "${taken[*]}")
      export CUDA_VISIBLE_DEVICES
      return
    fi
    for fd in ${open[@]+"${open[@]}"}; do exec {fd}<&-; done
    sleep $((1 + RANDOM % 2))
  done
  echo "--gpu $1: only ${#taken[@]} of the $count GPUs of $(hostname) are free; does the queue hand out more than there are?" >> "$log"
  return 1
}

begin=$(date +%s)
mkdir -p "$(dirname "$log")"
{
  echo "# Running on $(hostname)"
  echo "# Started at $(date)"
  for variable in "${!SLURM_@}"; do echo "# $variable=${!variable}"; done
  printf '# %s \n' "$line"
} > "$log" || finish 1
if [ "$gpus" -gt 0 ] && [ -z "${CUDA_VISIBLE_DEVICES+set}" ]; then
  take_gpus "$gpus" || finish 1
fi
[ -z "$caught" ] || finish 143
# Shells get the signal as well: that of the command waits for what it runs, but starts nothing more; the one around it writes
# the status down, which `wait` may lose when a trap comes between.
code=$sync/.$number.code
rm -f "$code"
set -m
{
  trap : TERM
  bash <<< "trap sslspk_stop=1 TERM; trap 'sslspk_status=\$?; [ -z \"\${sslspk_stop-}\" ] || \
exit \$((sslspk_status ? sslspk_status : 143))' DEBUG
$line"
  echo $? > "$code"
} >> "$log" 2>&1 {lifeline}>&- &
child=$!
set +m
while :; do
  again=
  wait "$child"
  status=$?
  [ -n "$again" ] || break  # a trap ends `wait` early
done
while kill -0 "$child" 2> /dev/null; do sleep 0.1; done
if [ -s "$code" ]; then read -r status < "$code"; fi
[[ $status =~ ^[0-9]+$ ]] || status=137
if [ -n "$caught" ]; then  # what it left running may still be saving
  for ((try = 0; try < 150; try++)); do
    kill -0 -- "-$child" 2> /dev/null || break
    sleep 0.2
  done
fi
finish "$status"
