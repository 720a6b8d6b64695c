/** Completions for bash, zsh and fish: commands, flags, and values where they are known. All lists are fixed. */
import { COMMANDS, firstWords, subcommands, TOPICS } from './commands.mjs';

const GLOBAL = ['--help'];
const HEAD = '# Made from oclif.manifest.json by packaging/shell/build.mjs.';
const topics = Object.keys(TOPICS);
const longNames = ({ name, aliases }) => [name, ...aliases].map((word) => `--${word}`);
const allNames = (flag) => [...(flag.char === null ? [] : [`-${flag.char}`]), ...longNames(flag)];
/** A command under each of its names. */
const entries = COMMANDS.flatMap((command) =>
  [command.id, ...command.aliases].map((id) => ({ ...command, id })),
);

/** Words stand in single quotes; none of ours holds one. */
function bashCommand({ id, args, flags }) {
  const values = flags
    .filter(({ takesValue }) => takesValue)
    .map(
      (flag) =>
        `        ${allNames(flag).join('|')}) ${flag.values === null ? '' : `words='${flag.values.join(' ')}' `}known=1 ;;`,
    );
  const words = args.flatMap(({ values }) => values ?? []);
  return `    '${id}')
      flags='${[...flags.flatMap(allNames), ...GLOBAL].join(' ')}'
      words='${words.join(' ')}'
${values.length === 0 ? '' : `      case $previous in\n${values.join('\n')}\n      esac\n`}      ;;`;
}

export function bash() {
  return `${HEAD}
_ingero() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]}
  local id=\${COMP_WORDS[1]} flags= words= known= index
  # After -- stands the command that is traced.
  for ((index = 2; index < COMP_CWORD; index++)); do
    if [[ \${COMP_WORDS[index]} == -- ]]; then
      COMPREPLY=($(compgen -c -- "$current"))
      return
    fi
  done
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W '${[...firstWords().map(([word]) => word), '--help', '--version'].join(' ')}' -- "$current"))
    return
  fi
  case $id in
${topics
  .map((topic) => {
    const subs = subcommands(topic).map(([word]) => word);
    return `    ${topic})
      if ((COMP_CWORD == 2)) && [[ $current != -* ]]; then
        COMPREPLY=($(compgen -W '${subs.join(' ')}' -- "$current"))
        return
      fi
      case \${COMP_WORDS[2]} in
        ${subs.join('|')}) id="$id \${COMP_WORDS[2]}" ;;
      esac
      ;;`;
  })
  .join('\n')}
  esac
  case $id in
${entries.map(bashCommand).join('\n')}
  esac
  # Without words readline completes files.
  if [[ -z $known && $current == -* ]]; then words=$flags; fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -o bashdefault -F _ingero ingero
`;
}

const zshText = (text) => text.replace(/[\\[\]:]/g, '\\$&').replaceAll("'", "'\\''");

function zshCommand({ id, args, flags }) {
  const value = (name, values) => `:${name}:${values === null ? '_files' : `(${values.join(' ')})`}`;
  const specs = flags.flatMap((flag) =>
    allNames(flag).map((name) => {
      const equals = !flag.takesValue ? '' : name.startsWith('--') ? '=' : '+';
      return `'${flag.repeats ? '*' : ''}${name}${equals}[${zshText(flag.description)}]${flag.takesValue ? value(flag.name, flag.values) : ''}'`;
    }),
  );
  const rest = args.map(
    ({ name, values }, index) => `'${index === args.length - 1 ? '*' : index + 1}${value(name, values)}'`,
  );
  const own = id === 'trace' ? ["'*::command:_normal'"] : rest;
  return `    ('${id}')
      _arguments -s \\
        ${[...specs, "'--help[Show help.]'", ...own].join(' \\\n        ')}
      ;;`;
}

export function zsh() {
  const described = (list) => list.map(([word, about]) => `'${word}:${zshText(about)}'`).join(' ');
  return `#compdef ingero
${HEAD}
_ingero() {
  local -a names
  local id
  if ((CURRENT == 2)); then
    names=(${described(firstWords())})
    _describe command names
    return
  fi
  id=$words[2]
  case $id in
${topics
  .map((topic) => {
    const subs = subcommands(topic);
    return `    (${topic})
      if ((CURRENT == 3)) && [[ $words[3] != -* ]]; then
        names=(${described(subs)})
        _describe command names
        return
      fi
      case $words[3] in
        (${subs.map(([word]) => word).join('|')})
          id="$id $words[3]"
          shift words
          ((CURRENT--))
          ;;
      esac
      ;;`;
  })
  .join('\n')}
  esac
  shift words
  ((CURRENT--))
  case $id in
${entries.map(zshCommand).join('\n')}
  esac
}
_ingero "$@"
`;
}

const fishText = (text) => `'${text.replace(/[\\']/g, '\\$&')}'`;

function fishCommand({ id, args, flags }) {
  const subs = subcommands(id).map(([word]) => word);
  const here = fishText(
    `__ingero_is ${id}${subs.length === 0 ? '' : `; and not __fish_seen_subcommand_from ${subs.join(' ')}`}`,
  );
  return [
    ...flags.map((flag) =>
      [
        `complete -c ingero -n ${here}`,
        ...(flag.char === null ? [] : [`-s ${flag.char}`]),
        ...[flag.name, ...flag.aliases].map((name) => `-l ${name}`),
        ...(flag.takesValue ? ['-r'] : []),
        ...(flag.values === null ? [] : [`-f -a ${fishText(flag.values.join(' '))}`]),
        `-d ${fishText(flag.description)}`,
      ].join(' '),
    ),
    ...args
      .filter(({ values }) => values !== null)
      .map(({ values }) => `complete -c ingero -n ${here} -a ${fishText(values.join(' '))}`),
  ].join('\n');
}

export function fish() {
  const word = (condition, [name, about]) =>
    `complete -c ingero -f -n ${fishText(condition)} -a ${name} -d ${fishText(about)}`;
  return `${HEAD}
# Whether the command line begins with these words.
function __ingero_is
    set -l typed (commandline -opc)
    test "$typed[2..]" = "$argv"; and return 0
    string match -q -- "$argv *" "$typed[2..]"
end
${firstWords()
  .map((entry) => word('__fish_use_subcommand', entry))
  .join('\n')}
${topics
  .flatMap((topic) =>
    subcommands(topic).map((entry) =>
      word(
        `__ingero_is ${topic}; and not __fish_seen_subcommand_from ${subcommands(topic)
          .map(([name]) => name)
          .join(' ')}`,
        entry,
      ),
    ),
  )
  .join('\n')}
${entries.map(fishCommand).join('\n')}
complete -c ingero -l help -d 'Show help.'
`;
}
