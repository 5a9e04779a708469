/**
 * Every client of matrix/clients.ts about every answer of this responder, whoever signs it: the client must come to what its
 * documentation promises. The tables of README.md (client x answer) and docs/clients.md (how each asked) are compared with what was seen;
 * UPDATE_DOCS=1 writes them instead.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { REQUIRE_CLIENTS } from '../support/clients.ts'
import { PROJECT_ROOT } from '../support/server.ts'
import {
  ANSWERS,
  type Answer,
  absence,
  type MatrixClient,
  SIGNERS,
  type Signer,
  type Verdict,
} from './matrix/client.ts'
import { CLIENTS } from './matrix/clients.ts'
import {
  ANSWER_HEADING,
  answerCells,
  rowsOf,
  WIRE_HEADING,
  wireCells,
  withSeen,
  withVersions,
} from './matrix/table.ts'
import { type MatrixWorld, startMatrixWorld } from './matrix/world.ts'

const README = join(PROJECT_ROOT, 'README.md')
const PAGE = join(PROJECT_ROOT, 'docs/clients.md')
const UPDATE = process.env['UPDATE_DOCS'] === '1'

/** Rows of those who came to an end. */
const answered = new Map<string, readonly string[]>()
const asked = new Map<string, readonly string[]>()
const titles = CLIENTS.map(({ title }) => title)

let world: MatrixWorld
beforeAll(async () => {
  world = await startMatrixWorld()
  return () => world.stop()
})
afterAll(() => {
  if (!UPDATE) return
  writeFileSync(README, withSeen(readFileSync(README, 'utf8'), ANSWER_HEADING, titles, answered))
  const page = withSeen(readFileSync(PAGE, 'utf8'), WIRE_HEADING, titles, asked)
  const isWhole = answered.size === CLIENTS.length
  const versions = () => CLIENTS.map((client) => client.version())
  writeFileSync(PAGE, isWhole ? withVersions(page, versions()) : page)
})

for (const client of CLIENTS) {
  const reason = absence(client)
  if (reason === undefined) describe(client.title, () => judge(client))
  else
    test(`${client.title} can be asked`, (context) => {
      if (process.env[REQUIRE_CLIENTS] === '1') throw new Error(reason)
      console.warn(reason)
      context.skip(reason)
    })
}

function judge(client: MatrixClient): void {
  const own = new Map<Answer, ReadonlyMap<Signer, Verdict>>()
  beforeAll(async () => {
    const folder = join(world.folder, `client-${CLIENTS.indexOf(client)}`)
    mkdirSync(folder)
    await client.prepare?.(folder)
  })
  afterAll(async () => {
    await client.stop?.()
    if (own.size === ANSWERS.length) answered.set(client.title, answerCells(own))
  })

  test.each(ANSWERS)(
    '%s: one conclusion, whoever signs (R1.30, R1.31, R1.32, R1.40, R1.57, R1.59)',
    async (answer) => {
      const verdicts = new Map<Signer, Verdict>()
      for (const signer of SIGNERS) {
        const question = world.cases.find((one) => one.answer === answer && one.signer === signer)
        if (question === undefined) throw new Error(`the world has no ${answer} of ${signer}`)
        const { verdict, output } = await client.ask(question)
        const expected = client.expected[`${answer}/${signer}`] ?? client.expected[answer]
        expect(verdict, `${signer}: ${output}`).toBe(expected)
        const words = client.says?.[answer]
        if (words !== undefined) expect(output, signer).toMatch(words)
        verdicts.set(signer, verdict)
      }
      own.set(answer, verdicts)
    },
  )

  test('good, but a signature is wrong: notices, whoever signs (R1.51)', async () => {
    const { forged } = client
    const first = world.wire.length
    for (const question of world.forged) {
      const { verdict, output } = await client.ask(question)
      expect(verdict, `${question.signer}: ${output}`).toBe(forged.verdict)
      if (forged.says !== undefined) expect(output, question.signer).toMatch(forged.says)
    }
    asked.set(client.title, wireCells(world.wire.slice(first)))
  })
}

describe.each([
  ['the table of answers in the README', README, answered],
  ['the table of questions in docs/clients.md', PAGE, asked],
])('%s', (_name, path, rows) => {
  test('has a row for every client', (context) => {
    if (UPDATE) context.skip('UPDATE_DOCS=1: the table is written, not compared')
    expect([...rowsOf(readFileSync(path, 'utf8')).keys()]).toEqual(titles)
  })

  test('says what was seen', (context) => {
    if (UPDATE) context.skip('UPDATE_DOCS=1: the table is written, not compared')
    const written = rowsOf(readFileSync(path, 'utf8'))
    // Nothing was seen of those who are absent, which they say themselves.
    const present = CLIENTS.filter((client) => absence(client) === undefined)
    expect(present.map(({ title }) => title).filter((title) => !rows.has(title))).toEqual([])
    for (const [title, row] of rows)
      expect(written.get(title), `${title}: UPDATE_DOCS=1 writes what was seen`).toEqual(row)
  })
})
