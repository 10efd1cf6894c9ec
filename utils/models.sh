# Sourced by scripts that are given a model. It is named by its file (final.pt, model.safetensors that sslspk export wrote, final.npz of
# i-vectors), by the folder that it lies in, or as "ARCH CHECKPOINT": a model of another toolkit as steps/extract_frame_model.sh and
# docs/export.md take it, CHECKPOINT being its file, or the word random. In Python file_of of sslspk/train/model.py does the same.
# shellcheck shell=bash

model_pair() { [ ! -e "$1" ] && [[ $1 =~ ^[a-z0-9_]+\ . ]]; }   # MODEL: whether it is "ARCH CHECKPOINT"; the name of a file may have a space

model_file() {   # MODEL: prints the file that holds the weights; nothing for "ARCH random"
  local name
  if model_pair "$1"; then
    if [ "${1#* }" != random ]; then printf '%s\n' "${1#* }"; fi
  elif [ -f "$1" ] || [[ -z $1 || $1 = *.pt || $1 = *.safetensors || $1 = *.npz ]]; then
    printf '%s\n' "$1"
  else
    for name in final.pt model.safetensors final.npz final.pt; do   # the last is for a folder that has none
      if [ -e "$1/$name" ]; then break; fi
    done
    printf '%s\n' "$1/$name"
  fi
}

model_word() { if model_pair "$1"; then printf '%s\n' "$1"; else model_file "$1"; fi; }   # MODEL: prints it as programs take it, a folder's file

model_embeds() { [[ $1 = wespeaker_* || $1 = speechbrain_* ]]; }   # "ARCH CHECKPOINT": whether it has one embedding, as a final.pt has

model_missing() {   # MODEL: prints what is wrong with it; nothing where its file is there, or MODEL is empty
  local file; file=$(model_file "$1")
  if [ -z "$file" ] || [ -s "$file" ]; then return 0; fi
  if ! model_pair "$1"; then echo "there is no model $1; train it (egs/voxceleb/run.sh), or leave --init-from out"; return 0; fi
  echo "there is no checkpoint '$file'; --init-from takes FINAL.PT or \"ARCH CHECKPOINT\", a file or the word random"
}

model_require() {   # MODEL: ends the script, by its die, where MODEL is not there
  local said; said=$(model_missing "$1")
  [ -z "$said" ] || die "$said"
}

model_name() {   # MODEL: prints what experiments call it: the system's name, or ARCH_WEIGHTS
  local file; file=$(model_file "$1")
  if ! model_pair "$1"; then basename "$(dirname "$(readlink -f "$file")")"; return; fi
  file=${file##*/}; file=${file%.*}
  echo "${1%% *}_${file:-random}"
}

model_path() {   # MODEL: prints it with the whole path of its file
  local file; file=$(model_file "$1")
  if ! model_pair "$1"; then readlink -f "$file"; elif [ -z "$file" ]; then printf '%s\n' "$1"; else echo "${1%% *} $(realpath -s "$file")"; fi
}
