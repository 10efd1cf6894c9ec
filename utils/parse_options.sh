# Sourced by steps and recipes: turns --some-name VALUE into some_name=VALUE and leaves the positionals in "$@".
#
# An option is a variable that the calling script sets at the start of a line before it sources this file, one to a line:
#     nj=4            # number of parallel jobs        <- the comment is what --help prints
#     compress=true   # true | false                   <- a default of true or false makes the option a boolean
#     set=()          # KEY=VALUE                      <- an array: every use appends, as --help says
# --name VALUE and --name=VALUE are the same, and so are hyphens and underscores in a name; `--` ends the options.
# A script that sets PASS=() gets the options that it does not have there, each with its value, to hand them on.
# Variables of the environment are no options. Stage numbers and counts (stage, stop_stage, nj, ngpu, rounds) must be
# integers of a few digits: the shell's arithmetic wraps around at large ones.
# A mistake prints one sentence and exits 1; --help prints $help_message and the options and exits 0.
# shellcheck shell=bash

_po_script=${BASH_SOURCE[1]:-}
if [ ! -f "$_po_script" ]; then
  echo "$0: error: parse_options.sh reads the options from the script that sources it; put these lines in a file." >&2
  exit 1
fi
. "$(dirname "${BASH_SOURCE[0]}")/signals.sh"
_po_names=()
_po_notes=()
_po_quote=  # the quote that a help_message of several lines still waits for
while IFS= read -r _po_line; do
  if [ -n "$_po_quote" ]; then
    [[ ${_po_line//\\$_po_quote/} == *"$_po_quote"* ]] && _po_quote=
    continue
  fi
  [[ $_po_line == *parse_options.sh* && $_po_line != \#* ]] && break
  if [[ $_po_line =~ ^help_message=([\"\'])(.*)$ ]]; then
    _po_quote=${BASH_REMATCH[1]}
    [[ ${BASH_REMATCH[2]//\\$_po_quote/} == *"$_po_quote"* ]] && _po_quote=
    continue
  fi
  [[ $_po_line =~ ^([a-z][a-z0-9_]*)= ]] || continue
  _po_name=${BASH_REMATCH[1]}
  [[ $_po_name != help_message && " ${_po_names[*]-} " != *" $_po_name "* ]] || continue
  _po_note=
  [[ $_po_line =~ [[:space:]]#[[:space:]]+(.*)$ ]] && _po_note=${BASH_REMATCH[1]}
  _po_names+=("$_po_name")
  _po_notes+=("$_po_note")
done < "$_po_script"

# Inside the functions every local begins with _po_: an option called `name` must not meet a local of the same name.
_po_die() {
  echo "$0: error: $*; see $0 --help." >&2
  exit 1
}

_po_is_array() { [[ $(declare -p "$1" 2>/dev/null) == "declare -a"* ]]; }

_po_help() {
  local _po_i _po_shown
  printf '%s\n' "${help_message:-usage: $0 [options]}"
  [ ${#_po_names[@]} -eq 0 ] && return
  printf '\nOptions:\n'
  for _po_i in "${!_po_names[@]}"; do
    _po_name=${_po_names[$_po_i]}
    _po_note=${_po_notes[$_po_i]}
    if _po_is_array "$_po_name"; then
      _po_shown="may be repeated"
    else
      _po_shown="default: ${!_po_name:-none}"
    fi
    printf '  --%-18s %s(%s)\n' "${_po_name//_/-}" "${_po_note:+$_po_note }" "$_po_shown"
  done
}

_po_check() {  # name, flag as given, value: refuses a value of the wrong kind
  case $1 in
    stage|stop_stage)
      [[ $3 =~ ^(-?[1-9][0-9]{0,3}|0)$ ]] || _po_die "$2 takes a whole number such as 0, not '${3:0:40}'" ;;
    nj)
      [[ $3 =~ ^[1-9][0-9]{0,4}$ ]] || _po_die "$2 takes a whole number from 1 to 99999, not '${3:0:40}'" ;;
    ngpu|rounds)
      [[ $3 =~ ^(0|[1-9][0-9]{0,3})$ ]] || _po_die "$2 takes a whole number from 0 to 9999, not '${3:0:40}'" ;;
    *)
      if [[ ${!1:-} == true || ${!1:-} == false ]] && [[ $3 != true && $3 != false ]]; then
        _po_die "$2 takes true or false, not '${3:0:40}'"
      fi ;;
  esac
}

_po_passes() {  # flag as given: true when it is no option here and there is PASS to put it into
  _po_name=${1#--}
  _po_name=${_po_name//-/_}
  _po_is_array PASS && [[ -n $_po_name && " ${_po_names[*]-} " != *" $_po_name "* ]]
}

_po_find() {  # flag as given -> _po_name; an unknown flag ends the script
  _po_name=${1#--}
  _po_name=${_po_name//-/_}
  [[ -n $_po_name && " ${_po_names[*]-} " == *" $_po_name "* ]] && return
  for _po_other in "${_po_name}s" "${_po_name%s}"; do   # --model and --models
    [[ -z $_po_other || " ${_po_names[*]-} " != *" $_po_other "* ]] || _po_die "there is no option $1; it is called --${_po_other//_/-}"
  done
  _po_die "there is no option $1; take it out or spell it as --help does"
}

_po_set() {  # flag as given, value
  _po_find "$1"
  if _po_is_array "$_po_name"; then
    eval "$_po_name+=(\"\$2\")"
  else
    _po_check "$_po_name" "$1" "$2"
    printf -v "$_po_name" '%s' "$2"
  fi
}

while [ $# -gt 0 ]; do
  case $1 in
    --) shift; break ;;
    --help|-h) _po_help; exit 0 ;;
    --*=*)
      if _po_passes "${1%%=*}"; then PASS+=("$1"); else _po_set "${1%%=*}" "${1#*=}"; fi
      shift ;;
    --*)
      _po_passes "$1" || _po_find "$1"
      [ $# -ge 2 ] || _po_die "$1 needs a value after it"
      [[ $2 != --* ]] || _po_die "$1 needs a value but is followed by $2 (write $1=$2 when that is the value)"
      if _po_passes "$1"; then PASS+=("$1" "$2"); else _po_set "$1" "$2"; fi
      shift 2 ;;
    -?*) _po_die "there is no option $1; options begin with two hyphens" ;;
    *)
      for _po_arg in "$@"; do
        [ "$_po_arg" = -- ] && break
        [[ $_po_arg != -?* ]] || _po_die "the option $_po_arg stands after the argument '$1'; options come first"
      done
      break ;;
  esac
done
unset _po_script _po_names _po_notes _po_quote _po_line _po_name _po_other _po_note _po_arg
unset -f _po_die _po_is_array _po_help _po_check _po_passes _po_find _po_set
