/** The JavaScript of ingero as it is released: bundled, with every command loaded when it runs. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { parse } from 'yaml';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const manifest = JSON.parse(readFileSync(join(ROOT, 'oclif.manifest.json'), 'utf8'));

/** The module `ingero:commands`: every command by id, loaded when it runs. */
const commands = {
  name: 'commands',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^ingero:commands$/ }, () => ({ path: 'commands', namespace: 'ingero' }));
    onLoad({ filter: /.*/, namespace: 'ingero' }, () => ({
      resolveDir: ROOT,
      contents: `export const loaders = {${Object.entries(manifest.commands)
        .map(([id, { relativePath }]) => {
          const source = ['.', 'src', ...relativePath.slice(1)].join('/');
          return `${JSON.stringify(id)}: () => import(${JSON.stringify(source)})`;
        })
        .join(',')}};`,
    }));
  },
};

/** Values of the YAML files that ship, as JSON, by the SHA-256 of their text. */
export function shippedValues() {
  const texts = ['probes', 'schema'].flatMap((folder) =>
    readdirSync(join(ROOT, folder))
      .filter((name) => name.endsWith('.yaml'))
      .sort()
      .map((name) => readFileSync(join(ROOT, folder, name), 'utf8')),
  );
  return Object.fromEntries(
    texts.map((text) => [createHash('sha256').update(text).digest('hex'), JSON.stringify(parse(text))]),
  );
}

/** src/shipped-values.ts with these values. */
const shippedYaml = {
  name: 'shipped-yaml',
  setup({ onLoad }) {
    onLoad({ filter: /\/src\/shipped-values\.ts$/ }, () => ({
      contents: `export const SHIPPED_VALUES = ${JSON.stringify(shippedValues())};`,
    }));
  },
};

/** Writes the bundle into a folder; its entry is ingero.js. Needs a fresh oclif.manifest.json. Returns what esbuild says of its inputs. */
export async function bundleCode(outdir) {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: {
      ingero: 'packaging/release/main.ts',
      'recorder-worker': 'src/capture/recorder-worker.ts',
      'returns-trial-worker': 'src/trust/returns-trial-worker.ts',
    },
    outdir,
    chunkNames: 'part-[hash]',
    bundle: true,
    // Splitting keeps `import()` lazy: a command loads only the parts it needs.
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external: ['koffi', '@duckdb/node-bindings'],
    // Bundled CommonJS packages call require() for Node's own modules.
    banner: {
      js: "import { createRequire } from 'node:module';\nconst require = createRequire(import.meta.url);",
    },
    plugins: [commands, shippedYaml],
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning',
  });
  return metafile;
}
