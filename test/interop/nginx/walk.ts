/** Asks again and again through nginx, for longer than a response lives, while the record changes. */
import { decodeSuccessfulResponse } from '../../../src/ocsp/index.ts'
import { pause } from '../matrix/tls-programs.ts'
import type { CachingProxy, Setting } from './caching-proxy.ts'
import { type Asked, type Sample, said } from './judge.ts'

/** Between two questions of one kind. */
const EVERY_MS = 400
/** How long the walk goes on behind the end of the last of the first answers. */
const BEYOND_SECONDS = 4

/** @returns all that was said, in the order of the questions */
export async function walk(
  proxy: CachingProxy,
  questions: readonly Asked[],
  setting?: Setting,
): Promise<readonly Sample[]> {
  const samples: Sample[] = []
  const ask = async (asked: Asked) => {
    const got = await proxy.ask(asked.target, setting === undefined ? {} : { setting })
    samples.push({ asked, got })
    return got
  }
  const first = await Promise.all(questions.map(ask))
  const ends = first.filter((got) => said(got) !== 'unauthorized').map(({ body }) => endOf(body))
  const until = (Math.max(...ends) + BEYOND_SECONDS) * 1000
  await Promise.all(
    questions.map(async (asked, index) => {
      await pause((index * EVERY_MS) / questions.length)
      while (Date.now() < until) {
        await ask(asked)
        await pause(EVERY_MS)
      }
    }),
  )
  return samples.toSorted((one, other) => one.got.askedAt - other.got.askedAt)
}

/** nextUpdate. */
export function endOf(body: Uint8Array): number {
  return decodeSuccessfulResponse(body).tbsResponseData.responses[0]?.nextUpdate ?? 0
}
