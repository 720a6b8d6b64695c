/**
 * Lists every place in the JavaScript of a release that could reach a network, with the module it comes from and why it
 * does not; fails on any that is not on the list below. It reads what is shipped, so it needs no sources: esbuild leaves
 * the path of each module above its code. What is not JavaScript (Node.js, DuckDB, koffi, libbpf) is held by the seal.
 *
 * Usage: node packaging/network-audit.mjs [RELEASE]      (default: build/release; also /usr/lib/ingero)
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Node.js's modules that open sockets, or load others that do. */
const MODULES = 'net|http|https|http2|tls|dgram|dns|dns/promises|inspector|inspector/promises|cluster|undici';
/** What counts as a way to a network. */
const WAYS = [
  // import ... from "net", import("net"), require("net"), __require("net"), getBuiltinModule("net")
  new RegExp(
    `(?:\\bfrom|\\bimport|require\\w*|getBuiltinModule)\\s*\\(?\\s*["'\`](?:node:)?(?:${MODULES})["'\`]`,
  ),
  /\b(?:fetch|XMLHttpRequest|WebSocket|EventSource|WebTransport|sendBeacon)\b/,
  // A module by a name that is not written there.
  /\b(?:import|require\d*|__require|getBuiltinModule)\s*\((?!\s*(?:["'`]|\/\*|\)))/,
  /\bprocess\.(?:binding|_linkedBinding|dlopen)\b/,
];

/** Lines that are there, by module, and why they reach nothing. A line that is gone has to go from here, too. */
const ALLOWED = [
  {
    why: 'AF_UNIX: a query asks the recorder over a socket beside the capture',
    module: 'src/live/client.ts',
    lines: ['import { connect } from "node:net";'],
  },
  {
    why: 'AF_UNIX: the recorder answers there',
    module: 'src/live/server.ts',
    lines: ['import { connect, createServer } from "node:net";'],
  },
  {
    why: 'a local function of that name, which loads a command of the bundle',
    module: 'node_modules/@oclif/core/lib/config/plugin.js',
    lines: ['const fetch = async () => {', 'const cmd = await fetch();'],
  },
  ...[
    ['lib/index.js', ['const pjson = __require(path.join(root, "package.json"));']],
    [
      'lib/module-loader.js',
      [
        'return isESM ? await import((0, node_url_1.pathToFileURL)(filePath).href) : __require(filePath);',
        'const module2 = isESM ? await import((0, node_url_1.pathToFileURL)(filePath).href) : __require(filePath);',
        'const module2 = isESM ? await import((0, node_url_1.pathToFileURL)(filePath).href) : __require(filePath);',
      ],
    ],
    [
      'lib/config/ts-path.js',
      ['const { register } = await import(href);', 'tsNode = __require(tsNodePath);'],
    ],
    ['lib/util/find-root.js', ['pnp = __require(__require.resolve("pnpapi", { paths: [root] }));']],
    ['lib/util/read-tsconfig.js', ['typescript = __require(root + "/node_modules/typescript");']],
  ].map(([file, lines]) => ({
    why: 'files of plugins and TypeScript projects; ingero is one bundle without either',
    module: `node_modules/@oclif/core/${file}`,
    lines,
  })),
  {
    why: 'configuration files of plugins; ingero has none',
    module: 'node_modules/lilconfig/src/index.js',
    lines: ['const mod = await import('],
  },
  ...['index.cjs', 'index.js', 'indirect.cjs', 'indirect.js'].map((file) => ({
    why: 'its own machine code, which is a package beside it',
    module: `node_modules/koffi/src/koffi/${file}`,
    lines: ['native2 = require2(name);'],
  })),
  {
    why: 'an install script, which is not run and could start no program',
    module: 'node_modules/koffi/cnoke.cjs',
    lines: [
      'let proc = (0, import_node_child_process.spawnSync)(process.execPath, ["-e", "require(process.argv[1])", package_dir]);',
    ],
  },
  ...['x64', 'arm64'].map((arch) => ({
    why: 'its own machine code, a file beside it',
    module: `node_modules/@koromix/koffi-linux-${arch}/index.js`,
    lines: ['module.exports = require(BINARIES[libc]);', 'module.exports = require(filename);'],
    // Packages hold one architecture.
    optional: true,
  })),
];

/** Every such line of a release: `{ module, line }`, in the order of the files. */
export function waysOut(release) {
  return scripts(release).flatMap(({ name, text }) => {
    let module = name;
    return text.split('\n').flatMap((line) => {
      const above = /^\s*\/\/ ((?:src|packaging|node_modules)\/\S+|ingero:commands)$/.exec(line);
      if (above !== null && name.startsWith('lib/')) module = above[1];
      const code = line.trim();
      return /^(?:\/\/|\*|\/\*)/.test(code) || !WAYS.some((way) => way.test(code))
        ? []
        : [{ module, line: code }];
    });
  });
}

/** All JavaScript of a release, but the sources of a native package's build that nothing loads. */
function scripts(release) {
  return ['lib', 'node_modules'].flatMap((folder) =>
    readdirSync(join(release, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.[cm]?js$/.test(name))
      .sort()
      .map((name) => ({
        name: folder === 'lib' ? `lib/${name}` : `node_modules/${name}`,
        text: readFileSync(join(release, folder, name), 'utf8'),
      })),
  );
}

/** Compares what is there with the list: `{ known: [{ module, line, why }], unknown: [{ module, line }], stale: [...] }`. */
export function audit(found) {
  const left = ALLOWED.flatMap(({ lines, ...entry }) => lines.map((line) => ({ ...entry, line })));
  const [known, unknown] = [[], []];
  for (const { module, line } of found) {
    const at = left.findIndex((entry) => entry.module === module && entry.line === line);
    if (at < 0) unknown.push({ module, line });
    else known.push(...left.splice(at, 1));
  }
  return { known, unknown, stale: left.filter(({ optional }) => optional !== true) };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const release = resolve(process.argv[2] ?? fileURLToPath(new URL('../build/release', import.meta.url)));
  const { known, unknown, stale } = audit(waysOut(release));
  for (const { module, line, why } of known) console.log(`${module}: ${line}\n    ${why}`);
  for (const { module, line } of unknown) console.error(`${module}: ${line}\n    NOT ON THE LIST`);
  for (const { module, line } of stale) console.error(`${module}: ${line}\n    on the list, and not there`);
  process.exitCode = unknown.length + stale.length === 0 ? 0 : 1;
}
