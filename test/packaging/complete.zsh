# What zsh offers for a command line: zsh -f complete.zsh FOLDER LINE FILE writes it to FILE, a line for each word.
# FOLDER holds the completion functions. A second, interactive zsh in a pseudo terminal gets the line and a tab.
if [[ -z $INSIDE ]]; then
  zmodload zsh/zpty
  export INSIDE=1 FOLDER=$1 OUT=$3
  zpty shell zsh -f -i
  zpty -w shell "source ${0:A}"
  zpty -r shell ready '*ready*'
  zpty -w -n shell "$2"$'\t'
  while zpty -t shell; do zpty -r shell rest '*' || break; done 2>/dev/null
  exit 0
fi
PROMPT=
fpath=($FOLDER $fpath)
autoload -Uz compinit && compinit -u -D
bindkey '^I' complete-word
comppostfuncs=(exit)
compadd() {
  # With these options it only looks: the function that asked for it adds the words itself.
  [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]] && { builtin compadd "$@"; return }
  local -a words
  builtin compadd -A words "$@"
  print -rl -- $words >> $OUT
}
print ready
