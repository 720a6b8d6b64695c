/** Runs statements (a JSON list in argv) on a capture behind the fence, one after the other; for a test under strace. */
import { Budget } from '../../src/query/budget.js';
import { execute } from '../../src/query/execute.js';
import { openCapture } from '../../src/query/open.js';

const [path = '', spill = '', statements = '[]'] = process.argv.slice(2);
const capture = await openCapture(path, spill === '' ? {} : { spill });
const budget = new Budget(capture.connection, 5000);
for (const sql of JSON.parse(statements) as string[]) {
  try {
    for await (const _ of (await execute(capture, sql, budget)).chunks());
  } catch {
    // What it is refused with is the business of other tests.
  }
}
budget.dispose();
capture.close();
