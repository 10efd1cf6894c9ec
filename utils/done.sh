# Sourced by steps: remembers that a step has finished, so that a rerun skips it unless its inputs or options changed, and keeps two
# commands from writing one directory at once.
#
#     opts="$nj $conf $(done_conf "$conf")"
#     if done_skip "$dir" "$opts" "$data/wav.scp" -- "$dir/out.scp"; then echo "$0: $dir is up to date, skipped"; exit 0; fi
#     ... the work ...
#     done_mark "$dir" "$opts" "$data/wav.scp"
#
# Outputs stand after --. sslspk/launch/stamps.py reads and writes STAMP_DIR/.done, and says there which properties of files it compares. In
# files below 8 MB it also finds a change that leaves size and time as they were. done_skip calls done_lock when there is work to do.
# shellcheck shell=bash

_done_root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
declare -A _done_outputs=()   # by stamp: the outputs that done_skip was told, one a line

_done() {  # fresh|mark|digest|conf WORD...
  printf '%s\0' "${@:2}" | python3 -I -S "$_done_root/sslspk/launch/stamps.py" "$1" "$0"   # without site-packages: it starts in 30 ms
}

done_fresh() {  # STAMP_DIR OPTIONS INPUT... [-- OUTPUT...]: whether nothing has changed since done_mark; what has changed removes the stamp
  [ -f "$1/.done" ] && _done fresh "$@"
}

done_skip() {  # STAMP_DIR OPTIONS INPUT... [-- OUTPUT...]: true when the step has already been done with these; else STAMP_DIR is locked
  local path seen=false
  if done_fresh "$@"; then return 0; fi
  done_lock "$1"
  if done_fresh "$@"; then return 0; fi   # while this script waited for the lock
  _done_outputs[$1]=
  for path in "${@:3}"; do
    if [ "$seen" = true ]; then _done_outputs[$1]+=$path$'\n'; fi
    [ "$path" != -- ] || seen=true
  done
  return 1
}

done_mark() {  # STAMP_DIR OPTIONS INPUT... [-- OUTPUT...]: call it last, when every output is whole; without -- they are done_skip's
  local outputs=()
  if [[ " ${*:3} " != *" -- "* ]] && [ -n "${_done_outputs[$1]-}" ]; then
    mapfile -t outputs <<< "${_done_outputs[$1]%$'\n'}"
    outputs=(-- "${outputs[@]}")
  fi
  _done mark "$@" ${outputs[@]+"${outputs[@]}"}
}

done_digest() {  # OPTIONS INPUT...: what the stamp says of them, in one word
  _done digest "$@"
}

done_conf() {  # YAML...: the text of configuration files and of those that their `base:` names, for an option string
  _done conf "$@"
}

done_own() {  # DIR PATH...: ends the script when one of these is there though no step has ever written DIR, so that a step never deletes
  # files it did not make. Call it before done_skip, which writes into DIR.
  local path
  if [ -e "$1/.busy" ] || [ -e "$1/.done" ]; then return 0; fi
  for path in "${@:2}"; do
    if [ -e "$path" ] || [ -L "$path" ]; then
      echo "$0: error: $path is there and was not made by this step; move it away, or give another folder than $1." >&2
      exit 1
    fi
  done
}

done_lock() {  # DIR: from here on others wait that want to write DIR, until this script has ended and the jobs that it started
  local file=$1/.busy fd part=$1
  # Tried out first: a redirection that fails ends a script with no sentence of ours.
  if ! { mkdir -p "$1" && : >> "$file"; } 2> /dev/null; then
    while [[ ! -e $part && $part == */* ]]; do part=${part%/*}; done
    if [ -e "$part" ] && [ ! -d "$part" ]; then
      echo "$0: error: $part is in the place of a folder; move it away, or choose another name." >&2
      exit 1
    fi
    echo "$0: error: cannot write to $1; check its permissions and the space on its disk, then run the same command again." >&2
    exit 1
  fi
  exec {fd}>> "$file"   # run.pl inherits it: when this shell is killed alone, the lock lives as long as the jobs
  local status=0
  flock -n -E 75 "$fd" 2> /dev/null || status=$?
  if [ "$status" -eq 75 ]; then
    echo "$0: $1 is being written by $(_done_holder "$file"); waiting for its end" >&2
    flock "$fd"
  elif [ "$status" -ne 0 ]; then
    echo "$0: warning: no file can be locked in $1; make sure that no other command writes there." >&2
  fi
  echo "process $$ ($0) on $(uname -n) since $(date '+%F %T')" > "$file"
}

_done_holder() {  # FILE: who holds the lock on it
  PYTHONPATH=$_done_root python3 -c 'import sys; from sslspk.io.lock import holder; print(holder(sys.argv[1]))' "$1"
}
