# Sourced by the steps that turn DATA/wav.scp into archives and one table of DATA: what comes before and after their jobs.
#
#     archives_place "$@"                                     # sets data, log and arkdir
#     archives_options make_feats --conf "$conf"              # checks the options, and sets `known`
#     archives_begin make_feats feats "$known" "" utt2dur     # ends the script where nothing has changed; sets `jobs` and `ark`
#     $cmd JOB=1:"$jobs" ... "$data/split$jobs/JOB" "$ark.JOB.ark" "$ark.JOB.scp"
#     archives_end utt2dur utt2num_frames                     # the tables that a job writes beside its scp
#
# The script has set nj, work and allow_pipes, and has checked what it alone knows. utils/done.sh is sourced.
# shellcheck shell=bash
# shellcheck disable=SC2154
. "$SSLSPK_ROOT"/utils/utterances.sh

archives_place() {  # DATA [LOGDIR [ARKDIR]]: data is where tables are written: DATA, or --work, which becomes a copy of its tables
  local of=''
  data=$1
  if [ -n "$work" ]; then
    of=$(readlink -f "$1")
    # Copies that were made for i-vectors before there was a note of their origin are known by their names.
    if [ -e "$work/wav.scp" ] && [ "$work" != "${1}_mfcc" ] && [ "$(cat -- "$work/.copy_of" 2> /dev/null)" != "$of" ]; then
      echo "$0: error: $work is no copy of $1 that this step made; give --work another folder." >&2
      exit 1
    fi
    utterance_tables "$1"
    if ! done_skip "$work" ivector_system "${data_tables[@]}" -- "$work/wav.scp"; then   # the word that older copies are marked with
      printf '%s\n' "$of" > "$work/.copy_of"
      "$SSLSPK_ROOT"/utils/combine_data.sh "$work" "$1"
      done_mark "$work" ivector_system "${data_tables[@]}"
    fi
    data=$work
  fi
  log=${2:-$data/log} arkdir=${3:-$data/data}
}

_archives_find() {  # sets `_made`: the archives of this DATA (another one of the same ARKDIR may be called NAME.1)
  local path
  _made=()
  for path in "$ark".*.ark; do
    if [[ ${path#"$ark."} =~ ^[0-9]+\.ark$ ]]; then _made+=("$path"); fi
  done
}

archives_options() {  # PROGRAM [--conf YAML | --feats-conf YAML | --set KEY=VALUE]...: sets `known` to all of them and their defaults in
  # one line, as PROGRAM says it. What it said is kept, so that a rerun need not ask.
  local asked was='' kept=$data/.$1/options files=() words=("${@:2}") i
  for i in "${!words[@]}"; do
    if [[ ${words[i]} == --*conf ]]; then files+=("${words[i + 1]}"); fi
  done
  asked=$(done_digest "${*:2} $(done_conf ${files[@]+"${files[@]}"})" "$(dirname "${BASH_SOURCE[0]}")/../sslspk/features/config.py")
  if [ -s "$kept" ] && { read -r was; read -r known; } < "$kept" && [ "$was" = "$asked" ]; then return; fi
  known=$(python3 -m "sslspk.bin.$1" options "${@:2}")
  if [ -w "$data" ]; then
    mkdir -p "$data/.$1"
    printf '%s\n' "$asked" "$known" > "$kept.$$"
    mv "$kept.$$" "$kept"
  fi
}

archives_begin() {  # PROGRAM TABLE OPTIONS WORDS NAME...: TABLE is feats or vad; WORDS and OPTIONS are all that the result depends on;
  # the tables NAME of DATA are this step's alone
  local folder name total
  if [ -w "$data" ]; then
    mkdir -p "$arkdir" "$log"
    done_lock "$data/.archives"   # features and VAD share tables and the split
  fi
  folder=$(readlink -f "$arkdir")
  ark=$folder/$2_$(basename "$(readlink -f "$data")")
  _table=$2 _stamp=$data/.$1 _key="$1 ${4:+$4 }ark=$folder $3"
  _own=("${@:5}") _outputs=()
  for name in "${_own[@]}"; do _outputs+=("$data/$name"); done   # not by a pattern: bash 5.2 would take a & in $data for what it found
  _archives_find
  utterance_tables "$data"
  local made=("$_stamp" "$_key" "${data_tables[@]}" "$data/$_table.scp" ${_made[@]+"${_made[@]}"} -- "${_outputs[@]}")
  if [ ! -w "$data" ] && ! done_fresh "${made[@]}" 2> /dev/null; then
    echo "$0: error: $data cannot be written; give --work DIR, a folder that gets its tables and what is made of them." >&2
    exit 1
  fi
  if done_skip "${made[@]}"; then
    echo "$0: $data/$_table.scp is up to date, skipped"
    exit 0
  fi

  # What this step makes is made again, whatever has become of it.
  "$SSLSPK_ROOT"/utils/validate_data_dir.sh --ignore "$_table.scp" "${_own[@]/#/--ignore=}" --no-feats --allow-pipes "$allow_pipes" "$data"
  total=$(grep -c "" "$utts")
  jobs=$((nj < total ? nj : total))
  # A table of an earlier run would point into archives that are about to change.
  rm -f "$data/$_table.scp" "${_outputs[@]}" ${_made[@]+"${_made[@]}"} ${_made[@]+"${_made[@]/%ark/scp}"}
  "$SSLSPK_ROOT"/utils/split_data.sh "$data" "$jobs"
}

archives_end() {  # TABLE...: joins these and the jobs' scp files into those of DATA
  local name words=()
  for name in "$@"; do words+=("$ark.JOB.scp.$name" "$data/$name"); done
  python3 -m sslspk.bin.merge_tables --jobs "$jobs" --ids "$utts" --logs "$log" \
    ${words[@]+"${words[@]}"} "$ark.JOB.scp" "$data/$_table.scp"
  _archives_find
  for name in utt2dur utt2num_frames; do rm -f "${_made[@]/%ark/"scp.$name"}"; done
  for name in $(seq "$jobs"); do   # of recordings with several channels a job's log speaks once
    if grep -hm1 -F "and the first is taken of all" "$log/${_stamp##*/.}.$name.log"; then break; fi
  done
  done_mark "$_stamp" "$_key" "${data_tables[@]}" "$data/$_table.scp" "${_made[@]}"
}
