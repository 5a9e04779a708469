/** The openssl program as an independent judge. Files live in a folder of their own that `close` removes. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const OPENSSL_VERSION: string | undefined =
  spawnSync('openssl', ['version'], { encoding: 'utf8' }).stdout?.trim() || undefined

if (OPENSSL_VERSION === undefined)
  console.warn('openssl is not on the PATH: tests that it judges are skipped')

export interface OpenSSLResult {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export class OpenSSL {
  readonly folder = mkdtempSync(join(tmpdir(), 'edge-ocsp-openssl-'))

  /** Writes a file into the folder. @returns its path */
  write(name: string, content: string | Uint8Array): string {
    const path = join(this.folder, name)
    writeFileSync(path, content)
    return path
  }

  read(name: string): string {
    return readFileSync(join(this.folder, name), 'utf8')
  }

  readBytes(name: string): Uint8Array {
    return new Uint8Array(readFileSync(join(this.folder, name)))
  }

  /** Runs `openssl ...` in the folder. */
  run(...args: readonly string[]): OpenSSLResult {
    const { status, stdout, stderr } = spawnSync('openssl', args, {
      cwd: this.folder,
      encoding: 'utf8',
      input: '',
      timeout: 20_000,
    })
    return { status, stdout, stderr }
  }

  close(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}
