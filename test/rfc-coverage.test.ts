/** docs/rfc-coverage.md says the truth: every requirement stands there once, and every test it names is there. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  idsIn,
  PAGE,
  parseRows,
  placesOf,
  problemsOf,
  readTitles,
  rewrite,
  titlesIn,
} from '../scripts/rfc-coverage.ts'

/** Numbers of each section, 1 to 8. */
const NUMBERS = [
  '1-16 20-28 30-42 50-71 80-91 95-97 100-105',
  '1-18',
  '1-14',
  '1-13 20-23 30-37 50-55',
  '1-17 30-50',
  '1-21',
  '1-9',
  '1-7',
]
const IDS = NUMBERS.flatMap((ranges, i) =>
  ranges.split(' ').flatMap((range) => idsIn(`R${i + 1}.${range.replace('-', `-R${i + 1}.`)}`)),
)

const page = readFileSync(PAGE, 'utf8')
const rows = parseRows(page)
const titles = readTitles()

const vectors = process.env['EDGE_OCSP_VECTORS']
const contract = vectors === undefined ? undefined : join(vectors, '../protocol.md')
const hasContract = contract !== undefined && existsSync(contract)
if (!hasContract) console.log('skipped: EDGE_OCSP_VECTORS/../protocol.md is not there to compare ids with')

describe('docs/rfc-coverage.md', () => {
  test('has the 219 requirements, each once, in their order', () => {
    expect(rows.map(({ id }) => id)).toEqual(IDS)
    expect(IDS).toHaveLength(219)
  })

  test.skipIf(!hasContract)('has the ids, levels and lines of the contract', () => {
    const summary = parseSummary(readFileSync(contract ?? '', 'utf8'))
    expect(rows.map(({ id, level, line }) => [id, level, line])).toEqual(summary)
  })

  test('names only tests that are there, gives a reason for all else, and knows every id of a title', () => {
    expect(problemsOf(page, titles)).toEqual([])
  })

  test('written again by the script is right too, and keeps every state and reason', () => {
    const again = rewrite(page, titles)
    expect(problemsOf(again, titles)).toEqual([])
    expect(rewrite(again, titles)).toBe(again)
    const kept = (text: string) =>
      parseRows(text).map((row) => ({ ...row, where: row.state === 'tested' ? '' : row.where }))
    expect(kept(again)).toEqual(kept(page))
  })
})

/** Id, level and line of the summary table. */
function parseSummary(text: string): string[][] {
  return [...text.matchAll(/^\| (R\d+\.\d+) \| (must|should|may) \| (.+?) \|$/gm)].map((match) =>
    match.slice(1, 4),
  )
}

describe('a broken page is found out', () => {
  const first = rows.find(({ state }) => state === 'tested')
  const other = rows.find(({ state }) => state === 'platform')
  if (first === undefined || other === undefined) throw new Error('rows of both kinds')
  const lineOf = (id: string) => page.split('\n').find((line) => line.startsWith(`| ${id} |`)) ?? ''

  test.each([
    ['a test that is not there', page.replace(` › `, ' › not '), /there is no test/],
    ['a file that is not there', page.replace('| test/', '| test/gone/'), /there is no test/],
    ['a row without tests', page.replace(first.where, ''), /no test is named/],
    [
      'a row twice',
      page.replace(lineOf(first.id), `${lineOf(first.id)}\n${lineOf(first.id)}`),
      /stands twice/,
    ],
    ['a row left out', page.replace(`${lineOf(first.id)}\n`, ''), /which is not known/],
    ['no reason', page.replaceAll(other.where, 'no'), /without a reason/],
    ['a state of its own', page.replace('| tested |', '| passed |'), /has the state/],
    ['a level of its own', page.replace('| must |', '| perhaps |'), /has the level/],
    [
      "a must that is nobody's",
      page.replace(/(\| must \| [^|]+ \|) tested \|/, '$1 not ours |'),
      /nobody's but ours/,
    ],
    ['a must that is open', page.replace(/(\| must \| [^|]+ \|) tested \|/, '$1 later |'), /and open/],
  ])('%s', (_what, broken, problem) => {
    expect(broken).not.toBe(page)
    expect(problemsOf(broken, titles).join('\n')).toMatch(problem)
  })

  test('a title with an id that is not known', () => {
    const unknown = { file: 'test/x.test.ts', text: 'x (R9.99)', ids: ['R9.99'] }
    expect(problemsOf(page, [...titles, unknown])).toEqual([
      'test/x.test.ts: "x (R9.99)" names R9.99, which is not known',
    ])
  })

  test('a test that was renamed', () => {
    const renamed = titles.map((title) =>
      first.where.includes(title.text) ? { ...title, text: `${title.text} now` } : title,
    )
    expect(problemsOf(page, renamed)).not.toEqual([])
  })
})

describe('titles', () => {
  test('are strings; comments and messages of expect() are none', () => {
    const source = [
      "test('one (R1.1)', () => {})",
      '// of R1.2',
      "expect(found, 'R1.3').toBe(1)",
      '/* R1.4 */',
      'test(`four | (R1.5, R1.7-R1.8)`)',
    ].join('\n')
    expect(titlesIn('test/a.test.ts', source)).toEqual([
      { file: 'test/a.test.ts', text: 'one (R1.1)', ids: ['R1.1'] },
      { file: 'test/a.test.ts', text: 'four | (R1.5, R1.7-R1.8)', ids: ['R1.5', 'R1.7', 'R1.8'] },
    ])
  })

  test('name ranges within a section', () => {
    expect(idsIn('R3.2-R3.4, R4.1')).toEqual(['R3.2', 'R3.3', 'R3.4', 'R4.1'])
  })

  test('stand in a row one a file first, three at most, and cannot break the table', () => {
    const many = ['a', 'a', 'b', 'c'].map((file, i) => ({ file, text: `${i} | x`, ids: ['R1.1'] }))
    expect(placesOf('R1.1', many)).toBe('a › 0 \\| x; b › 2 \\| x; c › 3 \\| x')
  })
})
