export { leadRoutes } from './routes'
export { markContacted, markSpam } from './service'
