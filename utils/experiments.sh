# Sourced by recipes that train several systems and embed finished models. From the options systems, models, seeds, tag, init_from, set and
# untrained, and the folders confs and exps, list_experiments makes
#   runs    what is trained: CONF, SEED, EXP, suffix of earlier systems; parted by tabs
#   found   what is embedded: EXP, folder of its final.pt, encoders; of i-vectors that of final.npz, and ivector
#   vads    whether each of them wants silence cut: true or false
# A model may be "NAME MODEL": then its experiment is called NAME, else as its folder. What is not there is refused, and two of one name.
# shellcheck shell=bash disable=SC2034,SC2154

_exp_describe() {   # CONF [OPTION of show_config]...: sets weights, and adds to vads
  local said vad
  said=$(python3 -m sslspk.bin.show_config --conf "$@" --weights vad) || {
    [ ${#set[@]} -eq 0 ] || [ "$(wc -w <<< "$systems")" -lt 2 ] ||
      echo "$0: --set goes to every system; run those with keys of their own apart, which keeps what is finished" >&2
    exit 1
  }
  { read -r weights; read -r vad; } <<< "$said"; vads+=("$vad")
  [ "$every" = true ] || weights=${weights%% *}
}

_exp_exported() {   # FOLDER: leaves those of `weights` out that sslspk export left out
  local held one kept=()
  held=$(python3 -m sslspk.cli info "$1" | sed -n 's/^weights   *//p'); held=" ${held//,/} "
  for one in $weights; do [[ $held != *" $one "* ]] || kept+=("$one"); done
  weights=${kept[*]:-${held// /}}
}

list_experiments() {   # [true]: all encoders of each, not only the one that its configuration says to evaluate
  local every=${1:-false} system conf seed suffix exp more model given name file folder weights twice start base
  runs=() found=() vads=() tab=$'\t' start=${init_from:+_from_$(model_name "$init_from")} base=(${init_from:+--encoder-of "$init_from"})
  [[ $seeds =~ ^[0-9]{1,9}(\ +[0-9]{1,9})*$ ]] || die "--seeds takes whole numbers, not '${seeds:0:40}'"
  for system in $systems; do
    conf=$system; [[ $system == *.yaml ]] || conf=$confs/$system.yaml
    [ -f "$conf" ] || die "there is no ${conf:0:60}; see ls $confs/*.yaml, or give the path of a YAML"
    _exp_describe "$conf" "${base[@]}" "${set[@]/#/--set=}"; more=' untrained'
    for seed in $seeds; do
      suffix=; [ "$seed" = 0 ] || suffix=_seed$seed; exp=$exps/$(basename "$conf" .yaml)$start${tag:+_$tag}$suffix
      runs+=("$conf$tab$seed$tab$exp$tab$start$suffix") found+=("$exp$tab$exp$tab$weights$more") more=
    done
  done
  more=; [ "${untrained:-false}" = false ] || more=' untrained'
  for model in "${models[@]}"; do
    given=$model name=
    if [ ! -e "$model" ] && [[ $model =~ ^([[:alnum:]_.+-]+)\ +(.+)$ ]]; then name=${BASH_REMATCH[1]} model=${BASH_REMATCH[2]}; fi
    file=$(model_file "$model")
    [ -s "$file" ] || die "there is no model $given; train it, or leave it out"
    folder=$(dirname "$(readlink -f "$file")")
    case ${file##*/} in
      final.pt) _exp_describe "$folder/config.yaml"; weights+=$more ;;
      model.safetensors) _exp_describe "$folder/config.yaml"; _exp_exported "$folder"; weights+=$more ;;
      final.npz) weights=ivector ;;
      *) die "--models takes a training's final.pt or folder, or an exported one (of a model of another toolkit, too), not '$model'" ;;
    esac
    exp=$exps/${name:-$(basename "$folder")}; found+=("$exp$tab$folder$tab$weights")
    [ ! -e "$exp/final.pt" ] || [ "$exp/final.pt" -ef "$file" ] || 
      die "$exp is another model than $model; give that one a name of its own: --models \"NAME $model\""
  done
  [ ${#found[@]} -gt 0 ] || die "--systems and --models are both empty; name a system or a model"
  twice=$(printf '%s\n' "${found[@]%%"$tab"*}" | sort | uniq -d | sed -n 1p)
  [ -z "$twice" ] || die "two experiments would both be $twice; rename a YAML, give a model a name of its own" \
    "(--models \"NAME MODEL\"), or leave one out"
}

add_checkpoints() {   # adds to `found` the checkpoints of what was trained, each a model of its own
  local one exp folder weights made model
  for one in "${found[@]}"; do
    IFS=$tab read -r exp folder weights <<< "$one"
    [ "$exp" = "$folder" ] || continue   # a model that was given
    made=$(local/checkpoint_models.py "$exp")
    while IFS= read -r model; do
      [ -z "$model" ] || found+=("$model$tab$model$tab${weights% untrained}")
    done <<< "$made"
  done
}
