import { benchIngest } from './ingest.js';

const [rate, seconds] = process.argv.slice(2).map(Number);
console.log(await benchIngest(process.cwd(), '/tmp/exp/ingest.duckdb', rate ?? 1e6, seconds ?? 5));
