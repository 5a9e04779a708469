import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { processesWithEnvironment } from '../../src/cli/dev/processes.ts'
import { buildWorker } from '../../src/cli/dev/worker-bundle.ts'
import { PROJECT_ROOT, startServer, type TestServer } from '../support/server.ts'

const NAMES = ['good', 'revoked', 'hold', 'expired', 'never'] as const
const mode = (path: string) => statSync(path).mode & 0o777

describe('npm start, the first time', () => {
  let server: TestServer
  beforeAll(async () => {
    server = await startServer()
  })
  afterAll(async () => {
    await server.stop()
  })

  test('says where it serves, once, when it serves', async () => {
    expect(server.output().match(/^ready .*$/gm)).toEqual([`ready ${server.url}`])
    expect(server.output().split('\n')[0]).toContain(server.url)
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200)
    expect(readFileSync(join(server.state, 'url'), 'utf8').trim()).toBe(server.url)
  })

  test('keeps folders to their owner, and secrets and keys too', () => {
    expect([server.state, join(server.state, 'demo')].map(mode)).toEqual([0o700, 0o700])
    for (const name of ['admin-token', 'key-encryption-key', 'lock'])
      expect(mode(join(server.state, name)), name).toBe(0o600)
    const keys = readdirSync(join(server.state, 'demo')).filter((name) => name.includes('key'))
    expect(keys.length).toBe(8)
    for (const name of keys) expect(mode(join(server.state, 'demo', name)), name).toBe(0o600)
  })

  test.each([
    ['good', 0, ['good.pem: good', 'Response verify OK']],
    ['revoked', 1, ['revoked.pem: revoked', 'Reason: keyCompromise', 'Response verify OK']],
    ['hold', 2, ['hold.pem: revoked', 'Reason: certificateHold', 'Response verify OK']],
    ['expired', 3, ['expired.pem: good', 'Response verify OK']],
    ['never', 4, ['Responder Error: unauthorized (6)']],
  ])('prints a line for the %s certificate that works when pasted', async (name, place, expected) => {
    const lines = server.openssl()
    expect(lines.length).toBe(NAMES.length)
    expect(lines[place]).toContain(`/${name}.pem`)
    const { output } = await paste(lines[place] ?? '')
    for (const part of expected) expect(output).toContain(part)
  })

  test('prints a GET that caches could keep, and shows the answer', async () => {
    const line = server
      .output()
      .split('\n')
      .find((text) => text.startsWith('curl'))
    const { output } = await paste(line ?? '')
    expect(output).toContain('HTTP/1.1 200 OK')
    expect(output).toMatch(/Cache-Control: max-age=\d+, public, no-transform, must-revalidate/i)
    expect(output).toContain('certStatus: good')
  })

  test('answers from what it signed beforehand, and logs each exchange in one line', async () => {
    await paste(server.openssl()[0] ?? '')
    expect(server.output()).toMatch(
      /^\d\d:\d\d:\d\d {2}POST good from (bundle|memory|cache), SHA-1, \d+ octets$/m,
    )
  })

  test('serves the certificate of the issuer where the demonstration certificates say it is', async () => {
    const { output } = await paste(
      `openssl x509 -in ${server.state}/demo/good.pem -noout -ext authorityInfoAccess`,
    )
    const url = /CA Issuers - URI:(\S+)/.exec(output)?.[1]
    expect(output).toContain(`OCSP - URI:${server.url}/`)
    const der = await paste(`curl -sf ${url} | openssl x509 -inform DER -noout -subject`)
    expect(der.output).toContain('Issuing CA')
  })

  test('is ready by its own judgement once the first cron run is done', async () => {
    await until(async () => (await fetch(`${server.url}/readyz`)).status === 200)
  })

  test('refuses a second instance over the same state, naming the first and the way out', async () => {
    const { code, output } = await cli('dev', '--port', '0', '--state', server.state)
    expect(code).toBe(2)
    expect(output).toContain(`process ${server.pid}`)
    expect(output).toContain(server.url)
    expect(output).toContain('--state DIR')
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200)
  })

  test('revokes by the printed command, at once', async () => {
    const line = server
      .output()
      .split('\n')
      .find((text) => text.startsWith('npx edge-ocsp revoke'))
    expect((await paste(line ?? '')).output).toContain('is revoked: keyCompromise')
    const { output } = await paste(server.openssl()[0] ?? '')
    expect(output).toContain('good.pem: revoked')
    expect(output).toContain('Response verify OK')
  })
})

