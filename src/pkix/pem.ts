import { decodeBase64, encodeBase64 } from '../asn1/base64.ts'

export interface PEMBlock {
  /** What stands after BEGIN, such as `CERTIFICATE`. */
  readonly label: string
  readonly der: Uint8Array
}

/** Text that is not PEM. `line` counts from 1. */
export class PEMError extends Error {
  readonly line: number

  constructor(message: string, line: number) {
    super(`${message} (line ${line})`)
    this.name = 'PEMError'
    this.line = line
  }
}

const BEGIN = /^-----BEGIN ([^-]+)-----\s*$/
const LINE_LENGTH = 64

/**
 * All blocks of a PEM text; text outside of blocks is passed over (RFC 7468 section 2), so no block gives an empty list.
 * Header lines of RFC 1421 (`Proc-Type: 4,ENCRYPTED`) are refused: what follows them is not DER.
 * @throws PEMError
 */
export function parsePEM(text: string): PEMBlock[] {
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\n|\r/)
  const blocks: PEMBlock[] = []
  for (let i = 0; i < lines.length; i++) {
    const label = BEGIN.exec(lines[i] ?? '')?.[1]
    if (label === undefined) continue
    const begin = i + 1
    const end = `-----END ${label}-----`
    let base64 = ''
    for (i++; i < lines.length && lines[i]?.trimEnd() !== end; i++) {
      const line = (lines[i] ?? '').replace(/\s+/g, '')
      if (line.startsWith('-----')) throw new PEMError(`expected ${end}`, i + 1)
      if (line.includes(':')) throw new PEMError(`${label} has RFC 1421 headers, as encrypted keys do`, i + 1)
      if (!/^[A-Za-z0-9+/]*={0,2}$/.test(line)) throw new PEMError('not base64', i + 1)
      base64 += line
    }
    if (i === lines.length) throw new PEMError(`no ${end}`, begin)
    const der = decodeBase64(base64)
    if (der === undefined) throw new PEMError(`base64 of ${label} is damaged`, begin)
    blocks.push({ label, der })
  }
  return blocks
}

/** One PEM block with lines of 64 characters and a final line feed. */
export function formatPEM(label: string, der: Uint8Array): string {
  const base64 = encodeBase64(der)
  let body = ''
  for (let i = 0; i < base64.length; i += LINE_LENGTH) body += `${base64.slice(i, i + LINE_LENGTH)}\n`
  return `-----BEGIN ${label}-----\n${body}-----END ${label}-----\n`
}
