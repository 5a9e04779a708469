/** The table of the README, client x answer, and the line of versions in docs/clients.md. */
import { ANSWERS, type Answer, SIGNERS, type Signer, type Verdict } from './client.ts'

/** What a client concluded, answer by answer and signer by signer. */
export type Seen = ReadonlyMap<Answer, ReadonlyMap<Signer, Verdict>>

const BEGIN = '<!-- interop:begin -->\n'
const END = '<!-- interop:end -->'
const TABLE = new RegExp(`(?<=${BEGIN})[^]*?(?=${END})`)
const VERSIONS = /^Versions of the last run of the matrix: (?:.+\n)+/m

/** @returns the row without the client's name: one verdict when all signers led to it, else each with its signers */
export function cells(seen: Seen): readonly string[] {
  return ANSWERS.map((answer) => {
    const verdicts = new Map<Verdict, Signer[]>()
    for (const signer of SIGNERS) {
      const verdict = seen.get(answer)?.get(signer)
      if (verdict === undefined) throw new Error(`${answer} was not asked of ${signer}`)
      verdicts.set(verdict, [...(verdicts.get(verdict) ?? []), signer])
    }
    const [only] = verdicts.keys()
    if (only !== undefined && verdicts.size === 1) return only
    return [...verdicts].map(([verdict, signers]) => `${verdict} (${signers.join(', ')})`).join(', ')
  })
}

/** Cells by client, as they stand in the README. @throws Error without the markers */
export function rowsOf(readme: string): ReadonlyMap<string, readonly string[]> {
  const lines = tableOf(readme)
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .slice(2)
  return new Map(
    lines.map((line) => {
      const [client = '', ...rest] = line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim())
      return [client, rest]
    }),
  )
}

/** The README with rows of what was seen. A client that is not there, or did not come to an end, keeps the row that it had. */
export function withSeen(
  readme: string,
  clients: readonly string[],
  seen: ReadonlyMap<string, Seen>,
): string {
  const before = rowsOf(readme)
  const rows = clients.flatMap((client) => {
    const own = seen.get(client)
    const row = own === undefined ? before.get(client) : cells(own)
    return row === undefined ? [] : [[client, ...row]]
  })
  const heading = ['client', ...ANSWERS]
  const lines = [heading, heading.map(() => '---'), ...rows]
  return readme.replace(TABLE, () => lines.map((line) => `| ${line.join(' | ')} |\n`).join(''))
}

/** The page with these versions instead, wrapped as the page is. */
export function withVersions(page: string, versions: readonly string[]): string {
  if (!VERSIONS.test(page)) throw new Error('docs/clients.md has no line of versions of the matrix')
  const words = `Versions of the last run of the matrix: ${[...new Set(versions)].join(', ')}.`.split(' ')
  const lines = ['']
  for (const word of words) {
    const line = `${lines.at(-1)} ${word}`.trimStart()
    if (line.length <= 120) lines.splice(-1, 1, line)
    else lines.push(word)
  }
  return page.replace(VERSIONS, () => `${lines.join('\n')}\n`)
}

function tableOf(readme: string): string {
  const table = TABLE.exec(readme)?.[0]
  if (table === undefined) throw new Error('the README has no markers interop:begin and interop:end')
  return table
}
