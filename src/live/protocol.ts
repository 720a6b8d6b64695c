/**
 * What a reader and the recorder say to each other, a line each. No data of the capture passes: the reader copies the
 * file itself, with its own permissions, while the recorder keeps it as it is.
 *
 *     reader                      recorder
 *     "hold 1\n"                  {"held":true,"as_of_ns":"1795560148408361442"}   everything seen by then is in the file
 *     "done\n"                    {"valid":true}                                   the file stayed as it was all the time
 *
 * A recorder that has to go on (the end of the trace, a reader that takes too long) closes the connection instead.
 */
export const HOLD = 'hold 1';
export const DONE = 'done';

export interface Held {
  held: true;
  /** Wall clock, ns since 1970. */
  as_of_ns: string;
}

export interface Valid {
  valid: true;
}
