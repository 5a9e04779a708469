import { type BaseBlock, fromBER } from 'asn1js'
import { bufferSource } from '../pkix/buffer-source.ts'

/**
 * One whole element through asn1js, which reports some faults by a result and throws others.
 * @returns the block, or asn1js's words for what is wrong
 */
export function parseElement(bytes: Uint8Array): BaseBlock | string {
  try {
    const { offset, result } = fromBER(bufferSource(bytes))
    if (offset === bytes.length) return result
    return result.error === '' ? 'not one whole element' : result.error
  } catch (error) {
    return error instanceof Error ? error.message : 'unreadable'
  }
}
