# Sourced by recipes after utils/parse_options.sh: tells which stage runs, which of several trainings, how long the rest may take, and at
# the end which trainings failed.
# shellcheck shell=bash disable=SC2154

_stage_last=$(sed -n 's/^stop_stage=\([0-9]*\).*/\1/p' "$0")

_stage_time() {  # SECONDS: as "50 s", "12 min" or "3 h 5 min"
  if [ "$1" -lt 100 ]; then echo "$1 s"
  elif [ "$1" -lt 6000 ]; then echo "$((($1 + 30) / 60)) min"
  else echo "$(($1 / 3600)) h $(($1 % 3600 / 60)) min"
  fi
}

# How long each stage took is kept in the folder of experiments, the longest time of all runs: finished parts are skipped and take none.
_stage_now='' _stage_begun=0

_stage_keep() {  # keeps the time of the stage that ends now
  local file=${exps:-exp}/.stage_seconds took=$((SECONDS - _stage_begun))
  [ -n "$_stage_now" ] && [ -w "${exps:-exp}" ] && [ "$took" -ge 10 ] || return 0
  [ -f "$file" ] || touch "$file"
  awk -v n="$_stage_now" -v took="$took" '$1 == n { if ($2 > took) took = $2; next } { print } END { print n, took }' "$file" > "$file.$$"
  mv "$file.$$" "$file"
}

_stage_rest() {  # N: how long the stages after it took in earlier runs, in words; nothing where that is not known
  local file=${exps:-exp}/.stage_seconds seconds=0
  # shellcheck disable=SC2016  # of awk
  local later='$1 > n && $1 <= last && $2 ~ /^[0-9]+$/ && $2 < 1e8 { sum += $2 } END { printf "%d", sum }'
  [ ! -f "$file" ] || seconds=$(awk -v n="$1" -v last="$stop_stage" "$later" "$file")
  [ "$seconds" -eq 0 ] || echo "; the stages after it took $(_stage_time "$seconds") in an earlier run"
}

at_stage() {  # N TEXT: whether stage N is to be run; if so, it is announced
  [ "$stage" -le "$1" ] && [ "$stop_stage" -ge "$1" ] || return 1
  _stage_keep
  _stage_now=$1 _stage_begun=$SECONDS
  echo "$0: stage $1 of $_stage_last: $2 (after $(_stage_time $SECONDS)$(_stage_rest "$1"))"
}

start_count() {  # NUMBER: so many will be counted off
  _count_all=$1 _count_now=0 _count_known=0 _count_took=0
}

count_off() {  # TEXT: announces the next one. The time left is estimated from those before it, without those that were finished already.
  local took left=
  if [ "$_count_now" -gt 0 ]; then
    took=$((SECONDS - _count_since))
    if [ "$took" -gt 20 ]; then _count_took=$((_count_took + took)) _count_known=$((_count_known + 1)); fi
  fi
  if [ "$_count_known" -gt 0 ]; then
    left="; about $(_stage_time $((_count_took * (_count_all - _count_now) / _count_known))) left"
  fi
  _count_since=$SECONDS _count_now=$((_count_now + 1))
  echo "$0: $1 ($_count_now of $_count_all$left)"
}

require_systems() {  # CONFS SYSTEM...: each has its configuration; asked before the first of them is trained
  local one
  for one in "${@:2}"; do
    [ -f "$1/$one.yaml" ] || { echo "$0: error: there is no $1/${one:0:60}.yaml; systems have whole names, as ls $1 shows" >&2; exit 1; }
  done
}

failed=()

leave_out() {  # EXP STATUS: a training failed; it leaves the lists `runs` and `found`, so that the others are judged without it
  local one runs_left=() found_left=()
  [ "$2" -eq 1 ] || exit "$2"   # it was stopped, and so is the recipe
  failed+=("$1")
  for one in "${runs[@]}"; do
    [[ $'\t'$one$'\t' == *$'\t'"$1"$'\t'* ]] || runs_left+=("$one")
  done
  for one in ${found[@]+"${found[@]}"}; do
    [ "${one%%$'\t'*}" = "$1" ] || found_left+=("$one")
  done
  runs=("${runs_left[@]}") found=("${found_left[@]}")
  [ ${#runs[@]} -gt 0 ] || [ ${#found[@]} -gt 0 ] || exit 1
  echo "$0: warning: $1 failed; the other systems go on without it" >&2
}

end_recipe() {  # the last line of a recipe with several trainings
  [ ${#failed[@]} -gt 0 ] || return 0
  echo "$0: error: did not train: ${failed[*]##*/}; see above, then run the same command again" >&2
  exit 1
}
