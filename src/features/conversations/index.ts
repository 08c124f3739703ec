export { conversationRoutes } from './routes'
export { markAnswered, recordOutbound, touchByPerson } from './service'
