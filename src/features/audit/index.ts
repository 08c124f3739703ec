export { auditRoutes } from './routes'
export { recordAudit, truncateIp } from './service'
export { chainAudit } from './sweeps/chain'
