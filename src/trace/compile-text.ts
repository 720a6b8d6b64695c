import { overlayNotes } from '../packs/origins.js';
import { alignedLines } from '../packs/table-text.js';
import { visible } from '../query/visible.js';
import type { CompileReport, LibraryPlan, ProbeReport } from './compile-report.js';

/** The report of `probes compile` for people: what goes where first, then what is read at each function. */
export function compileReportLines(report: CompileReport): string[] {
  const { pack, arch, probes, libraries, required_missing, searched, ignored } = report;
  const lines = [
    `${pack.name} ${pack.version} for ${arch}: ${count(probes.length, 'function')}`,
    ...pack.overlays.map(({ path }) => `  changed by ${path}`),
  ];
  for (const library of libraries) lines.push('', ...libraryLines(library));
  if (libraries.length === 0 && searched.length > 0) {
    lines.push('', 'No library was found. Looked at:', ...searched.map((place) => `  ${place}`));
  }
  if (libraries.length === 0) {
    for (const { path, reason } of ignored) lines.push(`  ignored ${path}: ${reason}`);
  }
  if (required_missing.length > 0 && (libraries.length > 0 || searched.length > 0)) {
    lines.push('', `A trace would refuse to start, for want of: ${required_missing.join(', ')}`);
  }
  for (const probe of probes) lines.push('', ...probeLines(probe, pack.path));
  return lines.map(visible);
}

function libraryLines({ sites, skipped, problem, ...file }: LibraryPlan): string[] {
  const lines = [
    file.path,
    `  soname ${file.soname ?? 'none'}, version ${file.version ?? 'unknown'}, build-id ${file.build_id ?? 'none'}, found by ${file.found_by}`,
  ];
  if (problem !== null) return [...lines, `  cannot be probed: ${problem}`];
  const cheap = sites.filter((site) => site.cost_class === 'emulated').length;
  lines.push(
    `  ${count(sites.length, 'probe')} (${cheap} emulated, ${sites.length - cheap} single-stepped), ${count(skipped.length, 'symbol')} skipped`,
  );
  const table = alignedLines([
    ['symbol', 'address', 'offset', 'skip', 'cost', 'hits/call', 'us/call', 'op'],
    ...sites.map((site) => [
      [site.symbol, ...site.aliases].join('='),
      site.address,
      `0x${site.file_offset.toString(16)}`,
      String(site.skip_bytes),
      site.cost_class,
      String(site.hits_per_call),
      (site.estimated_ns_per_call / 1000).toFixed(1),
      site.op,
    ]),
  ]);
  if (sites.length > 0) lines.push(...table.map((line) => `    ${line}`));
  for (const { op, symbol, reason } of skipped) lines.push(`    skipped ${symbol ?? op}: ${reason}`);
  return lines;
}

function probeLines(
  {
    op,
    prototype,
    mode,
    required,
    returns,
    ok,
    sample,
    stack,
    current_device,
    slots,
    columns,
    when,
    where,
    enabled,
    origins,
    ...probe
  }: ProbeReport,
  packPath: string,
): string[] {
  const facts = [
    ...(enabled ? [] : ['not enabled']),
    mode === 'entry' ? 'entry only' : 'entry and return',
    ...(required ? ['required'] : []),
    ...(returns === null ? [] : [`returns ${returns}`]),
    ...(ok.length === 0 ? [] : [`success ${ok.join(' or ')}`]),
    ...(sample === 1 ? [] : [`1 of ${sample} calls`]),
    ...(stack ? ['with stacks'] : []),
    ...(current_device === null ? [] : [`current device ${current_device}`]),
    count(slots, 'slot'),
  ];
  const places = probe.arguments.map(({ name, location }, index) => [
    name ?? `argument ${index + 1}`,
    location,
  ]);
  const values = columns.map(({ column, value }) => [column, value]);
  return [
    `${op} (${facts.join(', ')})`,
    `  ${prototype}`,
    ...overlayNotes(origins, packPath).map((note) => `  ${note}`),
    ...alignedLines(places).map((line) => `    ${line}`),
    ...(when.length === 0 ? [] : [`  probed when ${when.join(' and ')}`]),
    ...(where.length === 0 ? [] : [`  recorded when ${where.join(' and ')}`]),
    ...(values.length === 0 ? [] : ['  columns']),
    ...alignedLines(values).map((line) => `    ${line}`),
  ];
}

function count(number: number, thing: string): string {
  return `${number} ${thing}${number === 1 ? '' : 's'}`;
}
