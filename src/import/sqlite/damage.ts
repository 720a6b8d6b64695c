/** Something in an SQLite file that is not as the file format says (sqlite.org, "Database File Format"). */
export class SqliteDamage extends Error {
  /** Page it was found on; 0 when it is not on one page. */
  readonly page: number;

  constructor(message: string, page = 0) {
    super(page === 0 ? message : `page ${page}: ${message}`);
    this.name = 'SqliteDamage';
    this.page = page;
  }
}

/** The file cannot be read at all, whatever would be given up: it is no SQLite file, or in use. */
export class SqliteRefusal extends Error {
  readonly kind: 'not-sqlite' | 'hot-journal' | 'changed';

  constructor(kind: SqliteRefusal['kind'], message: string) {
    super(message);
    this.name = 'SqliteRefusal';
    this.kind = kind;
  }
}
