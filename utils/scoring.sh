# Sourced by scripts that score a list with embeddings that a system has of its utterances.
# shellcheck shell=bash disable=SC2034

scoring_of() {   # TRIALS EXP VARIANT: sets `emb`, the embeddings of the data directory that TRIALS lies in, or of its packed copy, and `of`,
  # what steps/score.sh should know of them and of who speaks
  local data name table; data=$(dirname "$1") name=$(basename "$(dirname "$1")")
  for emb in "$2/emb_$3/$name" "$2/emb_$3/${name}_packed" "$2/$name/$3"; do   # the last is where statistics are
    [ ! -d "$emb" ] || break
  done
  of=(--provenance "$emb/provenance.json")
  for table in utt2spk spk2gender; do [ ! -f "$data/$table" ] || of+=("--$table" "$data/$table"); done
}
