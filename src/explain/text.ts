import { humanize } from '../query/units.js';
import { visible } from '../query/visible.js';
import type { Explanation } from './explain.js';
import type { Finding } from './finding.js';

/** The explanation for a person: the findings in order, what limits them, and what was looked for in vain. */
export function renderExplanation(explanation: Explanation): string {
  const { findings, clean, skipped, caveats } = explanation;
  const blocks = findings.map(renderFinding);
  if (findings.length === 0) blocks.push('Nothing was found.');
  const notes = [
    ...caveats.map((text) => `Note: ${visible(text)}`),
    ...(clean.length === 0 ? [] : [`Looked for in vain: ${clean.join(', ')}.`]),
    ...skipped.map(({ detection, reason }) => `Not looked for: ${detection}. ${visible(reason)}`),
  ];
  return `${[...blocks, notes.join('\n')].filter((block) => block !== '').join('\n\n')}\n`;
}

function renderFinding(finding: Finding): string {
  const { where, evidence, fidelity } = finding;
  const place = [
    `process ${where.pid}${where.process === null ? '' : ` (${where.process})`}`,
    where.rank === null ? '' : `rank ${where.rank}`,
    where.device === null ? '' : `device ${where.device}`,
    where.op ?? '',
    where.site ?? '',
  ].filter((part) => part !== '');
  const lost = finding.lost_ns === null ? undefined : humanize(Number(finding.lost_ns), 'ns');
  const much = [
    finding.share_pct === null ? '' : `${finding.share_pct} %`,
    lost === undefined ? '' : `${lost} lost`,
    `${Number(finding.calls).toLocaleString('en')} ${Number(finding.calls) === 1 ? 'call' : 'calls'}`,
  ].filter((part) => part !== '');
  return [
    `${finding.place}. ${finding.title}: ${visible(finding.finding)}`,
    `   how much   ${much.join(', ')}`,
    `   where      ${visible(place.join(', '))}`,
    `   when       ${finding.first_time} to ${finding.last_time}`,
    ...evidence.commands.map(
      (command, index) => `   ${index === 0 ? 'evidence  ' : '          '} ${visible(command)}`,
    ),
    `   fidelity   ${fidelity.level}: ${fidelity.why}`,
    `   what to do ${finding.advice}`,
  ].join('\n');
}
