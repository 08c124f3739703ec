export { realChange } from './policy'
export { conversationRoutes } from './routes'
export { markAnswered, type OutboundMessage, recordOutbound, touchByPerson } from './service'
