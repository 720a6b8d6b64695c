import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { describe, expect, test } from 'vitest';

/** Set by packaging/test.sh when it has put the tests into an empty network namespace. */
const isWithout = process.env.INGERO_TEST_NETWORK === 'none';

/** An address of documentation (RFC 5737): nobody has it. Where there is a route, an attempt fails in other ways. */
const ELSEWHERE = '192.0.2.1';

describe.skipIf(!isWithout)('the tests run without a network', () => {
  test('there is a loopback device and nothing else', () => {
    // Those that are up: some kernels put tunnels that are down into every namespace.
    expect(Object.keys(networkInterfaces())).toEqual(['lo']);
    const routes = readFileSync('/proc/net/route', 'utf8').trim().split('\n').slice(1);
    expect(routes).toEqual([]);
  });

  test('no address is reached and no name is resolved', async () => {
    const failure = async (socket: Socket): Promise<unknown> => (await once(socket, 'error')).at(0);
    expect(await failure(connect(443, ELSEWHERE))).toMatchObject({ code: 'ENETUNREACH' });
    await expect(lookup('registry.npmjs.org')).rejects.toThrow(/EAI_AGAIN|ENOTFOUND/);
  });

  test('tests that need sockets of this host have them', async () => {
    const server = createServer((peer) => peer.end('here'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const [said] = (await once(connect(port, '127.0.0.1'), 'data')) as [Buffer];
    server.close();
    expect(said.toString()).toBe('here');
  });
});
