export { realChange } from './policy'
export { conversationRoutes } from './routes'
export { markAnswered, recordOutbound, touchByPerson } from './service'
