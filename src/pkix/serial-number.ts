/** Lower-case hex of the minimal content octets of a serial number, two digits an octet. */
export type SerialHex = string

/** Serial numbers of more octets are refused here as they are in a request (R5.44). */
export const MAX_SERIAL_OCTETS = 127

const DIGITS = '0123456789abcdef'

/** Hex of the content octets of a CertificateSerialNumber. */
export function formatSerial(octets: Uint8Array): SerialHex {
  let text = ''
  for (const octet of octets) text += DIGITS.charAt(octet >> 4) + DIGITS.charAt(octet & 15)
  return text
}

/**
 * Content octets of a serial number as people write it: hex with or without `0x`, with colons, in either case, with an odd
 * count of digits. Hex is a non-negative number, so `80` gives 00 80. With `decimal` the text is decimal and may be negative.
 * @throws RangeError that says what is wrong and where
 */
export function parseSerial(text: string, options: { readonly decimal?: boolean } = {}): Uint8Array {
  const trimmed = text.trim()
  if (trimmed === '') throw new RangeError('serial number: empty')
  return options.decimal === true ? parseDecimal(trimmed) : parseHex(trimmed)
}

function parseHex(text: string): Uint8Array {
  const skip = /^0x/i.test(text) ? 2 : 0
  let digits = ''
  for (let i = skip; i < text.length; i++) {
    const char = text.charAt(i)
    if (/[0-9a-f]/i.test(char)) digits += char
    else if (char !== ':' || i === skip || i === text.length - 1 || text.charAt(i - 1) === ':') {
      throw new RangeError(`serial number: ${JSON.stringify(char)} at character ${i + 1} is not hexadecimal`)
    }
  }
  if (digits === '') throw new RangeError('serial number: no digits')
  digits = digits.replace(/^0+(?=.)/, '')
  if (digits.length % 2 !== 0) digits = `0${digits}`
  if (digits.charCodeAt(0) >= 0x38) digits = `00${digits}`
  return checkLength(
    Uint8Array.from({ length: digits.length / 2 }, (_, i) =>
      Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16),
    ),
  )
}

function parseDecimal(text: string): Uint8Array {
  const bad = /^-?\d*/.exec(text)?.[0].length ?? 0
  if (bad < text.length) {
    throw new RangeError(
      `serial number: ${JSON.stringify(text.charAt(bad))} at character ${bad + 1} is not decimal`,
    )
  }
  // 127 octets are 305 decimal digits: BigInt stays cheap.
  if (text === '-' || text.length > 320)
    throw new RangeError('serial number: not a decimal number of at most 127 octets')
  let left = BigInt(text)
  const octets: number[] = []
  do {
    octets.unshift(Number(left & 0xffn))
    left >>= 8n
  } while (left !== ((octets[0] ?? 0) >= 0x80 ? -1n : 0n))
  return checkLength(Uint8Array.from(octets))
}

function checkLength(octets: Uint8Array): Uint8Array {
  if (octets.length > MAX_SERIAL_OCTETS) {
    throw new RangeError(`serial number: ${octets.length} octets, at most ${MAX_SERIAL_OCTETS} allowed`)
  }
  return octets
}
