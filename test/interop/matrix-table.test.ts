/** The README's table of the interop matrix, without asking anybody. */
import { describe, expect, test } from 'vitest'
import { ANSWERS, SIGNERS, type Verdict } from './matrix/client.ts'
import { cells, rowsOf, type Seen, withSeen, withVersions } from './matrix/table.ts'

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
    const own = new Map([
      ['one', seen(() => 'good')],
      ['another', seen(() => 'refused')],
    ])
    const written = withSeen(README, ['another', 'one'], own)
    expect([...rowsOf(written)]).toEqual([
      ['another', ANSWERS.map(() => 'refused')],
      ['one', ANSWERS.map(() => 'good')],
    ])
    expect(written.split('\n').filter((line) => !line.startsWith('|'))).toEqual(README.split('\n'))
  })

  test('keeps the row of a client that is absent, and loses that of one that is no more', () => {
    const before = withSeen(
      README,
      ['gone', 'absent'],
      new Map([
        ['gone', seen(() => 'good')],
        ['absent', seen(() => 'unknown')],
      ]),
    )
    const after = rowsOf(
      withSeen(before, ['here', 'absent', 'never seen'], new Map([['here', seen(() => 'good')]])),
    )
    expect([...after]).toEqual([
      ['here', ANSWERS.map(() => 'good')],
      ['absent', ANSWERS.map(() => 'unknown')],
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
