#!/bin/bash
# Stands for mv, rm, cp, touch and flock in the PATH of a disturbed command, and does for shells what sitecustomize.py does for Python:
# counts, and dies, pauses or fails at the one that was chosen. See sitecustomize.py for the variables.
set -euo pipefail
name=${0##*/} here=${0%/*}
real=$(PATH=${PATH//"$here:"/} command -v "$name")
case $name in mv) operation=rename ;; rm) operation=remove ;; flock) operation=lock ;; *) operation=open ;; esac
count=$SSLSPK_FAULT_COUNT.$name
echo "$$" >> "$count"
mapfile -t lines < "$count"
at=$operation$'\t'${#lines[@]}$'\t'$name
if [ -n "${SSLSPK_FAULT_TRACE:-}" ]; then
  printf '%s\t%s\n' "$at" "${*//[$'\n\t']/ }" >> "$SSLSPK_FAULT_TRACE"
elif [ "$at" = "$SSLSPK_FAULT_AT" ] && (set -o noclobber; : > "$SSLSPK_FAULT_FIRED") 2> /dev/null; then
  case $SSLSPK_FAULT_HOW in
    die)
      # The shell that called it as well, if it is one of the disturbed command's.
      if grep -qz "^SSLSPK_FAULT_AT=" "/proc/$PPID/environ"; then kill -9 "$PPID"; fi
      kill -9 "$$" ;;
    pause) sleep 3600 ;;
    *) echo "$name: cannot do this: ${SSLSPK_FAULT_TEXT:-an error}" >&2; exit 1 ;;
  esac
fi
exec "$real" "$@"
