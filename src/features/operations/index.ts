export { operationsRoutes } from './routes'
export { trimLeftovers } from './sweeps/trim'
