import { mkdirSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseDriverVersion, readGpuInventory } from '../../src/discovery/gpu.js';
import { scratch } from './build.js';

const root = scratch();

test('no driver: nothing, and no failure', () => {
  expect(readGpuInventory(`${root}/absent`)).toEqual({ driverVersion: null, gpus: [] });
});

test('the inventory of a loaded driver', () => {
  writeFileSync(
    `${root}/version`,
    'NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.163.01  Tue Apr  8 12:41:17 UTC 2025\nGCC version:  gcc version 12.2.0\n',
  );
  const gpu = (busId: string, text: string) => {
    mkdirSync(`${root}/gpus/${busId}`, { recursive: true });
    writeFileSync(`${root}/gpus/${busId}/information`, text);
  };
  gpu(
    '0000:41:00.0',
    'Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 169\nGPU UUID: \t GPU-6d2c1a70-0000-4000-8000-0123456789ab\nVideo BIOS: \t 96.00.99\nBus Type: \t PCIe\nDevice Minor: \t 1\n',
  );
  gpu(
    '0000:01:00.0',
    'Model: \t\t NVIDIA A100\nGPU UUID: \t GPU-????????-????-????-????-????????????\nDevice Minor: \t 0\n',
  );
  expect(readGpuInventory(root)).toEqual({
    driverVersion: '550.163.01',
    gpus: [
      { busId: '0000:01:00.0', model: 'NVIDIA A100', uuid: null, minor: 0 },
      {
        busId: '0000:41:00.0',
        model: 'NVIDIA H100 80GB HBM3',
        uuid: 'GPU-6d2c1a70-0000-4000-8000-0123456789ab',
        minor: 1,
      },
    ],
  });
});

test('the open kernel module names its platform', () => {
  expect(
    parseDriverVersion('NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build'),
  ).toBe('580.65.06');
  expect(parseDriverVersion('something else')).toBeNull();
  expect(parseDriverVersion(null)).toBeNull();
});
