import { listDirectory, readProcText } from './procfs.js';

/** One GPU as the NVIDIA kernel driver lists it. */
export interface GpuInfo {
  /** PCI address, e.g. `0000:01:00.0`. */
  busId: string;
  model: string | null;
  uuid: string | null;
  /** Minor number of its device node (/dev/nvidiaN); null when not told. */
  minor: number | null;
}

/** What /proc/driver/nvidia says. */
export interface GpuInventory {
  /** Kernel driver version, e.g. `550.163.01`; null when no NVIDIA driver is loaded. */
  driverVersion: string | null;
  gpus: GpuInfo[];
}

/** Reads the NVIDIA driver's inventory without calling anything; no driver gives no GPUs. */
export function readGpuInventory(root = '/proc/driver/nvidia'): GpuInventory {
  return {
    driverVersion: parseDriverVersion(readProcText(`${root}/version`)),
    gpus: listDirectory(`${root}/gpus`)
      .sort()
      .map((busId) => parseGpu(busId, readProcText(`${root}/gpus/${busId}/information`) ?? '')),
  };
}

/** `NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.163.01  ...` (also the open kernel module's form). */
export function parseDriverVersion(text: string | null): string | null {
  return text === null ? null : (/Kernel Module(?: for \S+)?\s+(\d+(?:\.\d+)+)/.exec(text)?.[1] ?? null);
}

function parseGpu(busId: string, information: string): GpuInfo {
  const field = (label: string) => {
    const value = new RegExp(`^${label}:\\s*(.+)$`, 'm').exec(information)?.[1]?.trim();
    // The driver writes question marks while a GPU has not been initialised.
    return value === undefined || /^(GPU-)?[?\s-]+$/.test(value) ? null : value;
  };
  const minor = field('Device Minor');
  return {
    busId,
    model: field('Model'),
    uuid: field('GPU UUID'),
    minor: minor !== null && /^\d+$/.test(minor) ? Number(minor) : null,
  };
}
