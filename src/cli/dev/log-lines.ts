/** The Worker's console, for the eyes of a developer: one line an exchange, `key=value` for everything else. */

export interface LogLine {
  readonly level: string
  readonly message: string
}

/** @param at local time of the line. @returns one line, without its end */
export function formatLogLine({ level, message }: LogLine, at: Date): string {
  const time = at.toTimeString().slice(0, 8)
  const fields = parseFields(message)
  if (fields === undefined) return `${time}  ${level === 'log' ? '' : `${level}: `}${message.trimEnd()}`
  const { level: severity, what, ...rest } = fields
  if (what === 'ocsp') return `${time}  ${formatExchange(rest)}`
  const urgent = severity === 'info' || severity === undefined ? '' : `${severity}: `
  return `${time}  ${urgent}${what ?? ''} ${formatFields(rest)}`.trimEnd()
}

/** "POST good from bundle, SHA-1, 492 octets" or "POST unauthorized: RequestRefused unknownSerial". */
function formatExchange({ method, status, ...fields }: Record<string, unknown>): string {
  if (status !== 'successful') {
    const { error, reason, message, octets: _octets, ...rest } = fields
    const words = [error, reason, message === reason ? undefined : message].filter(
      (word) => word !== undefined,
    )
    return `${method} ${status}: ${words.join(' ')} ${formatFields(rest)}`.trimEnd()
  }
  const { certStatus, origin, hashAlgorithm, personal, octets } = fields
  const nonce = personal === true ? ', nonce' : ''
  return `${method} ${certStatus} from ${origin}, ${hashAlgorithm}${nonce}, ${octets} octets`
}

function formatFields(fields: Readonly<Record<string, unknown>>): string {
  return Object.entries(fields)
    .map(
      ([key, value]) =>
        `${key}=${typeof value === 'string' && /\s/.test(value) ? JSON.stringify(value) : value}`,
    )
    .join(' ')
}

function parseFields(message: string): Record<string, unknown> | undefined {
  if (!message.startsWith('{')) return undefined
  try {
    const value: unknown = JSON.parse(message)
    return typeof value === 'object' && value !== null && 'what' in value ? { ...value } : undefined
  } catch {
    return undefined
  }
}
