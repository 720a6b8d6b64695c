/** JSON of the YAML files that ship, by the SHA-256 of their text. The bundle has them (packaging/code.mjs); run from its sources, ingero parses. */
export const SHIPPED_VALUES: Readonly<Record<string, string>> = {};
