# Sourced by the steps that put a model over the utterances of DATA, from their audio where there is some, else from features.
# shellcheck shell=bash

utterances_of() {  # DATA: sets `scp`, the table to read; ends the script where there is none, or where the audio's has been lost
  scp=$1/wav.scp
  if [ ! -f "$scp" ] && [ -f "$1/utt2num_samples" ]; then
    echo "$0: error: there is no $scp, though $1/utt2num_samples counts its samples; run the stage that prepares it" >&2
    exit 1
  fi
  [ -f "$scp" ] || scp=$1/feats.scp
  [ -f "$scp" ] || { echo "$0: error: $1 has neither wav.scp nor feats.scp; run the stage that prepares it" >&2; exit 1; }
}
