# Sourced by scripts that take --init-from: a final.pt of this toolkit, or "ARCH CHECKPOINT", a frame-level model as
# steps/extract_frame_model.sh takes it (CHECKPOINT is a file in torchaudio's format, or the word random). In place of a final.pt its
# folder, or one that sslspk export wrote.
# shellcheck shell=bash
. utils/model_file.sh

init_pair() { [ ! -e "$1" ] && [[ $1 =~ ^[a-z0-9_]+\ . ]]; }   # MODEL: whether it is "ARCH CHECKPOINT"; the name of a file may have a space

init_file() {   # MODEL: prints the file that holds the weights; nothing for "ARCH random"
  if ! init_pair "$1"; then model_file "$1"; elif [ "${1#* }" != random ]; then printf '%s' "${1#* }"; fi
}

init_model() { if init_pair "$1"; then printf '%s\n' "$1"; else model_file "$1"; fi; }   # MODEL: prints it, or the file of a folder

init_embeds() { [[ $1 = wespeaker_* || $1 = speechbrain_* ]]; }   # "ARCH CHECKPOINT": whether it has one embedding, as a final.pt has

init_missing() {   # MODEL: prints what is wrong with it; nothing where its file is there, or MODEL is empty
  local file; file=$(init_file "$1")
  if [ -z "$file" ] || [ -s "$file" ]; then return 0; fi
  if ! init_pair "$1"; then echo "there is no model $1; train it (egs/voxceleb/run.sh), or leave --init-from out"; return 0; fi
  echo "there is no checkpoint '$file'; --init-from takes FINAL.PT or \"ARCH CHECKPOINT\", a file or the word random"
}

init_require() {   # MODEL: ends the script, by its die, where MODEL is not there
  local said; said=$(init_missing "$1")
  [ -z "$said" ] || die "$said"
}

init_name() {   # MODEL: prints what experiments call it: the system's name, or ARCH_WEIGHTS
  local file; file=$(init_file "$1")
  if ! init_pair "$1"; then basename "$(dirname "$(readlink -f "$file")")"; return; fi
  file=${file##*/}; file=${file%.*}
  echo "${1%% *}_${file:-random}"
}

init_real() {   # MODEL: prints it with the whole path of its file
  local file; file=$(init_file "$1")
  if ! init_pair "$1"; then readlink -f "$file"; elif [ -z "$file" ]; then printf '%s\n' "$1"; else echo "${1%% *} $(realpath -s "$file")"; fi
}
