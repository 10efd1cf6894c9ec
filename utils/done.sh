# Sourced by steps: remembers that a step has finished, so that a rerun skips it unless its inputs or options changed, and keeps two
# commands from writing one directory at once.
#
#     opts="$nj $conf $(cat "$conf")"
#     if done_skip "$dir" "$opts" "$data/wav.scp" -- "$dir/out.scp"; then echo "$0: $dir is up to date, skipped"; exit 0; fi
#     ... the work ...
#     done_mark "$dir" "$opts" "$data/wav.scp"
#
# STAMP_DIR/.done holds two md5: of the option string and the inputs, and of the outputs. Of an input count its name, size and modification
# time, and up to 8 MiB its content, too; an scp file stands for its archives as well, a directory for the visible files directly inside it.
# What stands after -- are outputs: one that is gone, empty or not as the step left it (its content; of the archives of an scp file what
# counts of inputs) means that the work is to be done again. A flipped bit that leaves size and time alone is found up to 8 MiB.
# What is not the same removes the stamp: a step that then fails half-way must not look finished when the old options come back. Work
# that is to be done begins with done_lock.
# shellcheck shell=bash

declare -A _done_outputs=()   # by stamp: the outputs that done_skip was told, one a line

_done_versions() {  # FILE...: name, size and time of each, and of a small one the content, whatever its time says
  [ $# -gt 0 ] || return 0
  printf '%s\0' "$@" | xargs -0 stat -L -c '%n %s %.9Y' --
  printf '%s\0' "$@" | xargs -0 stat -L --printf '%s %F %n\0' -- |   # below 8 MB
    LC_ALL=C sed -znE 's/^([0-9]{1,6}|[1-7][0-9]{6}) regular (empty )?file //p' | xargs -0 -r md5sum --
}

_done_archives() {  # FILE...: the archives that scp files among these point into
  local path
  for path in "$@"; do
    case $path in *.scp) if [ -f "$path" ]; then cat -- "$path"; fi ;; esac
  done | LC_ALL=C awk '{ sub(/^[^ \t]*[ \t]+/, ""); if (sub(/:[0-9]+(\[[-0-9:,]*\])?$/, "") && !seen[$0]++) print }' |
    while IFS= read -r path; do if [ -e "$path" ]; then printf '%s\n' "$path"; fi; done
}

_done_md5() {  # option string, inputs...
  local path files=() archives found
  {
    printf '%s\n' "$1"
    shift
    for path in "$@"; do
      [ "$path" != -- ] || break
      if [ -d "$path" ]; then
        case $path in '!'*|'('*|')'*|,*|-*) path=./$path ;; esac   # find would take it for a condition
        mapfile -d '' found < <(find -L "$path" -mindepth 1 -maxdepth 1 -type f ! -name '.*' -print0 | LC_ALL=C sort -z)
        files+=(${found[@]+"${found[@]}"})
      elif [ -e "$path" ]; then
        files+=("$path")
      else
        echo "missing $path"
      fi
    done
    mapfile -t archives < <(_done_archives ${files[@]+"${files[@]}"})
    _done_versions ${files[@]+"${files[@]}"} ${archives[@]+"${archives[@]}"}
  } | md5sum | cut -d' ' -f1
}

_done_outputs_md5() {  # outputs...: that of their content, and of the archives of an scp file
  local path archives
  {
    for path in "$@"; do
      printf '%s\n' "$path"
      if [ -f "$path" ]; then cat -- "$path"; fi
    done
    mapfile -t archives < <(_done_archives "$@")
    _done_versions ${archives[@]+"${archives[@]}"}
  } 2> /dev/null | md5sum | cut -d' ' -f1
}

done_fresh() {  # STAMP_DIR OPTIONS INPUT... [-- OUTPUT...]: whether nothing has changed since done_mark; what has changed removes the stamp
  local stamp=$1/.done path outputs=() seen=false was now
  [ -f "$stamp" ] || return 1
  for path in "${@:3}"; do
    if [ "$seen" = true ]; then outputs+=("$path"); fi
    [ "$path" != -- ] || seen=true
  done
  mapfile -t was < "$stamp"
  now=$(_done_md5 "${@:2}")
  if [ "${was[0]-}" != "$now" ]; then rm -f "$stamp"; return 1; fi
  for path in ${outputs[@]+"${outputs[@]}"}; do
    if [ ! -s "$path" ]; then echo "$0: $path is gone or empty; it is made again"; rm -f "$stamp"; return 1; fi
  done
  # A stamp of one line was written before outputs were looked at.
  if [ ${#was[@]} -gt 1 ] && [ "${was[1]}" != "$(_done_outputs_md5 ${outputs[@]+"${outputs[@]}"})" ]; then
    echo "$0: what $1 says was finished is not as it was left; it is made again"
    rm -f "$stamp"
    return 1
  fi
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

done_own() {  # DIR PATH...: ends the script when one of these is there though no step has ever written DIR: what it did not make it does not
  # remove. Comes before done_skip, which leaves a trace.
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
    echo "$0: warning: no file can be locked in $1; see to it that no other command writes there." >&2
  fi
  echo "process $$ ($0) on $(uname -n) since $(date '+%F %T')" > "$file"
}

_done_holder() {  # FILE: who holds the lock on it
  PYTHONPATH=$(dirname "${BASH_SOURCE[0]}")/.. python3 -c 'import sys; from sslspk.io.lock import holder; print(holder(sys.argv[1]))' "$1"
}

done_mark() {  # STAMP_DIR OPTIONS INPUT... [-- OUTPUT...]: call it last, when every output is whole; without -- they are done_skip's
  local path outputs=() seen=false
  for path in "${@:3}"; do
    if [ "$seen" = true ]; then outputs+=("$path"); fi
    [ "$path" != -- ] || seen=true
  done
  for path in "${@:3}"; do
    [ "$path" != -- ] || break
    if [ ! -e "$path" ]; then
      echo "$0: error: cannot mark $1 as done because its input $path is gone; bring it back and run again." >&2
      return 1
    fi
  done
  mkdir -p "$1"
  [ "$seen" = true ] || [ -z "${_done_outputs[$1]-}" ] || mapfile -t outputs < <(printf '%s' "${_done_outputs[$1]}")
  # Who was killed here leaves a file that the next one, which holds the lock, writes over.
  if ! { { _done_md5 "${@:2}"; _done_outputs_md5 ${outputs[@]+"${outputs[@]}"}; } > "$1/.done.tmp" && mv -f "$1/.done.tmp" "$1/.done"; }; then
    echo "$0: error: cannot write $1/.done; free some space or check the permissions, then run the same command again." >&2
    return 1
  fi
}

done_conf() {  # YAML...: the text of configuration files and of those that their `base:` names, for an option string
  local file
  for file in "$@"; do _done_conf 0 "$file"; done
}

_done_conf() {  # DEPTH YAML. What is no file, or leads on and on, the program refuses in a sentence; here it must not hold up the step
  local base
  if [ ! -f "$2" ] || [ "$1" -gt 16 ]; then echo "missing $2"; return; fi
  head -c 1048577 -- "$2" | tr -d '\0'
  base=$(head -c 1048577 -- "$2" | tr -d '\0' | sed -n '1s/^\xef\xbb\xbf//; s/\r$//; /^base:/ { s/^base: *//; s/ #.*//; s/ *$//; p }')
  if [ -n "$base" ]; then _done_conf $(($1 + 1)) "$(dirname -- "$2")/$base"; fi
}
