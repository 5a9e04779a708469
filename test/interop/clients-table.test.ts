/**
 * docs/clients.md says what clients print: each cell of its first table is compared with a run of the real program.
 * UPDATE_DOCS=1 writes the table from what was seen instead.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
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

interface Question {
  readonly demo: DemoFiles
  readonly url: string
  readonly name: DemoName
}

interface Client {
  readonly title: string
  readonly version: readonly [string, ...string[]]
  /** What in its output tells one answer from another: the first group, or all of the match. In the order of a cell. */
  readonly telling: readonly RegExp[]
  ask(question: Question): Promise<ClientRun>
}

/** In the order of the table's columns. */
const CLIENTS: readonly Client[] = [
  {
    title: '`openssl ocsp`',
    version: ['openssl', 'version'],
    telling: [
      /^Response [Vv]erify .+$/m,
      /^Responder Error: .+$/m,
      /([^/\s]+: (?:good|revoked|unknown))$/m,
      /Reason: .+$/m,
      /Revocation Time:/,
      /^WARNING: .+$/m,
    ],
    ask: ({ demo, url, name }) =>
      runClient('openssl', [
        ...['ocsp', '-issuer', demo.issuer, '-cert', demo.certificate(name)],
        ...['-CAfile', demo.chain, '-url', `${url}/`],
      ]),
  },
  {
    title: '`ocsptool`',
    version: ['ocsptool', '--version'],
    telling: [
      /Response Status: .+$/m,
      /Certificate Status: .+$/m,
      /Revocation time:/,
      /^Verifying OCSP Response: .+$/m,
    ],
    ask: ({ demo, url, name }) =>
      runClient('ocsptool', [
        ...[`--ask=${url}/`, '--load-issuer', demo.issuer, '--load-cert', demo.certificate(name)],
        ...['--outfile', `${demo.certificate(name)}.answer`],
      ]),
  },
  {
    title: '`edge-ocsp query`',
    version: [process.execPath, 'bin/edge-ocsp.js', '--version'],
    telling: [/^(Status: .+?)(?: at .+)?$/m, /\bverified$/m, /: (never recorded, [^(]+?) \(/],
    ask: ({ demo, url, name }) =>
      runClient(process.execPath, [
        ...['bin/edge-ocsp.js', 'query', demo.certificate(name), '--issuer', demo.issuer, '--url', url],
      ]),
  },
]

const NAMES: Readonly<Record<string, DemoName>> = {
  good: 'good',
  revoked: 'revoked',
  hold: 'hold',
  expired: 'expired',
  'never recorded': 'never',
  unknown: 'never',
}
const ERRORS = ['tryLater', 'internalError', 'malformedRequest'] as const
const ANSWERS: readonly string[] = [...Object.keys(NAMES), ...ERRORS]

const PAGE = join(PROJECT_ROOT, 'docs/clients.md')
const UPDATE = process.env['UPDATE_DOCS'] === '1'
const page = readFileSync(PAGE, 'utf8')
const table = parseTable(page)
/** By title of the client, then by answer. */
const seen = new Map<string, Map<string, string>>()

let server: TestServer
let demo: DemoFiles
beforeAll(async () => {
  server = await startServer()
  demo = demoFiles(server)
})
afterAll(async () => {
  await server.stop()
  if (UPDATE) writeFileSync(PAGE, updated())
})

test('the table has a row for every answer and a column for every client', (context) => {
  if (UPDATE) context.skip('UPDATE_DOCS=1: the table is written, not compared')
  expect([...table.keys()]).toEqual(ANSWERS)
  for (const [answer, cells] of table)
    expect([...cells.keys()], answer).toEqual(CLIENTS.map(({ title }) => title))
})

for (const { title, version, telling, ask } of CLIENTS) {
  describeClient(version, () => {
    const cells = new Map<string, string>()
    seen.set(title, cells)
    test.each(ANSWERS)('prints what docs/clients.md says for %s', async (answer) => {
      const run = await provoke(answer, ask)
      const lines = telling.flatMap((pattern) => {
        const match = pattern.exec(run.output)
        return match === null ? [] : [`\`${match[1] ?? match[0]}\``]
      })
      expect(lines.length).toBeGreaterThan(0)
      cells.set(answer, [...lines, `exit ${run.code}`].join(', '))
      if (UPDATE) return
      const cell = table.get(answer)?.get(title) ?? ''
      // Other versions may say more; what the page quotes they must say too.
      const release = releaseOf(version)
      if (release === undefined || releasesIn(page).includes(release)) expect(cell).toBe(cells.get(answer))
      const quoted = [...cell.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text)
      for (const text of quoted) expect(run.output).toContain(text)
      expect(cell).toMatch(new RegExp(`exit ${run.code}$`))
    })
  })
}

async function provoke(answer: string, ask: Client['ask']): Promise<ClientRun> {
  const error = ERRORS.find((status) => status === answer)
  if (error !== undefined) {
    const parrot = await startParrot(ERROR_RESPONSES[error])
    const run = await ask({ demo, url: parrot.url, name: 'good' })
    await parrot.close()
    return run
  }
  const name = NAMES[answer]
  if (name === undefined) throw new Error(`nothing is known about the answer ${answer}`)
  const unknown = answer === 'unknown' ? 'unknown' : 'unauthorized'
  if (name === 'never') await server.admin('/issuers/demo', { policy: { unknown } }, 'PATCH')
  return await ask({ demo, url: server.url, name })
}

/** Such as "OpenSSL 3.0.19"; undefined for our own program, which prints its number alone. */
function releaseOf([program, ...args]: Client['version']): string | undefined {
  const { stdout } = spawnSync(program, args, { cwd: PROJECT_ROOT, encoding: 'utf8' })
  return /^[A-Za-z]+ [\d.]+[a-z]?/.exec(stdout)?.[0]
}

function releasesIn(text: string): readonly string[] {
  return /^Versions of the last run: (.+)\.$/m.exec(text)?.[1]?.split(', ') ?? []
}

/** Rows of the first table by answer, cells by title of the client; however it is aligned. */
function parseTable(text: string): ReadonlyMap<string, ReadonlyMap<string, string>> {
  const lines = /(?:^\|.*\n)+/m.exec(text)?.[0].trimEnd().split('\n') ?? []
  const [[, ...titles] = [], , ...rows] = lines.map((line) =>
    line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()),
  )
  return new Map(
    rows.map(([answer = '', ...cells]) => [
      answer,
      new Map(cells.map((cell, column) => [titles[column] ?? '', cell])),
    ]),
  )
}

/** The page with what was seen; a client that is not installed here keeps its column. */
function updated(): string {
  const titles = CLIENTS.map(({ title }) => title)
  const rows = ANSWERS.map((answer) => [
    answer,
    ...titles.map((title) => seen.get(title)?.get(answer) ?? table.get(answer)?.get(title) ?? ''),
  ])
  const releases = CLIENTS.flatMap(({ version }) => releaseOf(version) ?? [])
  const lines = [['Answer', ...titles], ...rows]
  const widths = ['Answer', ...titles].map((_, column) =>
    Math.max(...lines.map((cells) => cells[column]?.length ?? 0)),
  )
  const [heading = [], ...others] = lines.map((cells) => cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)))
  const aligned = [heading, widths.map((width) => '-'.repeat(width)), ...others]
  return page
    .replace(/(?:^\|.*\n)+/m, () => aligned.map((cells) => `| ${cells.join(' | ')} |\n`).join(''))
    .replace(/^Versions of the last run: .+$/m, `Versions of the last run: ${releases.join(', ')}.`)
}
