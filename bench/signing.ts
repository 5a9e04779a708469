/** The signing loop beside bare `crypto.subtle.sign`, both inside workerd, P-256. */
import { createPublicKey, verify } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { Bundle } from '../src/bundle/bundle-format.ts'
import type { WorkerBundle } from '../src/cli/dev/worker-bundle.ts'
import { signedOctets } from '../src/ocsp/basic-response.ts'
import { decodeOCSPResponse, decodeSuccessfulResponse } from '../src/ocsp/ocsp-response.ts'
import { atLeast, type Measurement } from './measurement.ts'
import { startServer } from './servers.ts'
import type { SigningTimes } from './worker/signing-loop.ts'

/**
 * @param settings of the real Worker: the loop runs under the same compatibility date
 * @param rounds of about 40 ms each
 */
export async function run(settings: WorkerBundle, rounds: number): Promise<Measurement[]> {
  const folder = mkdtempSync(join(tmpdir(), 'edge-ocsp-bench-signing-'))
  const server = await startServer({ bundle: { ...settings, code: await bundleLoop() }, folder })
  let times: SigningTimes
  try {
    times = await (await fetch(`${server.url}/?rounds=${rounds}`)).json()
  } finally {
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  checkSample(times)
  const each = (milliseconds: readonly number[]) => (Math.min(...milliseconds) * 1000) / times.signatures
  const [bare, loop] = [each(times.bare), each(times.build)]
  const [whole, gate] = [each(times.whole), each(times.gate)]
  return [
    {
      name: 'signing loop: P-256 signatures, beside bare subtle.sign',
      value: bare / loop,
      unit: 'ratio',
      limit: atLeast(0.8),
      detail: `${loop.toFixed(1)} us a signature, bare ${bare.toFixed(1)} us`,
    },
    {
      name: 'signing, encoding the bundle and checking it',
      value: whole,
      unit: 'us',
      detail: 'a response, of 1,024 in a bundle of 512 under two hashes',
    },
    {
      name: 'publication gate over a bundle',
      value: gate,
      unit: 'us',
      detail: 'a response: rebuilt, read and judged by every check; one signature of 512 verified',
    },
  ]
}

async function bundleLoop(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, 'worker/signing-loop.ts')],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2024',
    minify: true,
    conditions: ['workerd', 'worker', 'browser'],
    logLevel: 'silent',
  })
  return outputFiles[0]?.text ?? ''
}

/** Every eighth entry, both hashes: the response rebuilds, names the serial and verifies. */
function checkSample({ bundle, spki, signatures }: SigningTimes): void {
  const opened = Bundle.open(new Uint8Array(Buffer.from(bundle, 'base64')))
  const key = createPublicKey({ key: Buffer.from(spki, 'base64'), format: 'der', type: 'spki' })
  if (opened.count * opened.variants.length !== signatures) throw new Error('signatures are missing')
  let seen = 0
  for (const entry of opened.entries()) {
    if (seen++ % 8 !== 0) continue
    for (const variant of opened.variants.keys()) {
      const der = opened.response(entry, variant)
      const value = der && decodeOCSPResponse(der)
      if (der === undefined || value?.responseStatus !== 'successful')
        throw new Error('a response is missing')
      const { tbsResponseData, signature } = decodeSuccessfulResponse(der)
      const named = tbsResponseData.responses[0]?.certID.serialNumber ?? new Uint8Array()
      if (Buffer.compare(named, entry.serial) !== 0) throw new Error('a response names another serial')
      const tbs = signedOctets(value.responseBytes.response)
      if (!verify('sha256', tbs, key, signature)) throw new Error('a signature does not verify')
    }
  }
}
