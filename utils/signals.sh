# Sourced by parse_options.sh, so by every recipe and step: a signal to the script reaches all that it runs.
#
# A shell hears a signal only when the command that it waits for has ended, or dies of it and leaves that command behind. So the script
# runs once more, in a process group of its own, and the shell that was started only waits. It passes SIGTERM, SIGINT and SIGHUP on to
# the group (a launcher there ends its jobs, and scripts do the same with theirs), tells the script by SIGUSR2 to start nothing more,
# and ends when the group has: with 128 + the signal, or with 99 where jobs saved and may be started again.
# shellcheck shell=bash

_signals_pass() {  # SIGNAL
  # One signal may come by several ways, and a second signal makes a launcher kill its jobs at once.
  if [ -n "$_signals_caught" ] && ((SECONDS - _signals_since < 2)); then return; fi
  _signals_caught=$1 _signals_since=$SECONDS _signals_told=' '
}

_signals_tell() {  # passes the signal on to those of the group that have not heard of it; false where none is left
  local path line fields pid left=1 signal
  for path in /proc/[0-9]*/stat; do
    if ! { read -r line < "$path"; } 2> /dev/null; then continue; fi   # it has ended
    read -ra fields <<< "${line##*) }"   # state, parent, group
    if [ "${fields[2]-}" != "$_signals_child" ] || [ "${fields[0]}" = Z ]; then continue; fi
    left=0 pid=${path//[!0-9]/}
    if [[ $_signals_told == *" $pid "* ]]; then continue; fi
    _signals_told+="$pid " signal=$_signals_caught
    [ "$pid" != "$_signals_child" ] || signal=USR2
    if ! kill -s "$signal" "$pid" 2> /dev/null; then continue; fi
  done
  return $left
}

_signals_supervise() {  # ARGUMENT...: those of the script
  local out err shell=("$BASH") status=0 again signal
  [[ $- != *x* ]] || shell+=(-x)
  exec {out}>&1 {err}>&2
  _signals_caught='' _signals_since=0 _signals_told=' '
  set -m
  # What stands above parse_options.sh has said what it has to say.
  SSLSPK_SUPERVISOR="$$ $out $err" "${shell[@]}" "$0" "$@" > /dev/null 2>&1 &
  _signals_child=$!
  set +m
  for signal in TERM INT HUP; do
    # shellcheck disable=SC2064
    trap "_signals_pass $signal" "$signal"
  done
  wait "$_signals_child" 2> /dev/null || status=$?
  if [ -z "$_signals_caught" ] && [ "$status" -le 128 ]; then exit "$status"; fi
  signal=$_signals_caught
  : "${_signals_caught:=TERM}"   # the script alone was killed
  while _signals_tell; do sleep 0.1; done
  again=0
  wait "$_signals_child" 2> /dev/null || again=$?
  [ "$again" -eq 127 ] || status=$again
  if [ -n "$signal" ] && [ "$status" -ne 0 ] && [ "$status" -ne 99 ]; then
    case $signal in HUP) status=129 ;; INT) status=130 ;; *) status=143 ;; esac   # not by a subshell, which a second signal would kill
  fi
  exit "$status"
}

_signals_end() {  # the command that was waited for has ended
  local last=$?
  [ "$last" -eq 99 ] || last=1
  exit "$last"
}

if [ "${BASH_SOURCE[-1]}" = "$0" ] && [ -f "$0" ]; then
  read -r _signals_pid _signals_out _signals_err <<< "${SSLSPK_SUPERVISOR:-0 0 0}"
  if [ "$_signals_pid" != "$PPID" ]; then _signals_supervise "$@"; fi
  exec 1>&"$_signals_out" 2>&"$_signals_err" {_signals_out}>&- {_signals_err}>&-
  trap _signals_end USR2
  unset SSLSPK_SUPERVISOR _signals_pid _signals_out _signals_err
fi
