export { SqliteDamage, SqliteRefusal } from './damage.js';
export { type ScanLoss, SqliteDatabase, type SqliteTable } from './database.js';
export type { RowView } from './record.js';
