/**
 * The demonstration: makes its PKI once, writes it to STATE/demo, and records it through the admin API as any operator
 * would. Each step may be repeated: a kill at any moment leaves something that the next start completes.
 */
import { chmodSync, existsSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import * as z from 'zod/mini'
import type { CertificateInput } from '../../admin-api/contract.ts'
import { crlReasonName } from '../../pkix/crl-reason.ts'
import { formatSerial } from '../../pkix/serial-number.ts'
import type { AdminClient } from '../client.ts'
import { CLIError, EXIT } from '../exit.ts'
import { findIssuer } from '../issuer-reference.ts'
import { type DemoPKI, makeDemoPKI } from './demo-pki.ts'
import { makePrivateFolder, readIfThere, writeFileWhole } from './state.ts'

/** Short name of the demonstration issuer. */
export const DEMO_ISSUER = 'demo'
const MANIFEST = 'demo.json'
/** Its presence says that everything was recorded once; from then on the record belongs to the user. */
const RECORDED = 'recorded'

const Manifest = z.object({
  issuer: z.string(),
  chain: z.string(),
  responder: z.object({ certificate: z.string(), key: z.string() }),
  certificates: z.array(
    z.object({
      name: z.string(),
      fileName: z.string(),
      serial: z.string(),
      status: z.optional(z.enum(['good', 'revoked', 'hold'])),
      revocationTime: z.optional(z.number()),
      reason: z.optional(z.string()),
      notBefore: z.number(),
      notAfter: z.number(),
    }),
  ),
})
type Manifest = z.output<typeof Manifest>

export interface Demo {
  /** Absolute path of the folder with its files. */
  readonly folder: string
  readonly manifest: Manifest
  /** Made and recorded by this start. */
  readonly isNew: boolean
}

export interface DemoOptions {
  /** Absolute path of the state folder. */
  readonly state: string
  readonly url: string
  readonly client: AdminClient
  /** Of the demonstration issuer's responses; undefined: the default, or what an earlier start set. */
  readonly validitySeconds: number | undefined
  /** Unix seconds. */
  readonly now: number
}

/** @throws CLIError when the responder refuses something */
export async function setUpDemo(options: DemoOptions): Promise<Demo> {
  const folder = join(options.state, 'demo')
  if (!existsSync(join(folder, MANIFEST))) await writeDemoFiles(folder, options)
  const manifest = readManifest(folder)
  const known = await findDemoIssuer(options.client)
  const isNew = known === undefined || !existsSync(join(folder, RECORDED))
  if (known === undefined) await addDemoIssuer(folder, manifest, options)
  if (isNew) {
    await recordCertificates(manifest, options.client)
    await presignAll(options.client)
    writeFileWhole(join(folder, RECORDED), '')
  }
  const { validitySeconds } = options
  if (
    known !== undefined &&
    validitySeconds !== undefined &&
    known.policy.validitySeconds !== validitySeconds
  ) {
    const params = { issuer: DEMO_ISSUER }
    await options.client.callPatiently('patchIssuer', { params, body: { policy: { validitySeconds } } })
    // What was signed for the old validity would be answered until half of it is over.
    const raised = await options.client.callPatiently('raiseFloor', { params })
    if (raised.publishedAt === null) await publish(options.client)
    await presignAll(options.client)
  }
  return { folder, manifest, isNew }
}

/** All files or none: written beside and moved into place. */
async function writeDemoFiles(folder: string, { url, now }: DemoOptions): Promise<void> {
  const pki = await makeDemoPKI({ baseURL: url, issuerPath: `/issuers/${DEMO_ISSUER}.cer`, now })
  const draft = `${folder}.new`
  rmSync(draft, { recursive: true, force: true })
  makePrivateFolder(draft)
  for (const file of pki.files)
    writeFileWhole(join(draft, file.fileName), file.pem, file.secret ? 0o600 : 0o644)
  writeFileWhole(join(draft, MANIFEST), `${JSON.stringify(manifestOf(pki), undefined, 2)}\n`, 0o644)
  rmSync(folder, { recursive: true, force: true })
  renameSync(draft, folder)
  chmodSync(folder, 0o700)
}

function manifestOf(pki: DemoPKI): Manifest {
  return {
    issuer: pki.issuer.fileName,
    chain: pki.chainFileName,
    responder: { certificate: pki.responder.fileName, key: pki.responder.keyFileName },
    certificates: pki.certificates.map((certificate) => {
      const { name, fileName, status, revocationTime, notBefore, notAfter } = certificate
      const reason = certificate.reason === undefined ? undefined : crlReasonName(certificate.reason)
      const serial = formatSerial(certificate.serialNumber)
      return {
        name,
        fileName,
        serial,
        notBefore,
        notAfter,
        ...(status === undefined ? {} : { status }),
        ...(revocationTime === 0 ? {} : { revocationTime }),
        ...(reason === undefined ? {} : { reason }),
      }
    }),
  }
}

function readManifest(folder: string): Manifest {
  const path = join(folder, MANIFEST)
  try {
    return Manifest.parse(JSON.parse(readIfThere(path) ?? ''))
  } catch (cause) {
    throw new CLIError(
      EXIT.usage,
      `${path} is not as "edge-ocsp dev" wrote it`,
      'Move the state folder away for a new demonstration, or start without it: --no-demo',
      { cause },
    )
  }
}

async function findDemoIssuer(client: AdminClient) {
  return findIssuer(client, ({ name }) => name === DEMO_ISSUER)
}

async function addDemoIssuer(folder: string, manifest: Manifest, options: DemoOptions): Promise<void> {
  const { validitySeconds } = options
  await options.client.call('addIssuer', {
    body: {
      name: DEMO_ISSUER,
      certificate: readFileSync(join(folder, manifest.issuer), 'utf8'),
      ...(validitySeconds === undefined ? {} : { policy: { validitySeconds } }),
      responder: {
        certificate: readFileSync(join(folder, manifest.responder.certificate), 'utf8'),
        key: readFileSync(join(folder, manifest.responder.key), 'utf8'),
      },
    },
  })
}

async function recordCertificates(manifest: Manifest, client: AdminClient): Promise<void> {
  const certificates = manifest.certificates.flatMap(
    ({ name: _name, fileName: _file, status, ...row }): CertificateInput[] =>
      status === undefined ? [] : [{ ...row, status }],
  )
  const params = { issuer: DEMO_ISSUER }
  const { refused, results } = await client.callPatiently('addCertificates', {
    params,
    body: { certificates },
  })
  if (refused === 0) return
  const why = results
    .filter(({ outcome }) => outcome === 'refused')
    .map(({ serial, message }) => `${serial}: ${message}`)
  throw new CLIError(EXIT.no, `the demonstration certificates were refused: ${why.join('; ')}`)
}

/** Two publications are a second apart at least; the next minute's cron does what this does not. */
async function publish(client: AdminClient): Promise<void> {
  for (let round = 0; round < 5; round += 1) {
    await new Promise((resolve) => setTimeout(resolve, 500))
    if ((await client.callPatiently('publish')).publishedAt !== null) return
  }
}

/** Signs until nothing is left to sign. A fault here is told, not fatal: answers are signed as they are asked for. */
async function presignAll(client: AdminClient): Promise<void> {
  for (let round = 0; round < 100; round += 1) {
    const outcome = await client.callPatiently('presign', { body: { issuer: DEMO_ISSUER, all: true } })
    if (outcome.failed > 0) {
      const why = outcome.problems?.join('; ') ?? 'no reason given'
      process.stderr.write(
        `warning: ${outcome.failed} of the demonstration's slots could not be signed: ${why}\n`,
      )
    }
    if (outcome.remaining === 0 || outcome.failed > 0 || outcome.built === 0) return
  }
}
