/** Version of the capture schema this ingero writes and the newest it reads. */
export const SCHEMA_VERSION = 2;
