#!/usr/bin/env bash
# Brings up a private Slurm on this machine alone, to try slurm.pl with; source DIR/env.sh to use it.
# usage: tools/cluster/slurm_up.sh [options] DIR
#   --install      install Debian's packages first where they are missing (root)
#   --nodes N      so many pretended nodes (1)
#   --cpus N       of each node, whatever this machine has (4)
#   --gpus N       of each node, pretended: jobs get CUDA_VISIBLE_DEVICES (2)
#   --preempt M    what happens to jobs in the partition low when one in high wants their place: requeue | cancel (requeue)
#   --grace S      seconds that they have for saving (10)
# Partitions: main (the default), low and high.
set -euo pipefail
# shellcheck source=tools/cluster/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
PATH=$PATH:/usr/sbin:/sbin
install=false nodes=1 cpus=4 gpus=2 preempt=requeue grace=10 dir=
while [ $# -gt 0 ]; do
  case $1 in
    --help|-h) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    --install) install=true ;;
    --nodes|--cpus|--gpus|--grace)
      [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || die "$1 takes a whole number from 1 on, not '${2:-}'."
      printf -v "${1#--}" %s "$2"; shift ;;
    --preempt) [[ ${2:-} =~ ^(requeue|cancel)$ ]] || die "--preempt takes requeue or cancel, not '${2:-}'."; preempt=$2; shift ;;
    -*) die "there is no option $1; see $0 --help." ;;
    *) [ -z "$dir" ] || die "one folder is enough: $dir or $1?"; dir=$1 ;;
  esac
  shift
done
[ -n "$dir" ] || die "name a folder for it, as in: $0 /tmp/slurm"
install_slurm "$install"
make_folder "$dir"
begin_anew
rm -rf "$dir/state" "$dir"/spool.* "$dir/pids" "$dir/up" && touch "$dir/pids" && mkdir -m 700 "$dir/state"

host=$(hostname -s) user=$(id -un) names="n[1-$nodes]"
memory=$(awk '/MemTotal/ {print int($2 / 1024 / '"$nodes"') - 256}' /proc/meminfo)
read -ra ports < <(free_ports $((nodes + 1)))
{
  # EnableIPv6: without it no name resolves where loopback is the only network. config_overrides: more CPUs than there are.
  cat << CONF
ClusterName=private
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${ports[0]}
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/none
CredType=cred/none
CommunicationParameters=EnableIPv6
MailProg=/bin/true
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1,sched_min_interval=0
SlurmdParameters=config_overrides
EnforcePartLimits=ALL
ReturnToService=2
KillWait=10
MinJobAge=60
DefMemPerCPU=100
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
GresTypes=gpu
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool.%n
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.%n.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.%n.log
CONF
  for ((i = 1; i <= nodes; i++)); do
    echo "NodeName=n$i NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[$i]} CPUs=$cpus Boards=1 SocketsPerBoard=1" \
      "CoresPerSocket=$cpus ThreadsPerCore=1 RealMemory=$memory Gres=gpu:$gpus State=UNKNOWN"
  done
  echo "PartitionName=main Nodes=$names Default=YES PriorityTier=1 PreemptMode=OFF DefaultTime=60 MaxTime=INFINITE State=UP"
  echo "PartitionName=low Nodes=$names PriorityTier=1 PreemptMode=${preempt^^} GraceTime=$grace DefaultTime=60 MaxTime=INFINITE State=UP"
  echo "PartitionName=high Nodes=$names PriorityTier=10 PreemptMode=OFF DefaultTime=60 MaxTime=INFINITE State=UP"
} > "$dir/slurm.conf"
# A GPU has to be a file: terminals are there on every machine.
echo "NodeName=$names Name=gpu Count=$gpus File=/dev/tty[1-$gpus]" > "$dir/gres.conf"
echo "CgroupAutomount=no" > "$dir/cgroup.conf"
echo "export SLURM_CONF=$dir/slurm.conf" > "$dir/env.sh"
export SLURM_CONF=$dir/slurm.conf
start() {  # NAME COMMAND...
  "${@:2}" > "$dir/log/$1.out" 2>&1 < /dev/null &
  record $!
}
start slurmctld setsid slurmctld -D -f "$SLURM_CONF"
for ((i = 1; i <= nodes; i++)); do
  mkdir -p "$dir/spool.n$i"
  start "slurmd.n$i" setsid slurmd -D -N "n$i" -f "$SLURM_CONF"
done
all_idle() { [ "$(sinfo -h -p main -t idle -o %D)" = "$nodes" ]; }
if ! wait_until 60 all_idle; then
  tail -n 5 "$dir"/log/*.out >&2
  "$(dirname "$0")/slurm_down.sh" --keep "$dir"
  die "Slurm did not come up within a minute; the last lines of its output in $dir/log are above."
fi
tell_up
