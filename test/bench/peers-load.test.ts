import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createSocket, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { parseCoreList, pinned } from '../../bench/peers/cores.ts'
import { LOAD_GENERATOR, loader, parse, requestOctets } from '../../bench/peers/load.ts'
import { selfTimes } from '../../bench/peers/profile.ts'

const servers: Server[] = []

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))))
})

async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<number> {
  const server = createServer(answer)
  return await listen(server)
}

async function listen(server: Server): Promise<number> {
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address: AddressInfo | string | null = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('no address')
  return address.port
}

describe(`the load by ${LOAD_GENERATOR}`, () => {
  test('asks GET and POST in turn, octet for octet, and keeps answers', async () => {
    const asked = new Set<string>()
    const port = await serve((request, response) => {
      const parts: Buffer[] = []
      request.on('data', (part) => parts.push(part))
      request.on('end', () => {
        const body = Buffer.concat(parts)
        asked.add(`${request.method} ${request.url} ${body.toString('hex')}`)
        response.end(Buffer.of(0x30, 0x00, 0xff))
      })
    })
    const seen = await loader(undefined)({
      port,
      exchanges: [{ path: '/AB%2FC' }, { path: '/', body: Uint8Array.of(0, 10, 13, 255) }],
      seconds: 1,
      close: false,
    })
    expect([...asked].sort()).toEqual(['GET /AB%2FC ', 'POST / 000a0dff'])
    expect(seen).toMatchObject({ not200: 0, broken: 0 })
    expect(seen.answers).toBeGreaterThan(2)
    expect(seen.samples.length).toBeGreaterThan(1)
    for (const sample of seen.samples) expect(sample).toEqual(Uint8Array.of(0x30, 0x00, 0xff))
    expect(seen.p50).toBeGreaterThan(0)
    expect(seen.p99).toBeGreaterThanOrEqual(seen.p50)
  })

  test('counts every status that is not 200, a redirect too', async () => {
    const port = await serve((_, response) => {
      response.writeHead(301, { location: '/' })
      response.end('x')
    })
    const seen = await loader(undefined)({ port, exchanges: [{ path: '/a' }], seconds: 1, close: false })
    expect(seen.answers).toBeGreaterThan(0)
    expect(seen.not200).toBe(seen.answers)
  })

  test('makes a connection for each exchange when told so', async () => {
    let exchanges = 0
    const port = await serve((_, response) => {
      exchanges += 1
      response.end('x')
    })
    const [server] = servers
    let connections = 0
    server?.on('connection', () => {
      connections += 1
    })
    const seen = await loader(undefined)({ port, exchanges: [{ path: '/a' }], seconds: 1, close: true })
    expect(seen).toMatchObject({ not200: 0, broken: 0 })
    expect(exchanges).toBeGreaterThanOrEqual(seen.answers)
    expect(connections).toBeGreaterThanOrEqual(exchanges)
  })
})

describe('the client in Node', () => {
  const run = (port: number, list: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const script = join(import.meta.dirname, '../../bench/peers/node-load.ts')
      execFile(process.execPath, [script, `${port}`, '1', list], (error, stdout) =>
        error === null ? resolve(stdout) : reject(error),
      )
    })

  test('counts answers and other statuses, and keeps bodies, as wrk does', async () => {
    let posts = 0
    const port = await serve((request, response) => {
      request.resume()
      request.on('end', () => {
        if (request.method === 'POST') posts += 1
        response.statusCode = request.url === '/bad' ? 404 : 200
        response.end(Buffer.of(1, 2))
      })
    })
    const folder = mkdtempSync(join(tmpdir(), 'edge-ocsp-test-load-'))
    try {
      const list = join(folder, 'list')
      const requests = [
        requestOctets({ path: '/', body: Uint8Array.of(10, 10) }, port, false),
        requestOctets({ path: '/bad' }, port, false),
      ]
      writeFileSync(list, Buffer.concat(requests.flatMap((made) => [Buffer.from(`${made.length}\n`), made])))
      const seen = parse(await run(port, list))
      expect(seen.broken).toBe(0)
      expect(seen.answers).toBeGreaterThan(2)
      expect(Math.abs(seen.not200 - seen.answers / 2)).toBeLessThanOrEqual(16)
      expect(posts).toBeGreaterThan(0)
      expect(seen.samples[0]).toEqual(Uint8Array.of(1, 2))
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  test('counts connections that end before the answer', async () => {
    const port = await listen(createSocket((socket) => socket.once('data', () => socket.destroy())))
    const folder = mkdtempSync(join(tmpdir(), 'edge-ocsp-test-load-'))
    try {
      const list = join(folder, 'list')
      const made = requestOctets({ path: '/' }, port, false)
      writeFileSync(list, Buffer.concat([Buffer.from(`${made.length}\n`), made]))
      const seen = parse(await run(port, list))
      expect(seen.answers).toBe(0)
      expect(seen.broken).toBeGreaterThan(0)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})

test('a generator that says nothing is a fault, not a figure', () => {
  expect(() => parse('unable to connect')).toThrow('gave no result: unable to connect')
  expect(parse('x\nRESULT 10 1 2 2000000 1500 3000 0.5\n3003\n')).toEqual({
    answers: 10,
    not200: 1,
    broken: 2,
    duration: 2,
    p50: 1.5,
    p99: 3,
    processor: 0.5,
    samples: [Uint8Array.of(0x30, 0x03)],
  })
})

test('cores are read as the kernel writes them, and pinned by taskset', () => {
  expect(parseCoreList('0-2,5')).toEqual([0, 1, 2, 5])
  expect(parseCoreList('')).toEqual([])
  expect(pinned(3, 'wrk', ['-t1'])).toEqual(['taskset', ['-c', '3', 'wrk', '-t1']])
  expect(pinned(undefined, 'wrk', ['-t1'])).toEqual(['wrk', ['-t1']])
})

test('a profile is summed up by function, without idle time', () => {
  const frame = (functionName: string) => ({ functionName, url: 'index.js', lineNumber: 6 })
  const nodes = [
    { id: 1, callFrame: frame('(program)') },
    { id: 2, callFrame: frame('respond') },
    { id: 3, callFrame: frame('respond') },
    { id: 4, callFrame: frame('(idle)') },
    { id: 5, callFrame: frame('') },
  ]
  const profile = { nodes, samples: [1, 2, 3, 4, 5], timeDeltas: [600, 100, 200, 5000, 100] }
  expect(selfTimes(profile)).toEqual([
    { name: '(program)', share: 0.6 },
    { name: 'respond', share: 0.3 },
    { name: '(anonymous, line 7)', share: 0.1 },
  ])
})
