/** What test/support/cold-start-worker.ts answers beside the Worker itself. */
export const COLD_PATH = '/bench/cold'
export const PAGING_PATH = '/bench/page'
