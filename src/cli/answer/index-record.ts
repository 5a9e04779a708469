/**
 * A record that lasts for one answer, made of the files of an `openssl ca`: certificate of the issuer, responder and key, and
 * from the index the rows that were asked for. They pass through the admin API, so that they are checked as they would be on
 * their way into a responder that stays.
 */
import { createReadStream } from 'node:fs'
import { adminApp } from '../../http/admin.ts'
import type { ImportRow } from '../../importers/importer.ts'
import { readOpenSSLIndex } from '../../importers/openssl-index.ts'
import type { SerialHex } from '../../pkix/serial-number.ts'
import type { Clock } from '../../ports/ports.ts'
import { D1AdminStore } from '../../storage/d1-admin-store.ts'
import { D1CanaryStore } from '../../storage/d1-canary-store.ts'
import { D1RecoveryStore } from '../../storage/d1-recovery-store.ts'
import { fileReason, loadCertificate } from '../certificate.ts'
import { AdminClient } from '../client.ts'
import { CLIError, EXIT, usageError } from '../exit.ts'
import { type ImportProblem, ImportRun } from '../import-run.ts'
import { type PolicyOptions, readPolicy } from '../policy-options.ts'
import { type ResponderOptions, readResponder } from '../responder-options.ts'
import { type AnswerRecord, systemClock } from './answering.ts'
import { NodeDatabase } from './node-database.ts'

export interface IndexOptions extends PolicyOptions, ResponderOptions {
  /** index.txt, or - for standard input. */
  readonly index: string
  /** Certificate file of the CA whose index it is. */
  readonly issuer: string
}

const NAME = 'issuer'

/**
 * @param asked the serial numbers that matter; no other row is kept
 * @param onProblem told of each line of the index that is wrong
 * @throws CLIError: 1 or 2 when issuer, responder or policy are refused, 3 when the index does not say enough
 */
export async function openIndexRecord(
  options: IndexOptions,
  asked: ReadonlySet<SerialHex>,
  onProblem: (problem: ImportProblem) => void,
  clock: Clock = systemClock,
): Promise<AnswerRecord> {
  const certificate = loadCertificate(options.issuer)
  const responder = readResponder(options, certificate)
  if (responder === undefined)
    throw usageError(
      'nobody was named to sign the response',
      'Give --responder-cert and --responder-key, or --sign-with-ca and --key.',
    )
  const policy = readPolicy(options)
  const db = NodeDatabase.inMemory()
  const kek = crypto.getRandomValues(new Uint8Array(32))
  try {
    const client = adminClient(db, kek, clock)
    await client.call('addIssuer', {
      body: {
        name: NAME,
        certificate: certificate.x509.toString(),
        responder,
        ...(policy === undefined ? {} : { policy }),
      },
    })
    await record(client, options, asked, onProblem)
  } catch (error) {
    db.close()
    throw error
  }
  return { db, kek: () => kek, close: () => db.close() }
}

/** The admin API over the database, in this process. */
function adminClient(db: NodeDatabase, kek: Uint8Array, clock: Clock): AdminClient {
  const token = crypto.randomUUID()
  const app = adminApp({
    store: new D1AdminStore(db),
    canaries: new D1CanaryStore(db),
    changeCanary: async () => undefined,
    recovery: new D1RecoveryStore(db),
    clock,
    // There is nobody to publish to: the overlay is read from the record itself.
    publish: async () => ({ published: true }),
    presign: async () => ({ built: 0, signatures: 0, failed: 0, remaining: 0 }),
    kek,
    secret: () => undefined,
    adminToken: token,
    adminHost: undefined,
    boundSeconds: 300,
    writeIssuerPage: async () => undefined,
  })
  return new AdminClient({
    url: 'http://127.0.0.1',
    token,
    tokenFile: '',
    fetch: async (target, init) => app.fetch(new Request(target, init)),
  })
}

async function record(
  client: AdminClient,
  { index, profile = 'private' }: IndexOptions,
  asked: ReadonlySet<SerialHex>,
  onProblem: (problem: ImportProblem) => void,
): Promise<void> {
  const { rows, bad, found, lines } = await readRows(index, asked, onProblem)
  const open = [...asked].filter((serial) => !found.has(serial))
  if (bad > 0 && bad === lines)
    throw unclear(
      `${nameOf(index)} does not look like an index.txt of OpenSSL: no line of it can be read`,
      'Its lines have six columns with TABs between them, and begin with V, R or E.',
    )
  // A line that cannot be read may be the one that was asked for: then nobody knows whether it was issued.
  if (bad > 0 && open.length > 0)
    throw unclear(
      `${nameOf(index)} does not say whether serial ${open.join(', ')} was issued: it is not among the lines that can be read, and ${bad} cannot`,
      'Mend the lines that are named above.',
    )
  const refused: ImportProblem[] = []
  const run = new ImportRun({
    client,
    issuer: NAME,
    rules: { profile, isFinal: false },
    dryRun: false,
    addOnly: false,
    onProblem: (problem) => {
      onProblem(problem)
      if (problem.problem.startsWith('refused')) refused.push(problem)
    },
    onProgress: () => undefined,
  })
  await run.run(rows)
  const [first] = refused
  if (first !== undefined)
    throw unclear(
      `${nameOf(index)}:${first.line}: ${first.problem}`,
      'It was asked for, so there is no answer.',
    )
}

interface Rows {
  /** What was asked for. */
  readonly rows: AsyncIterable<ImportRow>
  readonly found: ReadonlySet<SerialHex>
  readonly bad: number
  readonly lines: number
}

/** @throws CLIError (3) when the file cannot be read */
async function readRows(
  index: string,
  asked: ReadonlySet<SerialHex>,
  onProblem: (problem: ImportProblem) => void,
): Promise<Rows> {
  const wanted: ImportRow[] = []
  const found = new Set<SerialHex>()
  let [bad, lines] = [0, 0]
  try {
    for await (const row of readOpenSSLIndex(index === '-' ? process.stdin : createReadStream(index))) {
      lines += 1
      if ('problem' in row) {
        bad += 1
        onProblem(row)
      } else if (asked.has(row.record.serial)) {
        wanted.push(row)
        found.add(row.record.serial)
      }
    }
  } catch (cause) {
    throw new CLIError(EXIT.unknown, `${nameOf(index)}: cannot read it: ${fileReason(cause)}`, undefined, {
      cause,
    })
  }
  return {
    rows: (async function* () {
      yield* wanted
    })(),
    found,
    bad,
    lines,
  }
}

function nameOf(index: string): string {
  return index === '-' ? 'standard input' : index
}

function unclear(message: string, hint: string): CLIError {
  return new CLIError(EXIT.unknown, message, hint, { code: 'indexUnclear' })
}