describe('npm start, again', () => {
  test('keeps all data over SIGTERM and over SIGKILL, on the same port (law 3)', async () => {
    const first = await startServer()
    const good = await readSerial(first, 'good')
    await first.admin('/issuers/demo/revocations', { serial: good, reason: 'superseded' })
    const before = await world(first)
    expect(await first.stop({ keep: true })).toBe(0)
    expect(existsSync(join(first.state, 'lock'))).toBe(false)

    const port = Number(new URL(first.url).port)
    const second = await startServer({ state: first.state, port })
    expect(second.url).toBe(first.url)
    expect(await world(second)).toEqual(before)
    await second.admin('/issuers/demo/releases', { serial: await readSerial(second, 'hold') })
    const changed = await world(second)
    await second.kill9()
    expect(orphans(first.state)).toBe(1)

    const third = await startServer({ state: first.state, port })
    expect(orphans(first.state)).toBe(1)
    expect(await world(third)).toEqual(changed)
    expect((await paste(third.openssl()[0] ?? '')).output).toContain('Reason: superseded')
    expect((await paste(third.openssl()[2] ?? '')).output).toContain('hold.pem: good')
    await third.stop()
    expect(orphans(first.state)).toBe(0)
    rmSync(first.state, { recursive: true, force: true })
  })

  test('completes what a SIGKILL in the middle of the first start left undone', async () => {
    const state = mkdtempSync(join(tmpdir(), 'edge-ocsp-test-'))
    for (const milliseconds of [300, 900, 1500, 2100]) {
      const child = spawn(process.execPath, ['src/cli/main.ts', 'dev', '--port', '0', '--state', state], {
        cwd: PROJECT_ROOT,
        stdio: 'ignore',
      })
      await new Promise((resolve) => setTimeout(resolve, milliseconds))
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    const server = await startServer({ state })
    const outputs = await Promise.all(server.openssl().map(async (line) => (await paste(line)).output))
    expect(outputs.map((output) => /: (good|revoked|unauthorized)/.exec(output)?.[1])).toEqual([
      'good',
      'revoked',
      'revoked',
      'good',
      'unauthorized',
    ])
    await server.stop()
    rmSync(state, { recursive: true, force: true })
  })

  test('ends within seconds when npm was killed over it, and starts again on the same port', async () => {
    const state = mkdtempSync(join(tmpdir(), 'edge-ocsp-test-'))
    const port = await freePort()
    const start = async () => {
      const npm = spawn('npm', ['start', '--', '--port', String(port), '--state', state, '--no-demo'], {
        cwd: PROJECT_ROOT,
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      let output = ''
      npm.stdout.on('data', (chunk) => {
        output += chunk
      })
      await until(async () => output.includes(`ready http://127.0.0.1:${port}`))
      return npm
    }
    const first = await start()
    first.kill('SIGKILL')
    await once(first, 'exit')
    const second = await start()
    expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200)
    second.kill('SIGINT') // npm hands it on
    await once(second, 'exit')
    await until(async () => orphans(state) === 0)
    rmSync(state, { recursive: true, force: true })
  })

  test('applies --validity to the demonstration that is there', async () => {
    const first = await startServer()
    expect(await validitySeconds(first)).toBeGreaterThan(86_400)
    await first.stop({ keep: true })
    const second = await startServer({ state: first.state, validity: '4m' })
    expect(await validitySeconds(second)).toBeLessThan(240)
    await second.stop()
    const third = await startServer({ state: first.state })
    expect(await validitySeconds(third)).toBeLessThan(240)
    await third.stop()
    rmSync(first.state, { recursive: true, force: true })
  })
})

describe('npm start with options', () => {
  test('--no-demo starts empty and says how to go on', async () => {
    const server = await startServer({ demo: false })
    expect(await server.admin('/issuers')).toEqual({ issuers: [], next: null })
    expect(existsSync(join(server.state, 'demo'))).toBe(false)
    expect(server.output()).toContain('npx edge-ocsp issuer add')
    await server.stop()
  })

  test('--json and --host 0.0.0.0: one object a line, with the commands', async () => {
    const state = mkdtempSync(join(tmpdir(), 'edge-ocsp-test-'))
    const child = spawn(
      process.execPath,
      ['src/cli/main.ts', 'dev', '--json', '--host', '0.0.0.0', '--port', '0', '--state', state],
      { cwd: PROJECT_ROOT, stdio: ['ignore', 'pipe', 'inherit'] },
    )
    let output = ''
    child.stdout.on('data', (chunk) => {
      output += chunk
    })
    await until(async () => output.includes('"ready"'))
    child.kill('SIGTERM')
    await once(child, 'exit')
    const events = output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    const ready = events.find(({ event }) => event === 'ready')
    expect(ready).toMatchObject({
      url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
      commands: NAMES.map((name) => ({ name })),
    })
    rmSync(state, { recursive: true, force: true })
  })

  test.each([
    ['a port that is taken', async () => ['--port', String(await takenPort())], 'is in use'],
    ['an address that is not ours', async () => ['--host', '192.0.2.1', '--no-demo'], '192.0.2.1'],
    ['a demonstration on a network address alone', async () => ['--host', '192.0.2.1'], '--host 0.0.0.0'],
    ['a state folder that is a file', async () => ['--port', '0', '--state', 'package.json'], 'package.json'],
  ])('refuses %s in words, with exit code 2', async (_what, options, words) => {
    const state = mkdtempSync(join(tmpdir(), 'edge-ocsp-test-'))
    const { code, output } = await cli('dev', '--state', state, ...(await options()))
    expect(code).toBe(2)
    expect(output).toContain(words)
    expect(output).not.toContain('    at ')
    expect(existsSync(join(state, 'lock'))).toBe(false)
    rmSync(state, { recursive: true, force: true })
  })
})

test('runs the very module that wrangler deploys', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'edge-ocsp-dry-'))
  const { code, output } = await run('wrangler', ['deploy', '--dry-run', '--outdir', folder])
  expect(code, output).toBe(0)
  const deployed = readFileSync(join(folder, 'index.js'), 'utf8').replace(
    /\n?\/\/# sourceMappingURL=.*\n?$/,
    '',
  )
  expect((await buildWorker()).code.trimEnd() === deployed.trimEnd()).toBe(true)
  rmSync(folder, { recursive: true, force: true })
})

