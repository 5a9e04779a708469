/**
 * One OCSP exchange without a server: the Worker's own responder over a SQLite file, with no KV and no cache, so that every
 * answer is read from the record and signed now.
 */
import { composeResponder } from '../../compose-responder.ts'
import { OCSPDecodeError } from '../../ocsp/index.ts'
import type { Clock, DerivedStore, EdgeCache } from '../../ports/ports.ts'
import { type Answer, errorAnswer } from '../../responder/answer.ts'
import { respond } from '../../responder/respond.ts'
import type { Database } from '../../storage/database.ts'

/** The longest request that is looked at, as over HTTP (R5.37). */
export const MAX_REQUEST_BYTES = 64 * 1024

/** Where the answers come from. */
export interface AnswerRecord {
  readonly db: Database
  /** Unwraps the responder keys in `db`. @throws SigningError */
  readonly kek: () => Uint8Array
  close(): void
}

/** As the Worker's default. Nothing is kept from one answer to the next, so it only bounds one exchange. */
const BOUND_MS = 300_000

const absent = async () => null
const dropped = async () => undefined
const NO_KV: DerivedStore = {
  readRoot: absent,
  readIssuerPage: absent,
  readBundle: absent,
  readPage: absent,
  writeRoot: dropped,
  writeIssuerPage: dropped,
  writeBundle: dropped,
  writePage: dropped,
}
const NO_CACHE: EdgeCache = { match: dropped, put: dropped }

export const systemClock: Clock = { nowMs: () => Date.now() }

/**
 * @param der what the client sent, whatever it is
 * @returns never rejects for what the request or the record are like: every failure is an OCSPResponse, as in the Worker
 */
export async function answerRequest(
  der: Uint8Array,
  { db, kek }: Pick<AnswerRecord, 'db' | 'kek'>,
  clock: Clock = systemClock,
): Promise<Answer> {
  if (der.length > MAX_REQUEST_BYTES)
    return errorAnswer(new OCSPDecodeError('requestTooLarge', MAX_REQUEST_BYTES))
  const { ports } = composeResponder({
    db,
    derived: NO_KV,
    cache: NO_CACHE,
    clock,
    random: () => crypto.getRandomValues(new Uint32Array(1))[0] ?? 0,
    boundMs: BOUND_MS,
    kek,
    secret: () => undefined,
    sleep: () => new Promise(() => undefined), // there is no KV to miss bundles in: that is never told
    background: (work) => void work.catch(() => undefined),
  })
  return respond(der, ports)
}
