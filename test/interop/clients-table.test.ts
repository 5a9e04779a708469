/** docs/clients.md says what clients print: each cell is compared with a run of the real program. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ERROR_RESPONSES } from '../../src/ocsp/index.ts'
import {
  type ClientRun,
  type DemoFiles,
  type DemoName,
  demoFiles,
  describeClient,
  runClient,
  startParrot,
} from '../support/clients.ts'
import { PROJECT_ROOT, startServer, type TestServer } from '../support/server.ts'

interface Row {
  readonly answer: string
  /** One for each client. */
  readonly cells: readonly string[]
}

interface Question {
  readonly demo: DemoFiles
  readonly url: string
  readonly name: DemoName
}

/** In the order of the table's columns. */
const CLIENTS = [
  {
    version: ['openssl', 'version'],
    ask: ({ demo, url, name }: Question) =>
      runClient('openssl', [
        ...['ocsp', '-issuer', demo.issuer, '-cert', demo.certificate(name)],
        ...['-CAfile', demo.chain, '-url', `${url}/`],
      ]),
  },
  {
    version: ['ocsptool', '--version'],
    ask: ({ demo, url, name }: Question) =>
      runClient('ocsptool', [
        ...[`--ask=${url}/`, '--load-issuer', demo.issuer, '--load-cert', demo.certificate(name)],
        ...['--outfile', `${demo.certificate(name)}.answer`],
      ]),
  },
  {
    version: [process.execPath, 'bin/edge-ocsp.js', '--version'],
    ask: ({ demo, url, name }: Question) =>
      runClient(process.execPath, [
        ...['bin/edge-ocsp.js', 'query', demo.certificate(name), '--issuer', demo.issuer, '--url', url],
      ]),
  },
] as const satisfies readonly {
  version: readonly [string, ...string[]]
  ask: (question: Question) => Promise<ClientRun>
}[]

const NAMES: Readonly<Record<string, DemoName>> = {
  good: 'good',
  revoked: 'revoked',
  hold: 'hold',
  expired: 'expired',
  'never recorded': 'never',
  unknown: 'never',
}
const ERRORS = ['tryLater', 'internalError'] as const

const rows = readTable()
let server: TestServer
let demo: DemoFiles
beforeAll(async () => {
  server = await startServer()
  demo = demoFiles(server)
})
afterAll(async () => {
  await server.stop()
})

test('the table has a row for every answer and a column for every client', () => {
  expect(rows.map(({ answer }) => answer)).toEqual([...Object.keys(NAMES), ...ERRORS])
  for (const { answer, cells } of rows) expect(cells.length, answer).toBe(CLIENTS.length)
})

for (const [column, { version, ask }] of CLIENTS.entries()) {
  describeClient(version, () => {
    test.each(rows)('prints what docs/clients.md says for $answer', async ({ answer, cells }) => {
      const error = ERRORS.find((status) => status === answer)
      if (error !== undefined) {
        const parrot = await startParrot(ERROR_RESPONSES[error])
        compare(await ask({ demo, url: parrot.url, name: 'good' }), cells[column])
        await parrot.close()
        return
      }
      const name = NAMES[answer]
      if (name === undefined) throw new Error(`the table has an unknown answer: ${answer}`)
      const unknown = answer === 'unknown' ? 'unknown' : 'unauthorized'
      if (name === 'never') await server.admin('/issuers/demo', { policy: { unknown } }, 'PATCH')
      compare(await ask({ demo, url: server.url, name }), cells[column])
    })
  })
}

function compare(run: ClientRun, cell = ''): void {
  const quoted = [...cell.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text)
  expect(quoted.length).toBeGreaterThan(0)
  for (const text of quoted) expect(run.output).toContain(text)
  expect(cell).toMatch(new RegExp(`exit ${run.code}$`))
}

/** The first table of the page. */
function readTable(): readonly Row[] {
  const lines = readFileSync(join(PROJECT_ROOT, 'docs/clients.md'), 'utf8').split('\n')
  const begin = lines.findIndex((line) => line.startsWith('|---'))
  const end = lines.findIndex((line, at) => at > begin && !line.startsWith('|'))
  return lines.slice(begin + 1, end).map((line) => {
    const [answer = '', ...cells] = line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim())
    return { answer, cells }
  })
}