/** Runs a line as a shell would, in the folder where npm start runs. Both streams. */
async function paste(line: string): Promise<{ code: number; output: string }> {
  return await run('sh', ['-c', line])
}

async function cli(...args: readonly string[]): Promise<{ code: number; output: string }> {
  return await run(process.execPath, ['src/cli/main.ts', ...args])
}

async function run(program: string, args: readonly string[]): Promise<{ code: number; output: string }> {
  const env = { ...process.env, WRANGLER_SEND_METRICS: 'false', CI: '1' }
  return await new Promise((resolve) => {
    execFile(program, args, { cwd: PROJECT_ROOT, env, timeout: 60_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
      resolve({ code, output: `${stdout}${stderr}` })
    })
  })
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 60_000
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error('not within a minute')
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

/** workerd processes that carry this state folder. */
function orphans(state: string): number {
  return processesWithEnvironment('EDGE_OCSP_DEV_STATE', state).length
}

/** Everything recorded: issuers and the status of each demonstration certificate. */
async function world(server: TestServer): Promise<unknown> {
  const serials = await Promise.all(
    NAMES.filter((name) => name !== 'never').map((name) => readSerial(server, name)),
  )
  return {
    token: server.token,
    issuers: await server.admin('/issuers'),
    certificates: await Promise.all(
      serials.map((serial) => server.admin(`/issuers/demo/certificates/${serial}`)),
    ),
  }
}

async function readSerial(server: TestServer, name: string): Promise<string> {
  const { output } = await paste(`openssl x509 -in ${server.state}/demo/${name}.pem -noout -serial`)
  return output.trim().replace('serial=', '').toLowerCase()
}

/** nextUpdate - thisUpdate of the good certificate's answer. */
async function validitySeconds(server: TestServer): Promise<number> {
  const { output } = await paste(server.openssl()[0] ?? '')
  const time = (field: string) => Date.parse(new RegExp(`${field}: (.*)`).exec(output)?.[1] ?? '') / 1000
  return time('Next Update') - time('This Update')
}

async function takenPort(): Promise<number> {
  const server = createServer().unref().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  return typeof address === 'object' && address !== null ? address.port : 0
}
