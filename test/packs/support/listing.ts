import type { ColumnValue, CompiledPack, Condition, Field } from '../../../src/packs/index.js';

const fieldText = ({ slot, offset, size, signed }: Field): string =>
  `${slot}[${offset}:${signed ? 'i' : 'u'}${size * 8}]`;

function columnText({ column, fields, times, scale, unless = [], enum: names, text }: ColumnValue): string {
  const factors = [
    ...(text === undefined ? [] : [`text ${text.place} of slot ${text.slot}`]),
    ...fields.map(fieldText),
    ...(times === undefined ? [] : [String(times)]),
    ...(scale === undefined ? [] : [`size(${fieldText(scale.field)})`]),
  ];
  const condition = unless.length === 0 ? '' : ` unless ${unless.map(fieldText).join(' or ')}`;
  return `${column} = ${factors.join(' * ')}${condition}${names === undefined ? '' : ` as ${names}`}`;
}

function conditionText({ subject, is, values }: Condition): string {
  const what =
    typeof subject === 'string' ? subject : 'result' in subject ? 'result' : fieldText(subject.field);
  return `where ${what} ${is} ${values.join(', ')}`;
}

/** One line per slot, condition and column of a compiled pack: what a reviewer can compare with an ABI table. */
export function listing({ pack, probes, arch }: CompiledPack): string {
  const lines = [
    `# ${pack.name} for ${arch}: slot = location [+offset:size@time]; column = slot[offset:type]`,
  ];
  for (const probe of probes) {
    lines.push('', probe.prototype, `  ${probe.op} ${probe.mode} ${probe.symbols.join(' ')}`);
    for (const [index, { from, deref, text }] of probe.slots.entries()) {
      const read = deref === undefined ? '' : ` +${deref.offset}:${deref.size}@${deref.at}`;
      const string =
        text === undefined ? '' : ` +${text.offset}:text ${text.place} of ${text.maxBytes}@${text.at}`;
      lines.push(`  slot ${index} = ${from.kind} ${'index' in from ? from.index : ''}${read}${string}`);
    }
    for (const condition of probe.where) lines.push(`  ${conditionText(condition)}`);
    for (const column of probe.columns) lines.push(`  ${columnText(column)}`);
  }
  return `${lines.join('\n')}\n`;
}
