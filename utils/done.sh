# Sourced by steps: remembers that a step has finished, so that a rerun skips it unless its inputs or options changed.
#
#     opts="$nj $conf $(cat "$conf")"
#     if done_skip "$dir" "$opts" "$data/wav.scp" -- "$dir/out.scp"; then echo "$0: $dir is up to date, skipped"; exit 0; fi
#     ... the work ...
#     done_mark "$dir" "$opts" "$data/wav.scp"
#
# STAMP_DIR/.done holds the md5 of the option string and of each input's name, size and modification time. An input that is
# a directory stands for the visible files directly inside it. What stands after -- are outputs: one that is gone or empty
# means that the work is to be done again. What is not the same removes the stamp: a step that then
# fails half-way must not look finished when the old options come back.
# shellcheck shell=bash

_done_md5() {  # option string, inputs...
  local path
  {
    printf '%s\n' "$1"
    shift
    for path in "$@"; do
      [ "$path" != -- ] || break
      if [ -d "$path" ]; then
        find -L "$path" -mindepth 1 -maxdepth 1 -type f ! -name '.*' -printf '%p %s %T@\n' | LC_ALL=C sort
      elif [ -e "$path" ]; then
        stat -L -c '%n %s %.9Y' -- "$path"
      else
        echo "missing $path"
      fi
    done
  } | md5sum | cut -d' ' -f1
}

done_skip() {  # STAMP_DIR OPTIONS INPUT...: true when the step has already been done with these
  local stamp=$1/.done path outputs=false
  [ -f "$stamp" ] || return 1
  for path in "${@:3}"; do
    if [ "$outputs" = true ] && [ ! -s "$path" ]; then rm -f "$stamp"; return 1; fi
    [ "$path" != -- ] || outputs=true
  done
  if [ "$(cat "$stamp")" = "$(_done_md5 "${@:2}")" ]; then return 0; fi
  rm -f "$stamp"
  return 1
}

done_mark() {  # STAMP_DIR OPTIONS INPUT...: call it last, when every output is whole
  local path
  for path in "${@:3}"; do
    [ "$path" != -- ] || break
    if [ ! -e "$path" ]; then
      echo "$0: error: cannot mark $1 as done because its input $path is gone; bring it back and run again." >&2
      return 1
    fi
  done
  mkdir -p "$1"
  _done_md5 "${@:2}" > "$1/.done.$$"
  mv -f "$1/.done.$$" "$1/.done"
}

done_conf() {  # YAML...: the text of configuration files and of those that their `base:` names, for an option string
  local file base
  for file in "$@"; do
    cat "$file"
    base=$(sed -n 's/^base: *\([^ #]*\).*/\1/p' "$file")
    if [ -n "$base" ]; then done_conf "$(dirname "$file")/$base"; fi
  done
}
