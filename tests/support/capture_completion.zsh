# Prints what zsh offers at the end of each line that is given as an argument, after a line ">" for each.
# A second zsh in a terminal of its own completes; its compadd writes what it is given to a file.
zmodload zsh/zpty
zpty shell zsh -f -i

await() {  # until a line of the terminal ends with $1
  local line all i
  for ((i = 0; i < 2000; i++)); do
    if zpty -rt shell line; then
      all+=$line
      [[ $all == *$1* ]] && return
    else
      sleep 0.01
    fi
  done
  print -u2 "zsh gave no answer: $all"
  exit 1
}

setup='
PS1= PS2= ; unsetopt zle_bracketed_paste 2>/dev/null
autoload -U compinit && compinit -u -D
unsetopt auto_list auto_menu
source ~/cnctl.zsh
compadd() {
  local -a __hits
  if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then
    builtin compadd "$@"
    return
  fi
  builtin compadd -A __hits "$@"
  (( $#__hits )) && print -rl -- $IPREFIX${^__hits} >> ~/offered
  builtin compadd "$@"  # its callers count the matches
}
zstyle ":completion:*" verbose no
capture() { : > ~/offered; zle complete-word; zle kill-whole-line; print -r -- "done-"capture }
zle -N capture
bindkey "^X" capture
print ready-"now"
'
print -r -- $setup > ~/setup.zsh
zpty -w shell 'source ~/setup.zsh'
await ready-now
for line in "$@"; do
  zpty -wn shell "$line"$'\x18'
  await done-capture
  print '>'
  sort -u ~/offered
done
zpty -d shell
