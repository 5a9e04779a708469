import { describe, expect, test } from 'vitest'
import {
  type Contestant,
  contest,
  type Load,
  type LoadOptions,
  nameOf,
  outcomesOf,
} from '../../bench/peers/contest.ts'
import { Ring } from '../../bench/peers/questions.ts'
import { table } from '../../bench/peers/report.ts'

const GOOD: Load = {
  answers: 100,
  not200: 0,
  broken: 0,
  duration: 2,
  p50: 1,
  p99: 3,
  processor: 0.5,
  samples: [Uint8Array.of(1)],
}

function contestant(responder: string, port: number, more: Partial<Contestant> = {}): Contestant {
  return {
    responder,
    from: 'memory',
    connections: 'kept',
    method: 'POST',
    port,
    processorTime: () => 0,
    exchanges: () => [{ path: '/' }],
    asked: () => undefined,
    check: () => undefined,
    ...more,
  }
}

/** Runs a contest whose load is made up. @returns the rows, and the ports in the order in which they were measured */
async function hold(
  contestants: readonly Contestant[],
  rounds: number,
  answer: (options: LoadOptions, call: number) => Load,
) {
  const ports: number[] = []
  const rows = await contest(contestants, {
    rounds,
    seconds: 2,
    progress: () => undefined,
    load: async (options) => {
      ports.push(options.port)
      return answer(options, ports.length - 1)
    },
  })
  return { rows, ports }
}

describe('a contest', () => {
  test('warms everybody up, then measures in turns, back and forth', async () => {
    const { ports } = await hold([contestant('a', 1), contestant('b', 2), contestant('c', 3)], 3, () => GOOD)
    expect(ports).toEqual([1, 2, 3, 1, 2, 3, 3, 2, 1, 1, 2, 3])
  })

  test('keeps the best round of each, without the one that warmed up', async () => {
    const answers = [9000, 100, 300, 200]
    const { rows } = await hold([contestant('a', 1)], 3, (_, call) => ({
      ...GOOD,
      answers: answers[call] ?? 0,
    }))
    expect(rows[0]?.rounds.map(({ perSecond }) => perSecond)).toEqual([50, 150, 100])
    expect(rows[0]?.best?.perSecond).toBe(150)
  })

  test('makes a row void for one answer that is not 200, and goes on with the others', async () => {
    const { rows, ports } = await hold([contestant('a', 1), contestant('b', 2)], 2, ({ port }, call) =>
      port === 1 && call === 2 ? { ...GOOD, not200: 1 } : GOOD,
    )
    expect(rows[0]).toMatchObject({ void: '1 of 100 answers were not 200', rounds: [] })
    expect(rows[0]?.best).toBeUndefined()
    expect(rows[1]?.best?.perSecond).toBe(50)
    expect(ports).toEqual([1, 2, 1, 2, 2])
  })

  test('makes a row void whose answers are wrong, come from elsewhere, or are not there to be checked', async () => {
    const wrong = contestant('a', 1, {
      check: () => {
        throw new Error('the signature does not verify')
      },
    })
    const elsewhere = contestant('b', 2, {
      settle: async () => {
        throw new Error('not all from memory')
      },
    })
    const { rows } = await hold([wrong, elsewhere, contestant('c', 3)], 1, ({ port }) =>
      port === 3 ? { ...GOOD, samples: [] } : GOOD,
    )
    expect(rows.map((row) => row.void)).toEqual([
      'the signature does not verify',
      'not all from memory',
      'there is no answer to check',
    ])
  })

  test('puts everybody to rest after each measurement, also after one that failed', async () => {
    let rests = 0
    const rest = async () => {
      rests += 1
    }
    await hold([contestant('a', 1, { rest })], 3, (_, call) => (call === 1 ? { ...GOOD, broken: 1 } : GOOD))
    expect(rests).toBe(2)
  })

  test('a void row says so in the table and as the outcome that a target is judged by', async () => {
    const { rows } = await hold([contestant('a', 1), contestant('b', 2)], 1, ({ port }) =>
      port === 1 ? { ...GOOD, broken: 4 } : GOOD,
    )
    const lines = table(rows).split('\n')
    expect(lines).toHaveLength(3)
    expect(lines[1]).toMatch(/^a .*void: 4 exchanges broke$/)
    expect(lines[2]).toMatch(/^b .* 50 .*25%$/)
    expect(outcomesOf(rows).get('a, memory, POST')).toEqual({ missing: 'void: 4 exchanges broke' })
  })

  test('asks for a connection each where the row says so, and tells how many were asked', async () => {
    const closes: boolean[] = []
    let told = 0
    const names = { connections: 'one each', asked: (count: number) => (told += count) } as const
    const { rows } = await hold([contestant('a', 1, names)], 1, ({ close }) => {
      closes.push(close)
      return GOOD
    })
    expect(closes).toEqual([true, true])
    expect(told).toBe(200)
    expect(rows.map(nameOf)).toEqual(['a, memory, POST, one connection each'])
  })
})

describe('questions in a circle', () => {
  test('go on behind what was asked, and those that were under way are not asked again', () => {
    const ring = new Ring(Array.from({ length: 100 }, (_, i) => i))
    expect(ring.next()[0]).toBe(0)
    ring.asked(10)
    expect(ring.next()[0]).toBe(74)
    expect(ring.next()).toHaveLength(100)
    ring.asked(10)
    expect(ring.next()[0]).toBe(48)
  })

  test('that may be asked once only run out', () => {
    const ring = new Ring([1, 2, 3, 4], { once: true })
    expect(ring.next()).toEqual([1, 2, 3, 4])
    ring.asked(4)
    expect(() => ring.next()).toThrow('all 4 questions were asked')
  })
})
