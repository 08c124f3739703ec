export { auditRoutes } from './routes'
export { type AuditEntry, recordAudit, truncateIp } from './service'
export { chainAudit } from './sweeps/chain'
