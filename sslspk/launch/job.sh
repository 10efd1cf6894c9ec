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
told=$sync/.$number.told.$job   # a signal came: the command, where it has not begun, is not to
forward() {   # SIGNAL: give the whole command its chance to save, and tell it once
  again=1
  [ -z "$caught" ] || return
  caught=$1
  { : > "$told"; } 2> /dev/null
  if [ "$1" = TERM ]; then sleep 0.3; fi
  if [ -n "$child" ] && { [ "$1" != TERM ] || kill -0 "$witness"; } 2> /dev/null; then kill -TERM -- "-$child"; fi
}
for signal in USR1 USR2 TERM XCPU; do
  # shellcheck disable=SC2064
  trap "forward $signal" "$signal"
done

# The job's share of the machine, which torch and numpy would otherwise take whole.
[ "$threads" != 0 ] || threads=
threads=${threads:-${SLURM_CPUS_ON_NODE:-${NSLOTS:-1}}}
export OMP_NUM_THREADS=$threads

cd "$cwd" || exit 1
if [ -n "$name" ]; then
  line=${line//"$name"/"$number"} log=${log//"$name"/"$number"}
fi
# A submission whose answer was lost may have been repeated: the first of the two jobs to start is the one that counts.
begun=$sync/$number.begun.$run
if ! (set -C; echo "$job" > "$begun") 2> /dev/null; then
  for ((try = 0; try < 20; try++)); do   # it may just be being written
    first=$(cat "$begun" 2> /dev/null)
    [ -z "$first" ] || break
    sleep 0.1
  done
  [ -z "$first" ] || [ "$first" = "$job" ] || exit 0
  if [ -z "$first" ]; then
    echo "error: $(hostname) cannot write $begun, so nothing was run; check the folder and its rights on that machine" >&2
    exit 1
  fi
fi
# A launcher that ends, or whose submission failed without an answer, wants nothing more to begin.
for closed in "$sync/closed" "$sync/closed.$run"; do
  [ ! -e "$closed" ] || exit 0
done
[ -e "$begun" ] || exit 0   # the folder is gone
rm -f "$told"               # of an earlier start of this job by the batch system

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

others_gpus() {  # the numbers, between spaces, of GPUs on which processes run, ours or of those who know no locks
  local busy uuid gpu=0
  busy=$(nvidia-smi --query-compute-apps=gpu_uuid --format=csv,noheader 2> /dev/null)
  while read -r uuid; do
    if [ -n "$uuid" ] && [[ $busy == *"$uuid"* ]]; then printf ' %s ' "$gpu"; fi
    gpu=$((gpu + 1))
  done < <(nvidia-smi -L 2> /dev/null | grep '^GPU ' | sed -e 's/.*UUID: *\([^ )]*\).*/\1/' -e t -e 's/.*//')
}

take_gpus() {  # N: lock N of this node's GPUs, as long as this job lives, where the batch system assigns none
  local locks=${SSLSPK_GPU_LOCKS:-/tmp/sslspk-gpus} count try gpu fd others taken=() open
  count=$(nvidia-smi -L 2> /dev/null | grep -c '^GPU ')
  (umask 0; mkdir -p "$locks"; for ((gpu = 0; gpu < count; gpu++)); do : >> "$locks/$gpu"; done) 2> /dev/null
  for ((try = 0; try < 60 && count >= $1; try++)); do
    taken=() open=() others=
    if ((try < 10)); then others=$(others_gpus); fi   # then the queue must know better
    for ((gpu = 0; gpu < count && ${#taken[@]} < $1; gpu++)); do
      [[ $others != *" $gpu "* ]] || continue
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
  for variable in "${!SLURM_@}"; do
    if [ "$variable" != SLURM_JWT ]; then echo "# $variable=${!variable}"; fi   # a secret
  done
  printf '# %s \n' "$line"
} > "$log" || finish 1
if [ "$gpus" -gt 0 ] && [ -z "${CUDA_VISIBLE_DEVICES+set}" ]; then
  take_gpus "$gpus" || finish 1
fi
[ -z "$caught" ] || finish 143
# What run.pl, when a job of ours runs it, leaves its own jobs to save; the rest is for this script.
export SSLSPK_GRACE_SECONDS=${SSLSPK_GRACE_SECONDS:-$((warning * 9 / 10))}
sslspk_line=$line sslspk_code=$sync/.$number.code sslspk_told=$told   # path.sh may have a `line` and a `code` of its own
# Shells get the signal as well: that of the command waits for what it runs, but starts nothing more; the one around it writes
# the status down, which `wait` may lose when a trap comes between. A signal that came before the trap of the command's shell
# has left the file `told`.
rm -f "$sslspk_code"
set -m
{
  trap : TERM
  if [ -f ./path.sh ]; then . ./path.sh; fi
  sslspk_status=0
  bash <<< "trap sslspk_stop=1 TERM; [ ! -e ${sslspk_told@Q} ] || exit 143; trap 'sslspk_status=\$?; [ -z \"\${sslspk_stop-}\" ] || \
exit \$((sslspk_status ? sslspk_status : 143))' DEBUG
$sslspk_line" || sslspk_status=$?
  echo $sslspk_status > "$sslspk_code"
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
if [ -s "$sslspk_code" ]; then read -r status < "$sslspk_code"; fi
[[ $status =~ ^[0-9]+$ ]] || status=137
if [ -n "$caught" ]; then  # what it left running may still be saving
  left=30   # seconds that batch systems usually grant
  if [ "$caught" = USR1 ]; then left=$warning; fi
  for ((try = 0; try < 5 * left; try++)); do
    kill -0 -- "-$child" 2> /dev/null || break
    sleep 0.2
  done
fi
finish "$status"
