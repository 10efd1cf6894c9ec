# Sourced by scripts that are given a model by its file, or by the folder that it lies in.
# shellcheck shell=bash

model_file() {   # MODEL: prints the file of its weights; of a folder final.pt, or model.safetensors where `sslspk export` wrote it
  local name=final.pt
  if [ -f "$1" ] || [[ -z $1 || $1 = *.pt || $1 = *.safetensors ]]; then printf '%s\n' "$1"; return; fi
  if [ -e "$1/model.safetensors" ] && [ ! -e "$1/final.pt" ]; then name=model.safetensors; fi
  printf '%s\n' "$1/$name"
}
