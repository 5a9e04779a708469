/**
 * docs/rfc-coverage.md: which requirement is shown by which test. `node scripts/rfc-coverage.ts` rewrites the last column of
 * `tested` rows from the titles of the tests, and leaves every state and reason alone. `--check` only tells what is wrong.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '..')
export const PAGE: string = join(ROOT, 'docs/rfc-coverage.md')

export const STATES = ['tested', 'platform', 'later', 'not ours', 'deviation'] as const
const LEVELS: readonly string[] = ['must', 'should', 'may']
/** A reason shorter than this explains nothing. */
const SHORTEST_REASON = 15
/** Titles named in a row; the ids find the rest. */
const TITLES_PER_ROW = 3

/** One requirement. `where` is the places of `tested` rows, the reason of all others. */
export interface Row {
  readonly id: string
  readonly level: string
  readonly line: string
  readonly state: string
  readonly where: string
}

/** A text of a test file that names requirements: a title, or a row of a table that becomes one. */
export interface Title {
  /** Path from the root of the repository. */
  readonly file: string
  readonly text: string
  readonly ids: readonly string[]
}

export function parseRows(page: string): Row[] {
  return [...page.matchAll(/^\| *(R\d+\.\d+) *\|(.*)\| *$/gm)].map(([, id = '', rest = '']) => {
    const [level = '', line = '', state = '', where = ''] = rest.split(/(?<!\\)\|/).map((cell) => cell.trim())
    return { id, level, line, state, where }
  })
}

/** Every title under test/ that names a requirement. */
export function readTitles(root: string = ROOT): Title[] {
  return readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts') && name !== 'rfc-coverage.test.ts')
    .sort()
    .flatMap((name) => titlesIn(join('test', name), readFileSync(join(root, 'test', name), 'utf8')))
}

/** Strings outside comments and messages of expect(). */
export function titlesIn(file: string, source: string): Title[] {
  const titles: Title[] = []
  const tokens =
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|expect\([^\n]*|'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`/g
  for (const [, single, double, template] of source.matchAll(tokens)) {
    const text = single ?? double ?? template
    if (text === undefined || text.includes('\n')) continue
    const ids = idsIn(text)
    if (ids.length > 0) titles.push({ file, text: text.replace(/\\(['"`])/g, '$1'), ids })
  }
  return titles
}

/** `(R2.1, R3.2-R3.4)` -> R2.1, R3.2, R3.3, R3.4 */
export function idsIn(text: string): string[] {
  return [...text.matchAll(/\bR(\d+)\.(\d+)(?:-R\1\.(\d+))?\b/g)].flatMap(
    ([, section = '', first = '', last = first]) =>
      Array.from(
        { length: Math.max(1, Number(last) - Number(first) + 1) },
        (_, i) => `R${section}.${Number(first) + i}`,
      ),
  )
}

/** The last column of a row, from the titles that name it: one a file first. */
export function placesOf(id: string, titles: readonly Title[]): string {
  const naming = titles.filter(({ ids }) => ids.includes(id))
  const firsts = naming.filter(({ file }, i) => naming.findIndex((other) => other.file === file) === i)
  const others = naming.filter((title) => !firsts.includes(title))
  return [...new Set([...firsts, ...others].slice(0, TITLES_PER_ROW).map(placeOf))].join('; ')
}

function placeOf({ file, text }: Title): string {
  return `${file} › ${text.replaceAll('|', '\\|')}`
}

export function rewrite(page: string, titles: readonly Title[]): string {
  const rows = new Map(parseRows(page).map((row) => [row.id, row]))
  return page.replace(/^\| *(R\d+\.\d+) *\|.*$/gm, (line, id: string) => {
    const row = rows.get(id)
    if (row?.state !== 'tested') return line
    return `| ${id} | ${row.level} | ${row.line} | tested | ${placesOf(id, titles)} |`
  })
}

/** What is wrong with the page, in words; nothing when it is right. */
export function problemsOf(page: string, titles: readonly Title[]): string[] {
  const rows = parseRows(page)
  const problems = rows.flatMap((row) => problemsOfRow(row, titles))
  const known = new Set(rows.map(({ id }) => id))
  if (known.size !== rows.length)
    problems.push(
      ...rows
        .filter(({ id }, i) => rows.findIndex((r) => r.id === id) !== i)
        .map(({ id }) => `${id} stands twice`),
    )
  for (const { file, text, ids } of titles)
    for (const id of ids)
      if (!known.has(id)) problems.push(`${file}: "${text}" names ${id}, which is not known`)
  return problems
}

function problemsOfRow({ id, level, state, where }: Row, titles: readonly Title[]): string[] {
  const problems: string[] = []
  if (!LEVELS.includes(level)) problems.push(`${id} has the level "${level}"`)
  if (!STATES.some((known) => known === state)) problems.push(`${id} has the state "${state}"`)
  if (level === 'must' && state === 'later') problems.push(`${id} is a must, and open`)
  if (level === 'must' && state === 'not ours') problems.push(`${id} is a must, and nobody's but ours`)
  if (state !== 'tested') {
    if (where.trim().length < SHORTEST_REASON) problems.push(`${id} is "${state}" without a reason`)
    return problems
  }
  const places = new Set(titles.filter(({ ids }) => ids.includes(id)).map(placeOf))
  const named = where.split(/; (?=test\/)/).filter((place) => place !== '')
  if (named.length === 0) problems.push(`${id} is "tested", and no test is named`)
  for (const place of named)
    if (!places.has(place)) problems.push(`${id}: there is no test "${place}" that names it`)
  return problems
}

if (process.argv[1] === import.meta.filename) {
  const titles = readTitles()
  const page = process.argv.includes('--check')
    ? readFileSync(PAGE, 'utf8')
    : rewrite(readFileSync(PAGE, 'utf8'), titles)
  if (!process.argv.includes('--check')) writeFileSync(PAGE, page)
  const problems = problemsOf(page, titles)
  for (const problem of problems) console.error(problem)
  process.exitCode = problems.length === 0 ? 0 : 1
}
