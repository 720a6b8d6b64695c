/** The capabilities a trace may have to do with, by the names and bits of linux/capability.h. */
export const CAPABILITIES = {
  CAP_DAC_OVERRIDE: 1,
  CAP_DAC_READ_SEARCH: 2,
  CAP_SYS_PTRACE: 19,
  CAP_SYS_ADMIN: 21,
  CAP_PERFMON: 38,
  CAP_BPF: 39,
  CAP_CHECKPOINT_RESTORE: 40,
} as const;

export type Capability = keyof typeof CAPABILITIES;

/** Every capability, in the order of its bits. */
const NAMES =
  'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE';

/** Bits by name. */
export const CAPABILITY_BITS: Readonly<Record<string, number>> = Object.fromEntries(
  NAMES.split(' ').map((name, bit) => [`CAP_${name}`, bit]),
);

/** A set of capabilities as the bits of CapEff in /proc/PID/status. */
export function capabilitySet(names: readonly Capability[]): bigint {
  return names.reduce((set, name) => set | (1n << BigInt(CAPABILITIES[name])), 0n);
}
