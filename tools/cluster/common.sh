# Sourced by the scripts beside it: options, ports, and processes that are ours.
# shellcheck shell=bash disable=SC2034

die() { echo "$0: error: $*" >&2; exit 1; }

# What a script may leave behind is known by this file: the folder is of our making, and may be removed.
marker=.sslspk-cluster

make_folder() {  # DIR: sets $dir
  dir=$(realpath -m "$1")
  [ ! -e "$dir" ] || [ -e "$dir/$marker" ] || [ -z "$(ls -A "$dir")" ] ||
    die "$dir holds other files; name a folder that does not exist yet."
  [[ $dir != *[[:space:]]* ]] || die "'$dir' has a space in its name; choose another folder."
  mkdir -p "$dir/log"
  touch "$dir/$marker" "$dir/pids"
}

find_folder() {  # DIR: sets $dir; nothing to do without one
  dir=$(realpath -m "$1")
  [ -e "$dir" ] || { echo "$0: there is no $dir, so nothing is up"; exit 0; }
  [ -e "$dir/$marker" ] || die "$dir was not made by the script that brings a cluster up; name its folder."
}

take_down_options() {  # UP-SCRIPT ARGUMENT...: sets $keep and $dir; ends where there is nothing to do
  keep=false
  case ${2:-} in
    --help|-h) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    --keep) keep=true; set -- "$1" "${@:3}" ;;
  esac
  [ $# -eq 2 ] || die "name the folder that was given to $1."
  find_folder "$2"
}

remove_folder() {  # unless --keep was given
  if [ "$keep" = true ]; then : > "$dir/pids"; rm -f "$dir/up"; else rm -rf "$dir"; fi
}

free_ports() {  # N
  python3 - "$1" << 'PYTHON'
import socket, sys
sockets = [socket.socket() for _ in range(int(sys.argv[1]))]
for one in sockets:
    one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in sockets))
PYTHON
}

begun() {  # PID: when it began, in the kernel's count; nothing for a process that is gone or a zombie
  local stat
  stat=$(cat "/proc/$1/stat" 2> /dev/null) || return 1
  read -ra stat <<< "${stat##*) }"
  [ "${stat[0]}" != Z ] && echo "${stat[19]}"
}

record() { echo "$1 $(begun "$1")" >> "$dir/pids"; }  # PID: a number alone may be another process's tomorrow; "" for one that died at once

ours() { [ -n "$2" ] && [ "$(begun "$1")" = "$2" ]; }  # PID BEGUN

any_up() {
  local pid when
  while read -r pid when; do ours "$pid" "$when" && return 0; done < "$dir/pids"
  return 1
}

all_up() {
  local pid when
  [ -e "$dir/up" ] || return 1   # they did not all start
  while read -r pid when; do ours "$pid" "$when" || return 1; done < "$dir/pids"
}

begin_anew() {  # ends where it is up already; what is half up is taken down
  if all_up; then echo "$0: it is up already; . $dir/env.sh"; exit 0; fi
  any_up || return 0
  echo "$0: only a part of it is up; it is taken down, and started anew"
  "${0%_up.sh}_down.sh" --keep "$dir"
}

tell_up() { touch "$dir/up"; echo "$0: up; . $dir/env.sh"; }

wait_until() {  # SECONDS COMMAND...
  local end=$((SECONDS + $1))
  shift
  until "$@" > /dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.1
  done
}

stop_recorded() {  # the daemons, last started first; orderly, or after two seconds not
  local pid when i
  while read -r pid when; do
    ours "$pid" "$when" || continue
    kill "$pid" 2> /dev/null || continue   # it ended in the meantime
    for ((i = 0; i < 20; i++)); do ours "$pid" "$when" || break; sleep 0.1; done
    if ours "$pid" "$when"; then kill -9 "$pid" 2> /dev/null || continue; fi
  done < <(tac "$dir/pids")
}

kill_jobs() {  # VARIABLE=VALUE NAME: processes whose environment holds both are jobs that outlived their daemon
  local file pid
  for file in /proc/[0-9]*/environ; do
    pid=${file#/proc/} pid=${pid%/environ}
    { tr '\0' '\n' < "$file"; } 2> /dev/null | awk -v a="$1" -v b="$2=" '$0 == a {x = 1} index($0, b) == 1 {y = 1} END {exit !(x && y)}' ||
      continue
    [ "$pid" = $$ ] || kill -9 "$pid" 2> /dev/null || continue
  done
}

install_packages() {  # PACKAGE...
  [ "$(id -u)" = 0 ] || die "only root can install packages; ask an administrator for: $*"
  command -v apt-get > /dev/null || die "there is no apt-get here; install what your system calls: $*"
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

install_slurm() {  # true | false: whether what is missing may be installed
  local program packages=(slurmctld slurmd slurm-client)
  for program in slurmctld slurmd sbatch; do
    PATH=$PATH:/usr/sbin:/sbin command -v "$program" > /dev/null && continue
    [ "$1" = true ] || die "there is no $program; install Debian's packages ${packages[*]}, or give --install as root."
    install_packages "${packages[@]}"
  done
}

install_gridengine() {  # true | false
  local part packages=(gridengine-master gridengine-exec gridengine-client)
  if [ -x /usr/lib/gridengine/sge_qmaster ] && [ -x /usr/lib/gridengine/sge_execd ]; then return; fi
  [ "$1" = true ] || die "there is no Grid Engine; install Debian's packages ${packages[*]}, or give --install as root."
  for part in common client exec master; do
    printf 'gridengine-%s shared/%s\n' "$part" "gridengineconfig boolean false" "$part" "gridenginecell string default" \
      "$part" "gridenginemaster string $(hostname -s)"
  done | debconf-set-selections
  install_packages msmtp-mta "${packages[@]}"   # the first only keeps a whole mail server away
}
