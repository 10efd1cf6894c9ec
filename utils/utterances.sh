# Sourced by the steps that read the utterances of a data directory.
# shellcheck shell=bash

utterance_tables() {  # DATA: sets `utts`, the table that has a line for each utterance, `audio_tables`, those that say where their
  # audio lies, and `data_tables`, these and the one of the speakers where it is there
  local name
  for name in utt2spk segments wav.scp feats.scp; do
    utts=$1/$name
    [ ! -f "$utts" ] || break
  done
  audio_tables=("$1/wav.scp")
  [ ! -f "$1/segments" ] || audio_tables+=("$1/segments")
  data_tables=("${audio_tables[@]}")
  [ ! -f "$1/utt2spk" ] || data_tables+=("$1/utt2spk")
}

utterances_of() {  # DATA: sets `utts` and `source_tables`, what a model reads: audio where there is some, else features.
  # Ends the script where there is neither, or where the audio's table has been lost.
  utterance_tables "$1"
  source_tables=("${audio_tables[@]}")
  if [ ! -f "$1/wav.scp" ]; then
    if [ -f "$1/utt2num_samples" ] || [ -f "$1/segments" ]; then
      echo "$0: error: there is no $1/wav.scp, though $1 has tables about its audio; run the stage that prepares it" >&2
      exit 1
    fi
    source_tables=("$1/feats.scp")
  fi
  [ -f "${source_tables[0]}" ] || { echo "$0: error: $1 has neither wav.scp nor feats.scp; run the stage that prepares it" >&2; exit 1; }
}
