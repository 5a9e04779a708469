import { readFileSync } from 'node:fs'

function readVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  const known = typeof manifest === 'object' && manifest !== null && 'version' in manifest
  return known ? String(manifest.version) : '0.0.0'
}

/** Of package.json. */
export const VERSION = readVersion()
