# Sourced, after parse_options.sh, by scripts that hand jobs to a launcher: what a user named goes to the job as it stands.
#
#     launch "$cmd" --gpu 1 JOB=1:"$nj" "$log/x.$JOB.log" OMP_NUM_THREADS=1 python3 -m sslspk.bin.x --conf "$conf" "$data/split$nj/$JOB"
#
# A launcher gives its words to a shell, in which `|`, `$` or `*` act, and replaces the range's name wherever it stands (Kaldi's
# contract). `launch` quotes every word for that shell, and gives the range a name that no word holds. $JOB is a job's number.
# shellcheck shell=bash

JOB=$'\1JOB\1'   # replaced by the name of the range; no path holds it
# shellcheck disable=SC2034  # used by scripts whose jobs are trainings
TRAINING_FIGURES="step epoch loss utterances_per_second left"   # SSLSPK_FOLLOW: what a launcher shows of a training's log

# Arguments that find, mkdir and the like would take for something else than a name.
for _launch_word in "$@"; do
  case $_launch_word in
    -?*|'!'|'('|')'|,)
      echo "$0: error: the argument '${_launch_word:0:60}' looks like an option; write ./ before it." >&2
      exit 1 ;;
    *$'\n'*)
      printf '%s: error: the argument %q holds a line break, which no table can; rename it.\n' "$0" "${_launch_word:0:30}" >&2
      exit 1 ;;
  esac
done
unset _launch_word

_launch_quote() {  # WORD: sets REPLY to what a shell reads as WORD, without white space, which a launcher would quote once more
  local LC_ALL=C i char
  REPLY=$1
  [[ -z $1 || $1 == *[!A-Za-z0-9_./:=,+@%^-]* ]] || return 0
  REPLY="$'"
  for ((i = 0; i < ${#1}; i++)); do   # byte by byte: a job may run in another language
    char=${1:i:1}
    case $char in [\'\\]|[![:graph:]]) printf -v char '\\%03o' "'$char" ;; esac
    REPLY+=$char
  done
  REPLY+="'"
}

launch() {  # CMD [--OPTION VALUE]... [JOB=1:N] LOG WORD...: CMD is a launcher with its own options, several words
  local - IFS=$' \t\n' launcher options=() range=() name=JOB number=0 words=() word all REPLY
  set -f   # an option such as -l arch=*64* names no files
  # shellcheck disable=SC2206
  launcher=($1)
  if [ ${#launcher[@]} -eq 0 ]; then
    echo "$0: error: --cmd names no launcher; give one such as --cmd utils/run.pl." >&2
    return 1
  fi
  # Outside of recipes there is no utils/, or that of something else.
  if [[ ${launcher[0]} == utils/* && ! utils -ef $SSLSPK_ROOT/utils ]]; then launcher[0]=$SSLSPK_ROOT/${launcher[0]}; fi
  shift
  while [[ $1 == --* || $1 == JOB=* ]]; do
    if [[ $1 == JOB=* ]]; then range=("${1#JOB}"); shift; else options+=("$1" "$2"); shift 2; fi
  done
  all="${*//"$JOB"/ }"
  while [[ $all == *"$name"* ]]; do number=$((number + 1)) name=JOB$number; done
  for word in "${@:2}"; do
    _launch_quote "${word//"$JOB"/"$name"}"
    words+=("$REPLY")
  done
  "${launcher[@]}" "${options[@]}" ${range[@]+"$name${range[0]}"} "${1//"$JOB"/"$name"}" "${words[@]}"
}
