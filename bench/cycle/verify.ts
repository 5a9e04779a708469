/** Answers of the Worker, taken at random over HTTP and judged by the openssl program, one process an answer. */
import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { encodeOCSPRequest } from '../../src/ocsp/index.ts'
import { type HashAlgorithm, hashAlgorithmIdentifier } from '../../src/pkix/algorithm-identifier.ts'
import { formatPEM } from '../../src/pkix/pem.ts'
import { formatSerial } from '../../src/pkix/serial-number.ts'
import type { CA } from './ca.ts'

/** Exchanges at the same time. */
const CONNECTIONS = 8
const HASHES: readonly { readonly name: HashAlgorithm; readonly option: string }[] = [
  { name: 'SHA-1', option: '-sha1' },
  { name: 'SHA-256', option: '-sha256' },
]

interface Question {
  readonly serial: string
  readonly option: string
  readonly expected: 'good' | 'revoked'
  readonly path: string
}

export interface Verified {
  readonly answers: number
  readonly fetchMs: number
  readonly opensslMs: number
}

/**
 * @param url of the Worker
 * @param folder of our own
 * @throws Error when one answer is not there, does not verify, or says something else than the record
 */
export async function verifyAnswers(ca: CA, url: string, folder: string, count: number): Promise<Verified> {
  mkdirSync(folder)
  writeFileSync(join(folder, 'ca.pem'), formatPEM('CERTIFICATE', ca.pki.issuer.certificate))
  const questions = Array.from({ length: Math.min(count, ca.certificates) }, (_, i) =>
    // Half of the questions about each hash; a certificate may be asked about twice.
    ask(ca, randomInt(ca.certificates), HASHES[i % HASHES.length] ?? raise()),
  )
  let start = performance.now()
  await fetchAll(questions, url, folder)
  const fetchMs = performance.now() - start
  start = performance.now()
  await judgeAll(questions, folder)
  return { answers: questions.length, fetchMs, opensslMs: performance.now() - start }
}

function raise(): never {
  throw new Error('there is no such hash')
}

function ask(ca: CA, index: number, { name, option }: (typeof HASHES)[number]): Question {
  const serialNumber = ca.serial(index)
  const reqCert = {
    hashAlgorithm: hashAlgorithmIdentifier(name),
    ...ca.pki.issuer.hashes[name],
    serialNumber,
  }
  const request = encodeOCSPRequest({ tbsRequest: { versionExplicit: false, requestList: [{ reqCert }] } })
  return {
    option,
    serial: formatSerial(serialNumber),
    expected: ca.isRevoked(index) ? 'revoked' : 'good',
    path: `/${encodeURIComponent(Buffer.from(request).toString('base64'))}`,
  }
}

async function fetchAll(questions: readonly Question[], url: string, folder: string): Promise<void> {
  let next = 0
  const work = async () => {
    for (let i = next++; i < questions.length; i = next++) {
      const response = await fetch(url + (questions[i]?.path ?? ''))
      if (response.status !== 200) throw new Error(`an answer has HTTP status ${response.status}`)
      writeFileSync(join(folder, `${i}.der`), new Uint8Array(await response.arrayBuffer()))
    }
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, work))
}

/** One shell for each core, each of which starts one openssl after the other. */
async function judgeAll(questions: readonly Question[], folder: string): Promise<void> {
  const shells = Math.min(availableParallelism(), 4)
  await Promise.all(
    Array.from({ length: shells }, async (_, shell) => {
      const mine = [...questions.entries()].filter(([i]) => i % shells === shell)
      const script = mine.map(
        ([i, { serial, option }]) =>
          `openssl ocsp -respin ${i}.der -issuer ca.pem -CAfile ca.pem -no_nonce ${option} -serial 0x${serial}; echo "#${i} $?"`,
      )
      const log = join(folder, `${shell}.log`)
      const file = join(folder, `${shell}.sh`)
      writeFileSync(file, `exec >${shell}.log 2>&1\n${script.join('\n')}\n`)
      await runShell(file, folder)
      checkLog(mine, readFileSync(log, 'utf8'))
    }),
  )
}

function runShell(file: string, folder: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('sh', [file], { cwd: folder, stdio: 'ignore' })
    child.once('error', reject)
    child.once('exit', (code) =>
      code === 0 ? resolve() : reject(new Error(`the shell that runs openssl ended with ${code}`)),
    )
  })
}

/** @throws Error that shows what openssl said of the first answer that is not as it should be */
function checkLog(questions: readonly (readonly [number, Question])[], log: string): void {
  const parts = log.split(/^#(\d+ \d+)\n/m)
  for (const [at, [i, { serial, expected }]] of questions.entries()) {
    const [said = '', end = ''] = parts.slice(2 * at)
    const isRight =
      end === `${i} 0` && said.includes('Response verify OK') && said.includes(`0x${serial}: ${expected}\n`)
    if (!isRight) throw new Error(`answer ${i}, about ${serial} (${expected}): openssl says ${said}${end}`)
  }
}
