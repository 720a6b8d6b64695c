/** Manual pages, in man(7): one for each command, and an overview. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EPOCH, PACKAGE, ROOT } from '../packages/root.mjs';
import { COMMANDS } from './commands.mjs';

const DATE = new Date(Number(EPOCH) * 1000).toISOString().slice(0, 10);
/** Text as roff reads it: `words in backticks` are bold. */
const roff = (text) =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/`([^`]+)`/g, '\\fB$1\\fR')
    .replace(/^(?=[.'])/, '\\&');
const page = (name, section, ...parts) =>
  `${[`.TH ${name.toUpperCase().replaceAll('-', '\\-')} ${section} ${DATE} "ingero ${PACKAGE.version}" "ingero"`, '.nh', '.ad l', ...parts.flat()].join('\n')}\n`;
const heading = (title) => `.SH ${title}`;
const item = (term, text) => ['.TP', term, roff(text === '' ? '\\&' : text)];
const nameOf = ({ id }) => `ingero-${id.replaceAll(' ', '-')}`;
const reference = (name, section) => `.BR ${roff(name)} (${section})`;

function flagItem(flag) {
  const names = [
    ...(flag.char === null ? [] : [`-${flag.char}`]),
    ...[flag.name, ...flag.aliases].map((name) => `--${name}`),
  ].map((name) => `\\fB${roff(name)}\\fR`);
  const value = flag.takesValue ? ` \\fI${roff(flag.helpValue.replace(/[<>]/g, ''))}\\fR` : '';
  const notes = [
    ...(flag.values === null ? [] : [`One of ${flag.values.join(', ')}.`]),
    ...(flag.default === null ? [] : [`Default: ${flag.default}.`]),
    ...(flag.repeats && !/repeated/.test(flag.description) ? ['May be repeated.'] : []),
  ];
  return item(`${names.join(', ')}${value}`, [flag.description, ...notes].join(' '));
}

function synopsis({ id, args, flags }) {
  const words = args.map(({ name, required }) => {
    const text = `\\fI${roff(name.toUpperCase())}\\fR`;
    return required ? text : `[${text}]`;
  });
  return [`\\fBingero ${roff(id)}\\fR`, ...(flags.length > 0 ? ['[\\fIOPTIONS\\fR]'] : []), ...words].join(
    ' ',
  );
}

function commandPage(command) {
  const { summary, description, args, flags, examples, aliases } = command;
  return page(
    nameOf(command),
    1,
    [heading('NAME'), `${roff(nameOf(command))} \\- ${roff(summary.replace(/\.$/, ''))}`],
    [heading('SYNOPSIS'), synopsis(command)],
    [heading('DESCRIPTION'), roff(description === '' ? summary : description)],
    aliases.length === 0
      ? []
      : ['.PP', roff(`Also: ${aliases.map((alias) => `ingero ${alias}`).join(', ')}.`)],
    args.length === 0
      ? []
      : [
          heading('ARGUMENTS'),
          ...args.flatMap(({ name, description }) =>
            item(`\\fI${roff(name.toUpperCase())}\\fR`, description),
          ),
        ],
    flags.length === 0 ? [] : [heading('OPTIONS'), ...flags.flatMap(flagItem)],
    examples.length === 0
      ? []
      : [
          heading('EXAMPLES'),
          ...examples.flatMap(({ about, line }) => [
            ...(about === '' ? [] : [roff(`${about}:`)]),
            ...['.RS 4', `\\fB${roff(line)}\\fR`, '.RE'],
          ]),
        ],
    [heading('SEE ALSO'), reference('ingero', 8)],
  );
}

/** Code and meaning, from the table of docs/exit-codes.md. */
function exitCodes() {
  const text = readFileSync(join(ROOT, 'docs/exit-codes.md'), 'utf8');
  return [...text.matchAll(/^\| (\d+) \| ([^|]+) \|/gm)].map(([, code, meaning]) => [code, meaning]);
}

function overview() {
  return page(
    'ingero',
    8,
    [heading('NAME'), `ingero \\- ${roff(PACKAGE.description)}`],
    [heading('SYNOPSIS'), '\\fBingero\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR] [\\fIARGUMENTS\\fR]'],
    [
      heading('DESCRIPTION'),
      roff(
        'Probes in the libraries of GPU programs record every call into one DuckDB file, which is then asked with named queries or SQL. Programs are not changed or restarted, and nothing leaves the host: the kernel refuses ingero every socket but those within it.',
      ),
      '.PP',
      roff('`ingero COMMAND --help` explains a command, `ingero --version` tells the version.'),
    ],
    [
      heading('COMMANDS'),
      ...COMMANDS.flatMap((command) => item(reference(nameOf(command), 1), command.summary)),
    ],
    [heading('EXIT STATUS'), ...exitCodes().flatMap(([code, meaning]) => item(code, meaning))],
    [
      heading('FILES'),
      ...item('\\fI/etc/ingero/policy.yaml\\fR', 'What may be traced on this host.'),
      ...item('\\fI/etc/ingero/trust.d\\fR', 'Keys whose signatures count.'),
      ...item('\\fI/etc/ingero/service.env\\fR', 'Rounds and retention of ingero-trace.service.'),
      ...item('\\fI/var/lib/ingero\\fR', 'Captures of ingero-trace.service.'),
      ...item('\\fI/usr/lib/ingero/docs\\fR', 'The documentation.'),
    ],
    [
      heading('ENVIRONMENT'),
      ...item('\\fBINGERO_CONFIG_DIR\\fR', 'Stands for all folders of the configuration.'),
      ...item('\\fBTMPDIR\\fR', 'Where a query copies a running capture to, and spills.'),
    ],
  );
}

/** All pages: path below share/man, and text. */
export function manualPages() {
  return [
    ['man8/ingero.8', overview()],
    ...COMMANDS.map((command) => [`man1/${nameOf(command)}.1`, commandPage(command)]),
  ];
}
