/** Place of a value in a pack: keys and indexes from the root of the YAML document. */
export type PackPath = readonly (string | number)[];

/** A defect in a piece of C text. `offset` counts characters from the start of that text. */
export interface TextIssue {
  rule: string;
  message: string;
  offset: number;
  suggestion?: string;
}

/** A defect found in a pack, before it is tied to a line of the file. */
export interface PackIssue {
  rule: string;
  message: string;
  /** The value that is wrong. */
  at: PackPath;
  /** Point at the key rather than at its value. */
  key?: boolean;
  /** Character of the value the defect begins at, when the value is C text. */
  offset?: number;
  suggestion?: string;
}

/** Adds `suggestion` only when there is one: optional properties are never set to undefined. */
export function withSuggestion<T extends object>(issue: T, suggestion: string | undefined): T {
  return suggestion === undefined ? issue : { ...issue, suggestion };
}
