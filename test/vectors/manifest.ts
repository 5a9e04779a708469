import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** A row of MANIFEST.tsv whose file is about OCSP messages. */
export interface Vector {
  readonly file: string
  readonly path: string
  readonly kind: 'request' | 'response' | 'malformed'
  readonly shows: string
}

/** Folder of the vectors, undefined when EDGE_OCSP_VECTORS is not set. */
export function vectorsRoot(): string | undefined {
  const root = process.env['EDGE_OCSP_VECTORS']
  return root === undefined || root === '' ? undefined : resolve(root)
}

export function readManifest(root: string): Vector[] {
  const [, ...lines] = readFileSync(join(root, 'MANIFEST.tsv'), 'utf8').trimEnd().split('\n')
  const vectors: Vector[] = []
  for (const line of lines) {
    const [file = '', kind, , , , , shows = ''] = line.split('\t')
    if (kind === 'request' || kind === 'response' || kind === 'malformed') {
      vectors.push({ file, path: join(root, file), kind, shows })
    }
  }
  return vectors
}

/** The octets of a vector; OpenSSL keeps its own `.ors` files in base64. */
export function readVector(vector: Vector): Uint8Array {
  const octets = new Uint8Array(readFileSync(vector.path))
  if (!/^openssl\/.*\.ors$/.test(vector.file)) return octets
  return new Uint8Array(Buffer.from(Buffer.from(octets).toString('latin1'), 'base64'))
}
