#!/usr/bin/env bash
# Brings up a private Grid Engine on this machine alone, to try queue.pl with; source DIR/env.sh to use it.
# usage: tools/cluster/gridengine_up.sh [options] DIR
#   --install   install Debian's packages first where they are missing (root)
#   --slots N   jobs at a time, whatever this machine has (4)
#   --gpus N    pretended: a count for -l gpu=N, as Grid Engine hands out no device (2)
# One queue all.q, the parallel environment smp, the resources ram_free and gpu.
set -euo pipefail
# shellcheck source=tools/cluster/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install=false slots=4 gpus=2 dir=
while [ $# -gt 0 ]; do
  case $1 in
    --help|-h) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    --install) install=true ;;
    --slots|--gpus)
      [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || die "$1 takes a whole number from 1 on, not '${2:-}'."
      printf -v "${1#--}" %s "$2"; shift ;;
    -*) die "there is no option $1; see $0 --help." ;;
    *) [ -z "$dir" ] || die "one folder is enough: $dir or $1?"; dir=$1 ;;
  esac
  shift
done
[ -n "$dir" ] || die "name a folder for it, as in: $0 /tmp/gridengine"
host=$(hostname -s) user=$(id -un) programs=/usr/lib/gridengine share=/usr/share/gridengine
install_gridengine "$install"
getent hosts "$host" > /dev/null || die "this machine's name $host has no address, which Grid Engine needs; add it to /etc/hosts."
make_folder "$dir"
begin_anew
rm -rf "$dir/spool" "$dir/default" "$dir/pids" "$dir/up" && touch "$dir/pids"

arch=$($share/util/arch)
read -r master_port exec_port < <(free_ports 2)
mkdir -p "$dir"/default/common "$dir"/spool/{qmaster/job_scripts,execd,db} "$dir"/{bin,lib,utilbin}
for part in bin lib utilbin; do ln -sfn $programs "$dir/$part/$arch"; done
ln -sfn $share/util "$dir/util"
echo "$host" > "$dir/default/common/act_qmaster"
echo "$host localhost" > "$dir/default/common/host_aliases"   # 127.0.0.1 is called localhost
cat > "$dir/default/common/bootstrap" << CONF
admin_user $user
default_domain none
ignore_fqdn true
spooling_method berkeleydb
spooling_lib libspoolb
spooling_params $dir/spool/db
binary_path $programs
qmaster_spool_dir $dir/spool/qmaster
security_mode none
listener_threads 2
worker_threads 2
scheduler_threads 1
CONF
export SGE_ROOT=$dir SGE_CELL=default SGE_ARCH=$arch SGE_QMASTER_PORT=$master_port SGE_EXECD_PORT=$exec_port
echo "export SGE_ROOT=$dir SGE_CELL=default SGE_ARCH=$arch SGE_QMASTER_PORT=$master_port SGE_EXECD_PORT=$exec_port" > "$dir/env.sh"
# Group ids mark the processes of a job; those of two cells on one machine must differ.
sed -e "s#^execd_spool_dir.*#execd_spool_dir $dir/spool/execd#; s#^mailer.*#mailer /bin/true#; s#^min_uid.*#min_uid 0#" \
  -e "s#^min_gid.*#min_gid 0#; s#^load_report_time.*#load_report_time 00:00:01#; s#^administrator_mail.*#administrator_mail none#" \
  -e "s#flush_time=00:00:15#flush_time=00:00:01#; s#^qmaster_params.*#qmaster_params none#" \
  -e "s#^gid_range.*#gid_range $master_port-$((master_port + 100))#" $share/default-configuration > "$dir/log/global"
{
  $programs/spoolinit berkeleydb libspoolb "$dir/spool/db" init
  $programs/spooldefaults configuration "$dir/log/global"
  $programs/spooldefaults complexes $share/util/resources/centry
  $programs/spooldefaults usersets $share/util/resources/usersets
  $programs/spooldefaults managers "$user"
} > "$dir/log/init.out" 2>&1 || die "the cell could not be made; see $dir/log/init.out."
start() {  # NAME: in the foreground of its own session, so that its process id is known
  SGE_ND=1 setsid "$programs/$1" > "$dir/log/$1.out" 2>&1 < /dev/null &
  record $!
}
give_up() { "$(dirname "$0")/gridengine_down.sh" --keep "$dir"; die "Grid Engine did not come up: $1; see $dir/log."; }

configure() {
  qconf -sh | grep -qx "$host" || qconf -ah "$host"
  qconf -ss | grep -qx "$host" || qconf -as "$host"
  { echo "hostname $host"; printf '%s NONE\n' load_scaling complex_values user_lists xuser_lists projects xprojects usage_scaling \
    report_variables; } > "$dir/log/host"
  qconf -Ae "$dir/log/host"
  { qconf -sc; echo "ram_free ram_free MEMORY <= YES JOB 0 0"; echo "gpu gpu INT <= YES JOB 0 0"; } > "$dir/log/resources"
  qconf -Mc "$dir/log/resources"
  qconf -mattr exechost complex_values "ram_free=$(awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo)M,gpu=$gpus,slots=$slots" "$host"
  printf 'group_name @allhosts\nhostlist %s\n' "$host" > "$dir/log/hosts"
  qconf -shgrp @allhosts || qconf -Ahgrp "$dir/log/hosts"
  cat > "$dir/log/smp" << 'CONF'
pe_name smp
slots 999
user_lists NONE
xuser_lists NONE
start_proc_args NONE
stop_proc_args NONE
allocation_rule $pe_slots
control_slaves FALSE
job_is_first_task TRUE
urgency_slots min
accounting_summary FALSE
qsort_args NONE
CONF
  qconf -Ap "$dir/log/smp"
  {
    printf '%s\n' "qname all.q" "hostlist @allhosts" "seq_no 0" "nsuspend 1" "suspend_interval 00:05:00" "priority 0" \
      "min_cpu_interval 00:05:00" "processors UNDEFINED" "qtype BATCH" "pe_list smp" "rerun FALSE" "slots $slots" "tmpdir /tmp" \
      "shell /bin/bash" "shell_start_mode posix_compliant" "notify 00:00:20" "initial_state default"
    printf '%s NONE\n' load_thresholds suspend_thresholds ckpt_list prolog epilog starter_method suspend_method resume_method \
      terminate_method owner_list user_lists xuser_lists subordinate_list complex_values projects xprojects calendar
    printf '%s INFINITY\n' {s,h}_{rt,cpu,fsize,data,stack,core,rss,vmem}
  } > "$dir/log/queue"
  qconf -Aq "$dir/log/queue"
  qconf -ssconf | sed -e 's/^schedule_interval.*/schedule_interval 0:0:1/; s/^flush_submit_sec.*/flush_submit_sec 1/' \
    -e 's/^flush_finish_sec.*/flush_finish_sec 1/; s/^load_adjustment_decay_time.*/load_adjustment_decay_time 0:0:0/' \
    -e 's/^job_load_adjustments.*/job_load_adjustments NONE/' > "$dir/log/scheduler"
  qconf -Msconf "$dir/log/scheduler"
}
start sge_qmaster
wait_until 30 qconf -sh || give_up "the master does not answer"
configure > "$dir/log/configure.out" 2>&1 || give_up "$(tail -n 1 "$dir/log/configure.out")"
start sge_execd
alive() { qhost -h "$host" | grep -q "lx-"; }
wait_until 30 alive || give_up "this machine does not report to it"
tell_up
