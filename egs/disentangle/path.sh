# The environment of this recipe: sourced by run.sh, by every step, and by jobs on other machines. Add to it what yours need.
# shellcheck shell=bash
if [ ! -f utils/environment.sh ]; then
  if [ -f "$(dirname "$0")/utils/environment.sh" ]; then echo "$0: error: run it from its folder: cd $(dirname "$0")" >&2
  else echo "$0: error: $PWD has no utils/; link to those of a checkout: ln -sfn CHECKOUT/{steps,utils,local} ." >&2; fi
  return 1
fi
. utils/environment.sh
