/**
 * Completions for bash, zsh and fish: commands, flags, names, and values where they are known. All lists are fixed: they have the
 * queries and packs that ship and their parameters, not those of this host, for which every press of a key would start ingero.
 */
import { COMMANDS, firstWords, paramWords, QUERY_PARAMS, subcommands, TOPICS } from './commands.mjs';

const GLOBAL = ['--help'];
const HEAD = '# Made from oclif.manifest.json by packaging/shell/build.mjs.';
const topics = Object.keys(TOPICS);
const longNames = ({ name, aliases }) => [name, ...aliases].map((word) => `--${word}`);
const allNames = (flag) => [...(flag.char === null ? [] : [`-${flag.char}`]), ...longNames(flag)];
/** A command under each of its names. */
const entries = COMMANDS.flatMap((command) =>
  [command.id, ...command.aliases].map((id) => ({ ...command, id })),
);

/** The command whose flags depend on the query it is given. */
const RUNS_QUERIES = 'run-query';
const queries = Object.entries(QUERY_PARAMS);

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
# The query on the command line: its parameters as flags, and as what can follow --param; after its name stand files.
# Readline takes the = of NAME=VALUE for a word of its own.
_ingero_query() {
  local word name params= before=\${COMP_WORDS[COMP_CWORD - 2]} first=\${COMP_WORDS[COMP_CWORD - 3]}
  for word in "\${COMP_WORDS[@]:2:COMP_CWORD - 2}"; do
    if [[ -z $known && " $words " == *" $word "* ]]; then words=; fi
    case $word in
${queries.map(([name, params]) => `      ${name}) params='${params.flatMap(paramWords).join(' ')}' ;;`).join('\n')}
    esac
  done
  if [[ $previous == --param || $previous == -p ]]; then
    words=$params
    [[ "$words " != *'= '* ]] || compopt -o nospace 2>/dev/null
  elif [[ $current == = && ( $before == --param || $before == -p ) ]]; then
    name=$previous current=
  elif [[ $previous == = && ( $first == --param || $first == -p ) ]]; then
    name=$before
  elif [[ $previous == --* ]]; then
    name=\${previous#--} name=\${name//-/_}
  fi
  for word in $params; do
    if [[ \${word%%=*} == "$name" ]]; then
      [[ -n $known ]] || known=1 words=
      words+=" \${word#*=}"
    fi
    word=--\${word%%=*} word=\${word//_/-}
    [[ " $flags " == *" $word "* ]] || flags+=" $word"
  done
}
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
  if [[ $id == ${RUNS_QUERIES} ]]; then _ingero_query; fi
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
      if (id === RUNS_QUERIES && flag.name === 'param')
        return `'*${name}${name.startsWith('--') ? '=' : '+'}[${zshText(flag.description)}]:parameter:_ingero_params'`;
      const equals = !flag.takesValue ? '' : name.startsWith('--') ? '=' : '+';
      return `'${flag.repeats ? '*' : ''}${name}${equals}[${zshText(flag.description)}]${flag.takesValue ? value(flag.name, flag.values) : ''}'`;
    }),
  );
  const rest = args.map(
    ({ name, values }, index) => `'${index === args.length - 1 ? '*' : index + 1}${value(name, values)}'`,
  );
  const own = id === 'trace' ? ["'*::command:_normal'"] : rest;
  const ofQuery = id === RUNS_QUERIES ? ['$params'] : [];
  return `    ('${id}')
      _arguments -s \\
        ${[...specs, "'--help[Show help.]'", ...ofQuery, ...own].join(' \\\n        ')}
      ;;`;
}

export function zsh() {
  const described = (list) => list.map(([word, about]) => `'${word}:${zshText(about)}'`).join(' ');
  const flagOf = ({ name, flag, description, values }) =>
    `'${flag}=[${zshText(description)}]:${name}:${values === null ? '' : `(${values.join(' ')})`}'`;
  return `#compdef ingero
${HEAD}
# What can follow --param: the parameters of the query on the command line.
_ingero_params() {
  compadd -S '' -- $param_words
}
_ingero_query() {
  local word
  for word in $words; do
    case $word in
${queries
  .map(
    ([name, params]) => `      (${name})
        param_words=(${params.flatMap(paramWords).join(' ')})
        params=(${params.map(flagOf).join(' ')})
        ;;`,
  )
  .join('\n')}
    esac
  done
}
_ingero() {
  local -a names params param_words
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
  if [[ $id == ${RUNS_QUERIES} ]]; then _ingero_query; fi
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

/** The parameters of a query, once its name is on the command line. */
function fishQuery([query, params]) {
  const here = fishText(`__ingero_is ${RUNS_QUERIES}; and __fish_seen_subcommand_from ${query}`);
  return [
    `complete -c ingero -n ${here} -l param -s p -x -a ${fishText(params.flatMap(paramWords).join(' '))}`,
    ...params.map(
      ({ flag, description, values }) =>
        `complete -c ingero -n ${here} -l ${flag.slice(2)} -x${values === null ? '' : ` -a ${fishText(values.join(' '))}`} -d ${fishText(description)}`,
    ),
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
${queries.map(fishQuery).join('\n')}
complete -c ingero -l help -d 'Show help.'
`;
}
