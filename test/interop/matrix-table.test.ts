/** The README's table of the interop matrix, without asking anybody. */
import { describe, expect, test } from 'vitest'
import { encodeOCSPRequest, type Nonce, nonceExtension } from '../../src/ocsp/index.ts'
import { type HashAlgorithm, hashAlgorithmIdentifier } from '../../src/pkix/algorithm-identifier.ts'
import { ANSWERS, SIGNERS, type Verdict } from './matrix/client.ts'
import { answerCells, rowsOf, type Seen, wireCells, withSeen, withVersions } from './matrix/table.ts'
import type { Exchange } from './matrix/tap.ts'

const PAGE = 'before\n<!-- interop:begin -->\n<!-- interop:end -->\nafter\n'

function seen(verdict: (answer: string, signer: string) => Verdict): Seen {
  return new Map(
    ANSWERS.map((answer) => [answer, new Map(SIGNERS.map((signer) => [signer, verdict(answer, signer)]))]),
  )
}

describe('the table of the interop matrix', () => {
  test('has one verdict in a cell when every signer led to it', () => {
    expect(answerCells(seen(() => 'revoked'))).toEqual(ANSWERS.map(() => 'revoked'))
  })

  test('names the signers when they led to several', () => {
    const own = seen((answer, signer) => (answer === 'hold' && signer === 'CA itself' ? 'no staple' : 'good'))
    expect(answerCells(own)[ANSWERS.indexOf('hold')]).toBe(
      'good (RSA delegate, ECDSA delegate), no staple (CA itself)',
    )
  })

  test('is not written for a client that was not asked everything', () => {
    const own = new Map([...seen(() => 'good')].slice(1))
    expect(() => answerCells(own)).toThrow('good was not asked of RSA delegate')
  })

  test('is read as it was written, and nothing beside it changes', () => {
    const rows = new Map([
      ['one', ['good', 'no staple']],
      ['another', ['refused', 'good (CA itself)']],
    ])
    const written = withSeen(PAGE, ['client', 'a', 'b'], ['another', 'one'], rows)
    expect([...rowsOf(written)]).toEqual([...rows].reverse())
    expect(written.split('\n').filter((line) => !line.startsWith('|'))).toEqual(PAGE.split('\n'))
  })

  test('keeps the row of a client that is absent, and loses that of one that is no more', () => {
    const rows = new Map([
      ['gone', ['good']],
      ['absent', ['unknown']],
    ])
    const before = withSeen(PAGE, ['client', 'a'], ['gone', 'absent'], rows)
    const clients = ['here', 'absent', 'never seen']
    const after = withSeen(before, ['client', 'a'], clients, new Map([['here', ['revoked']]]))
    expect([...rowsOf(after)]).toEqual([
      ['here', ['revoked']],
      ['absent', ['unknown']],
    ])
  })

  test('has method, hash and nonce of all that was asked', () => {
    const exchange = (method: string, hash: HashAlgorithm, nonce?: Nonce): Exchange => {
      const names = { issuerNameHash: new Uint8Array(20), issuerKeyHash: new Uint8Array(20) }
      const reqCert = {
        ...names,
        hashAlgorithm: hashAlgorithmIdentifier(hash),
        serialNumber: Uint8Array.of(1),
      }
      const extensions = nonce === undefined ? {} : { requestExtensions: [nonceExtension(nonce)] }
      const tbsRequest = { versionExplicit: false, requestList: [{ reqCert }], ...extensions }
      return { method, question: encodeOCSPRequest({ tbsRequest }), answer: new Uint8Array() }
    }
    const nonce = { extnValue: Uint8Array.of(4, 2, 7, 7), length: 2 }
    expect(wireCells([exchange('POST', 'SHA-1', nonce), exchange('GET', 'SHA-1')])).toEqual([
      'GET, POST',
      'SHA-1',
      '2 octets, none',
    ])
  })

  test('is missed without its markers', () => {
    expect(() => rowsOf('no table')).toThrow('interop:begin')
  })
})

test('the line of versions names each once, in lines of 120', () => {
  const page = 'text\n\nVersions of the last run of the matrix: none.\n\nmore\n'
  const long = Array.from({ length: 12 }, (_, index) => `program 1.2.${index}`)
  const lines = withVersions(page, [...long, ...long]).split('\n')
  expect(lines.join(' ').split('program')).toHaveLength(13)
  expect(lines.filter((line) => line.length > 120)).toEqual([])
  expect([lines[0], lines.at(-2)]).toEqual(['text', 'more'])
  expect(() => withVersions('no such line', [])).toThrow('no line of versions')
})
