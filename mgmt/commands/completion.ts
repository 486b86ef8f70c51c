/** `mortar completion SHELL`: scripts that make a shell complete our words. */

import { type Command, command, UsageError } from "mgmt/cli/command.ts";
import { SHELLS } from "mgmt/cli/complete.ts";
import { say } from "mgmt/cli/terminal.ts";

// Each hands the words up to the cursor to "__complete", which answers one candidate a line, a tab
// and what it is behind it; files are the shell's own business where nothing is offered.
const SCRIPTS: Readonly<Record<typeof SHELLS[number], string>> = {
  bash: `_mortar() {
  local IFS=$'\\n' line=\${COMP_LINE:0:COMP_POINT}
  local words=("\${COMP_WORDS[@]:1:COMP_CWORD}")
  # A word with ":" or "=" is several to bash: put together again what stands before the cursor.
  IFS=' ' read -ra words <<<"\${line#* }"
  [[ $line == *' ' ]] && words+=('')
  IFS=$'\\n'
  local found=($("\${COMP_WORDS[0]}" __complete "\${words[@]}" 2>/dev/null | cut -f1))
  local last=\${words[\${#words[@]}-1]} cut=
  # Only what follows the last break is replaced.
  [[ $last == *[:=]* && $COMP_WORDBREAKS == *:* ]] && cut=\${last%"\${last##*[:=]}"}
  COMPREPLY=("\${found[@]#"$cut"}")
  [[ \${#COMPREPLY[@]} -eq 1 && \${COMPREPLY[0]} == *[=/] ]] && compopt -o nospace
}
complete -o default -F _mortar mortar
`,
  zsh: `#compdef mortar
_mortar() {
  local -a found described
  found=("\${(@f)$("\${words[1]}" __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  local line
  for line in $found; do
    [[ -n $line ]] && described+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done
  if (( $#described )); then _describe -t commands mortar described; else _files; fi
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _mortar "$@"; else compdef _mortar mortar; fi
`,
  fish: `function __mortar_complete
  set -l words (commandline -opc)
  set -l found ($words[1] __complete $words[2..-1] (commandline -ct) 2>/dev/null)
  # Nothing of ours goes here: files of this machine may.
  if test (count $found) -gt 0; printf '%s\\n' $found; else; __fish_complete_path (commandline -ct); end
end
complete -c mortar -f -a '(__mortar_complete)'
`,
};

/** The command. */
export const completion: Command = command({
  name: "completion",
  summary: "Print a script that makes a shell complete mortar's words",
  description: [
    "Words, options and keywords come from the same table as help; names of volumes are asked of the " +
    "management daemon.",
  ],
  options: {},
  operands: { label: SHELLS.join("|"), min: 1, max: 1 },
  examples: [
    { what: "In ~/.bashrc", line: 'eval "$(mortar completion bash)"' },
    { what: "In ~/.zshrc, after compinit", line: 'eval "$(mortar completion zsh)"' },
    {
      what: "For fish, once",
      line: "mortar completion fish > ~/.config/fish/completions/mortar.fish",
    },
  ],
  run(_values, [shell]) {
    const known = SHELLS.find((each) => each === shell);
    if (known === undefined) {
      throw new UsageError(
        `Cannot print completion for "${shell}": expected ${SHELLS.join(", ")}`,
      );
    }
    say(SCRIPTS[known]);
    return Promise.resolve(0);
  },
});
