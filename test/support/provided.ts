// What the global setup hands to the tests.
declare module 'vitest' {
  export interface ProvidedContext {
    workerSettings: Record<string, string>
    ownerUrl: string
    /** The emulated Google behind its shim. */
    googleUrl: string
    /** Where SMTP servers are asked for (smtp.ts). */
    smtpUrl: string
  }
}

export {}
