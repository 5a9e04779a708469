/** The README's table of the interop matrix, without asking anybody. */
import { describe, expect, test } from 'vitest'
import { ANSWERS, SIGNERS, type Verdict } from './matrix/client.ts'
import { cells, rowsOf, type Seen, withRows } from './matrix/table.ts'

const README = 'before\n<!-- interop:begin -->\n<!-- interop:end -->\nafter\n'

function seen(verdict: (answer: string, signer: string) => Verdict): Seen {
  return new Map(
    ANSWERS.map((answer) => [answer, new Map(SIGNERS.map((signer) => [signer, verdict(answer, signer)]))]),
  )
}

describe('the table of the interop matrix', () => {
  test('has one verdict in a cell when every signer led to it', () => {
    expect(cells(seen(() => 'revoked'))).toEqual(ANSWERS.map(() => 'revoked'))
  })

  test('names the signers when they led to several', () => {
    const own = seen((answer, signer) => (answer === 'hold' && signer === 'CA itself' ? 'no staple' : 'good'))
    expect(cells(own)[ANSWERS.indexOf('hold')]).toBe(
      'good (RSA delegate, ECDSA delegate), no staple (CA itself)',
    )
  })

  test('is not written for a client that was not asked everything', () => {
    const own = new Map([...seen(() => 'good')].slice(1))
    expect(() => cells(own)).toThrow('good was not asked of RSA delegate')
  })

  test('is read as it was written, and nothing beside it changes', () => {
    const rows = new Map([
      ['one', cells(seen(() => 'good'))],
      ['another', cells(seen(() => 'refused'))],
    ])
    const written = withRows(README, rows)
    expect(rowsOf(written)).toEqual(rows)
    expect(withRows(written, new Map())).toMatch(
      /^before\n<!-- interop:begin -->\n\| client .*\n.*\n<!-- interop:end -->\nafter\n$/,
    )
  })

  test('is missed without its markers', () => {
    expect(() => rowsOf('no table')).toThrow('interop:begin')
    expect(() => withRows('no table', new Map())).toThrow('interop:begin')
  })
})
