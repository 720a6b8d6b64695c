/** What `/etc/ingero/policy.yaml` says; schema/policy.schema.json describes each key. */
export interface Policy {
  host?: {
    kernel?: string;
    lockdown?: 'integrity' | 'confidentiality';
    required_capabilities?: readonly string[];
    forbidden_capabilities?: readonly string[];
  };
  packs?: {
    signed?: boolean;
    allow?: readonly { name?: string; sha256?: string; signer?: string }[];
  };
  capture?: { pointers?: Redaction; strings?: Redaction; command_lines?: 'drop' };
  targets?: {
    users?: readonly (string | number)[];
    cgroups?: readonly string[];
    executables?: readonly string[];
  };
  output?: { directories?: readonly string[] };
  updates?: { signers?: readonly string[] };
  limits?: { duration?: string; size?: string; overhead?: number };
}

export type Redaction = 'hash' | 'drop';

/** A policy as it was read. */
export interface PolicyFile {
  path: string;
  /** Of the text, hex. */
  sha256: string;
  policy: Policy;
}

/** What one rule says of a host or a trace. Names are stable: `limits.duration`. */
export interface Verdict {
  rule: string;
  ok: boolean;
  detail: string;
}
