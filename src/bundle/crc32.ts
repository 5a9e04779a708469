/** CRC-32 as in zip, gzip and PNG (IEEE 802.3, reflected 0xEDB88320). Finds accidents, not attackers. */

/** Slicing by 8: row r holds the CRC of a byte followed by r zero bytes. */
const TABLE = makeTable()

/**
 * CRC of `bytes[start, end)`, an unsigned 32-bit number. `initial` is the CRC of what stood before (default: nothing), so
 * that crc32(b, 0, n, crc32(a)) is the CRC of a followed by b. `start` and `end` must lie within `bytes`. `view` is over the same
 * octets, for callers who have one: of few octets it takes longer to make than their CRC.
 */
export function crc32(
  bytes: Uint8Array,
  start = 0,
  end: number = bytes.length,
  initial = 0,
  view: DataView = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
): number {
  let crc = ~initial
  let i = start
  for (const blocksEnd = end - 7; i < blocksEnd; i += 8) {
    const low = crc ^ view.getInt32(i, true)
    const high = view.getInt32(i + 4, true)
    crc =
      (TABLE[1792 + (low & 0xff)] ?? 0) ^
      (TABLE[1536 + ((low >>> 8) & 0xff)] ?? 0) ^
      (TABLE[1280 + ((low >>> 16) & 0xff)] ?? 0) ^
      (TABLE[1024 + (low >>> 24)] ?? 0) ^
      (TABLE[768 + (high & 0xff)] ?? 0) ^
      (TABLE[512 + ((high >>> 8) & 0xff)] ?? 0) ^
      (TABLE[256 + ((high >>> 16) & 0xff)] ?? 0) ^
      (TABLE[high >>> 24] ?? 0)
  }
  for (; i < end; i++) crc = (TABLE[(crc ^ (bytes[i] ?? 0)) & 0xff] ?? 0) ^ (crc >>> 8)
  return ~crc >>> 0
}

function makeTable(): Int32Array {
  const table = new Int32Array(8 * 256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
    table[byte] = crc
  }
  for (let i = 256; i < table.length; i++) {
    const shorter = table[i - 256] ?? 0
    table[i] = (table[shorter & 0xff] ?? 0) ^ (shorter >>> 8)
  }
  return table
}
