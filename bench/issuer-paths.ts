/** What bench/worker/cold-start.ts answers beside the Worker itself. */
export const COLD_PATH = '/bench/cold'
export const PAGING_PATH = '/bench/page'
