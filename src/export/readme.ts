/** The text that explains a folder of exported captures to whoever finds it. */
export const EXPORT_README = `# Exported captures of ingero

Calls of GPU programs, recorded on their hosts by \`ingero trace\` and written here by \`ingero export\`, as Parquet (zstd).

    table=TABLE/host=HOST/date=YYYY-MM-DD/CAPTURE_ID-N.parquet
    _manifests/CAPTURE_ID.json

Each TABLE is a data set of its own, partitioned by host and date (UTC; of the event, or of the start of the recording). A file
belongs to one capture and is complete once it is here; a capture is complete once its manifest is here, which lists its files with
rows and SHA-256.

- Keys (probe_id, process_id, library_id, stack_id, call_id, parent_id) count from the start in every capture: join by capture_id,
  run_id and the key.
- Times are UTC: TIMESTAMP in microseconds, and the exact nanoseconds since 1970 in a column NAME_ns beside it.
- Handles, addresses and sizes are DECIMAL(20, 0), since not every engine has unsigned 64-bit integers. Names and UUIDs are text.
- NULL is unknown, never 0.
- Layers see the same work: never sum over the column layer.

Start with table=capture (one row per recording: host, times, how it ended) and table=probe_accounting (was anything lost?).
docs/export.md and docs/schema/ of ingero describe the layout and every column.
`;
