/** The tables of the interop matrix: README.md, client x answer; docs/clients.md, how each asked; and its line of versions. */
import { decodeOCSPRequest, requestNonce } from '../../../src/ocsp/index.ts'
import { hashAlgorithmOf } from '../../../src/pkix/algorithm-identifier.ts'
import { ANSWERS, type Answer, SIGNERS, type Signer, type Verdict } from './client.ts'
import type { Exchange } from './tap.ts'

/** What a client concluded, answer by answer and signer by signer. */
export type Seen = ReadonlyMap<Answer, ReadonlyMap<Signer, Verdict>>

/** Of the README. */
export const ANSWER_HEADING: readonly string[] = ['client', ...ANSWERS]
/** Of docs/clients.md. */
export const WIRE_HEADING: readonly string[] = ['Client', 'Method', 'Hash of the CertID', 'Nonce']

const BEGIN = '<!-- interop:begin -->\n'
const END = '<!-- interop:end -->'
const TABLE = new RegExp(`(?<=${BEGIN})[^]*?(?=${END})`)
const VERSIONS = /^Versions of the last run of the matrix: (?:.+\n)+/m

/** @returns a row of the README without the client's name: one verdict when all signers led to it, else each with its signers */
export function answerCells(seen: Seen): readonly string[] {
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

/** @returns a row of docs/clients.md without the client's name: all that went over the wire, method, hash and nonce apart */
export function wireCells(exchanges: readonly Exchange[]): readonly string[] {
  const asked = exchanges.map(({ method, question }) => {
    const request = decodeOCSPRequest(question)
    const hashes = request.tbsRequest.requestList.map(({ reqCert }) =>
      hashOf(reqCert.hashAlgorithm.algorithm),
    )
    const nonce = requestNonce(request)
    return {
      method,
      hash: hashes.join(' and '),
      nonce: nonce === undefined ? 'none' : `${nonce.length} octets`,
    }
  })
  return (['method', 'hash', 'nonce'] as const).map((column) =>
    [...new Set(asked.map((one) => one[column]))].sort().join(', '),
  )
}

function hashOf(oid: string): string {
  return hashAlgorithmOf(oid) ?? oid
}

/** Cells by client, as they stand in a page. @throws Error without the markers */
export function rowsOf(page: string): ReadonlyMap<string, readonly string[]> {
  const lines = tableOf(page)
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

/** The page with rows of what was seen. A client that is not there, or did not come to an end, keeps the row that it had. */
export function withSeen(
  page: string,
  heading: readonly string[],
  clients: readonly string[],
  seen: ReadonlyMap<string, readonly string[]>,
): string {
  const before = rowsOf(page)
  const rows = clients.flatMap((client) => {
    const row = seen.get(client) ?? before.get(client)
    return row === undefined ? [] : [[client, ...row]]
  })
  const lines = [heading, heading.map(() => '---'), ...rows]
  return page.replace(TABLE, () => lines.map((line) => `| ${line.join(' | ')} |\n`).join(''))
}

/** The page with these versions instead, each once, wrapped as the page is. */
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

function tableOf(page: string): string {
  const table = TABLE.exec(page)?.[0]
  if (table === undefined) throw new Error('the page has no markers interop:begin and interop:end')
  return table
}
