import { available } from '../../packs/support/tools.js';

/** Whether packages for AArch64 are built as well: on x86-64, where a compiler for it is installed. */
export const BUILDS_ARM64 = process.arch === 'x64' && available('aarch64-linux-gnu-gcc', '--version');
