/** Identities of the processes of a run: `process_id`, from 1 in order of appearance. */
export class ProcessIds {
  readonly #current = new Map<number, number>();

  /** Identity of the process that has this pid now. */
  idOf(pid: number): number {
    const known = this.#current.get(pid);
    if (known !== undefined) return known;
    const id = this.#current.size + 1;
    this.#current.set(pid, id);
    return id;
  }
}
