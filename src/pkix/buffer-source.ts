/**
 * WebCrypto takes no views of a SharedArrayBuffer, and the DOM's types say so (Uint8Array<ArrayBuffer>).
 * @returns the same view; a copy when it is over shared memory
 */
export function bufferSource(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return isUnshared(bytes) ? bytes : new Uint8Array(bytes)
}

function isUnshared(bytes: Uint8Array): bytes is Uint8Array<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer
}
